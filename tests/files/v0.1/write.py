"""Write the files of version 0.1 into this folder: `PYTHONPATH=. python tests/files/v0.1/write.py`.

It was run once, with scratchnet 0.1.0. Later versions must load these files, so it refuses to run with
any other version, and it replaces no file. `tests/training/test_files_of_version_0_1.py` reads them.

- `data/`: a few images, in the four files of Fashion-MNIST.
- `classifier.safetensors`: a model, from `scratchnet train --save`.
- `command.safetensors`: a checkpoint, from `scratchnet train --checkpoint`, after two epochs.
- `checkpoint.safetensors`: a checkpoint, from `Learner.fit`, in the middle of an epoch.
- `network.safetensors`: a network, from `ModelCheckpoint`.
- `log.csv`: a log of the epochs before the checkpoint, from `CSVLogger`. It was added later, from a
  second run with scratchnet 0.1.0.
- `samples.npz`: the data of the last two.
- `expected.npz`: what these files lead to, and how far another processor's results may differ.

The tolerances come from two sources. The outputs of a network have a bound: a sum of n products in
float32 is wrong by at most n · 2⁻²⁴ times the sum of their absolute values (Higham, Accuracy and
Stability of Numerical Algorithms, section 3.1). A training run has no such bound, so we measure how
errors grow. We train 20 times, and after each step change each weight at random, up or down, by eight
roundings of its array's largest value. The tolerance is ten times the largest difference that this
makes.
"""

import gzip
import os
import struct
import tempfile
from pathlib import Path

import numpy as np
from scratchnet.commands.main import main
from scratchnet.recipe import load_classifier

import scratchnet as sn
from scratchnet.data.readers import read_idx
from scratchnet.data.synthetic import synthetic_garments

HERE = Path(__file__).parent
ROUNDING = 2.0**-24
COMMAND = ["train", "--backend", "numpy", "--hidden", "4", "--batch-size", "8", "--seed", "5"]
EPOCHS, STOPPED_AFTER = 10, 27
"""Epochs at most, of five batches each; batches before the checkpoint."""


class Net(sn.Module):
    """Draws from two generators of its own while it trains."""

    def __init__(self):
        self.body = sn.Sequential(sn.Linear(6, 5, 0, activation=sn.tanh), sn.Linear(5, 3, 1))
        self.rng = np.random.default_rng(5)
        self.other = np.random.Generator(np.random.MT19937(3))

    def forward(self, x):
        if self.training:
            x = x * (0.9 + 0.2 * self.rng.random((len(x), 1)) * self.other.random((len(x), 1))).astype(
                "f4"
            )
        return self.body(x)


class Counted(sn.SGD):
    """Calls a function after each step."""

    def step(self):
        super().step()
        after_step(self.parameters)


def after_step(parameters):
    """Replaced by `stop_after` and `shake`."""


def learner(samples):
    parts = (slice(0, 40), "train"), (slice(40, None), "valid")
    train, valid = (
        sn.ArrayDataLoader(samples["inputs"][part], samples["labels"][part], 8, 3, "samples", mode)
        for part, mode in parts
    )
    net = Net()
    metrics = sn.MetricsCollector(train, valid, sn.softmax_loss, False)
    return sn.Learner(train, net, Counted(net.parameters(), 0.8), sn.softmax_loss, metrics, False)


def callbacks(folder):
    return [
        sn.EarlyStopping("valid_loss", patience=4, restore_best_weights=True),
        sn.ModelCheckpoint(folder / "network.safetensors", save_best_only=True),
    ]


def stop_after(training, batches):
    done = 0

    def count(_):
        nonlocal done
        done += 1
        if done == batches:
            training.stop()

    return count


def shake(rng):
    def change(parameters):
        for each in parameters:
            largest = 8 * ROUNDING * np.abs(each.data).max()
            each.data += (rng.choice([-1, 1], each.shape) * largest).astype(np.float32)

    return change


def outcome(training, epochs, given=None):
    """Train to that epoch: the series, the weights at the end, and with callbacks the last epoch's."""
    last = {}
    training.fit(
        epochs - training.epochs, lambda _: last.update(training.net.state_dict()), callbacks=given
    )
    found = {name: np.array(each) for name, each in training.history.items() if name != "duration"}
    found |= {f"end.{name}": array for name, array in training.net.state_dict().items()}
    return found | ({f"last.{name}": array for name, array in last.items()} if given else {})


def tolerances(start, epochs, expected):
    """Ten times the largest difference that shaken weights make; for means, four roundings more."""
    global after_step
    largest = dict.fromkeys(expected, 0.0)
    for seed in range(20):
        training, given = start()
        after_step = shake(np.random.default_rng(seed))
        for name, array in outcome(training, epochs, given).items():
            assert array.shape == expected[name].shape, name
            largest[name] = max(largest[name], np.abs(array - expected[name]).max(initial=0))
    after_step = lambda _: None  # noqa: E731
    least = {name: 4 * ROUNDING * name.endswith(("loss", "accuracy")) for name in expected}
    return {name: np.float64(10 * each + least[name]) for name, each in largest.items()}


def forward(inputs, weights, activation):
    """The outputs of two linear layers in float64, and how far those in float32 may differ.

    `activation` must change by at most as much as its input does. Two float32 results may each differ.
    """
    inputs, (w1, b1, w2, b2) = inputs.astype(np.float64), (each.astype(np.float64) for each in weights)
    hidden, sizes = activation(inputs @ w1.T + b1), (w1.shape[1] + 4, w2.shape[1] + 4)
    first = sizes[0] * ROUNDING * (np.abs(inputs) @ np.abs(w1.T) + np.abs(b1)) + 4 * ROUNDING
    second = sizes[1] * ROUNDING * (np.abs(hidden) @ np.abs(w2.T) + np.abs(b2)) + first @ np.abs(w2.T)
    return hidden @ w2.T + b2, 2 * second


def evaluated(net, inputs, activation):
    """The network's outputs, and their tolerance."""
    net.eval()
    found = np.array(net(sn.Variable(inputs, requires_grad=False)).data)
    exact, tolerance = forward(inputs, list(net.state_dict().values()), activation)
    assert (np.abs(found - exact) <= tolerance / 2).all()
    return found, tolerance


def write_data():
    """Thirty images to train on, ten to validate with, of four shades: they take little room."""
    (HERE / "data").mkdir()
    for mode, count, name in (("train", 30, "train"), ("valid", 10, "t10k")):
        samples = synthetic_garments(mode)
        pixels, labels = samples.pixels[:count] // 64 * 64, samples.labels[:count]
        for array, kind in ((pixels.reshape(-1, 28, 28), "images-idx3"), (labels, "labels-idx1")):
            header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
            path = HERE / "data" / f"{name}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.tobytes(), mtime=0))


def write_command():
    """The command's model and checkpoint, and what they lead to."""
    data = HERE / "data"
    first = [*COMMAND, "--data", str(data), "--epochs", "2"]
    paths = [
        "--save",
        str(HERE / "classifier.safetensors"),
        "--checkpoint",
        str(HERE / "command.safetensors"),
    ]
    assert main([*first, *paths]) == 0
    trained = load_classifier(HERE / "classifier.safetensors")
    pixels = read_idx(data / "t10k-images-idx3-ubyte.gz", 3).reshape(10, -1)
    found, tolerance = evaluated(trained.net, trained.images(pixels), lambda x: np.maximum(x, 0))
    kept = {"outputs": found, "outputs tolerance": tolerance}

    def start():
        train = sn.FashionMnistDataLoader("train", 8, None, 5, data)
        valid = sn.FashionMnistDataLoader("valid", 8, None, 5, data)
        valid.zero_center(train.mean_image)
        net = sn.Classifier(4, 0)
        metrics = sn.MetricsCollector(train, valid, sn.softmax_loss, False)
        sgd = Counted(net.parameters(), 1.0)
        training = sn.Learner(train, net, sgd, sn.softmax_loss, metrics, False)
        training.resume(HERE / "command.safetensors")
        return training, None

    expected = outcome(start()[0], 4)
    return {"classifier": kept, "command": expected}, {"command": tolerances(start, 4, expected)}


def write_training():
    """A checkpoint in the middle of an epoch, the network of the best, and what they lead to."""
    global after_step
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((52, 6)).astype(np.float32)
    labels = (inputs[:, :3] + 1.5 * rng.standard_normal((52, 3))).argmax(axis=1)
    samples = {"inputs": inputs, "labels": labels}
    np.savez(HERE / "samples.npz", **samples)
    with tempfile.TemporaryDirectory() as folder:
        expected = outcome(learner(samples), EPOCHS, callbacks(Path(folder)))
    stopped = learner(samples)
    stopped.settings = {"learning rate": 0.8, "name": "of version 0.1"}
    after_step = stop_after(stopped, STOPPED_AFTER)
    log = sn.CSVLogger(HERE / "log.csv")
    stopped.fit(EPOCHS, None, HERE / "checkpoint.safetensors", callbacks=[*callbacks(HERE), log])
    after_step = lambda _: None  # noqa: E731
    assert stopped.epochs > 1
    assert stopped.batches_done

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def start():
            training = learner(samples)
            training.resume(HERE / "checkpoint.safetensors")
            return training, callbacks(folder)

        training, given = start()
        again = outcome(training, EPOCHS, given)
        assert all((again[name] == expected[name]).all() for name in expected)
        assert given[0].best_epoch < stopped.epochs < given[0].stopped_epoch < EPOCHS - 1
        losses = np.sort(expected["valid_loss"])
        assert losses[1] - losses[0] > 1e-3, "the best epoch would depend on the processor"
        assert not os.listdir(folder)
        found = tolerances(start, EPOCHS, expected)
    net = Net()
    net.load_state_dict(sn.load(HERE / "network.safetensors"))
    outputs, tolerance = evaluated(net, inputs, np.tanh)
    kept = {"outputs": outputs, "outputs tolerance": tolerance}
    return {"checkpoint": expected, "network": kept}, {"checkpoint": found}


if __name__ == "__main__":
    if sn.__version__ != "0.1.0":
        raise SystemExit(f"this is scratchnet {sn.__version__}; only 0.1.0 writes these files")
    if there := [each.name for each in HERE.iterdir() if each != Path(__file__)]:
        raise SystemExit(f"{', '.join(there)}: there already; these files are never replaced")
    write_data()
    expected, found = {}, {}
    for write in (write_command, write_training):
        arrays, differences = write()
        expected |= arrays
        found |= differences
    flat = {f"{file}/{name}": array for file, each in expected.items() for name, array in each.items()}
    flat |= {
        f"{file}/{name} tolerance": array for file, each in found.items() for name, array in each.items()
    }
    np.savez_compressed(HERE / "expected.npz", allow_pickle=False, **flat)
    for file, each in found.items():
        print(file, {name: float(f"{array:.2g}") for name, array in each.items()})
