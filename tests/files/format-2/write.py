"""Write files of format 2 into this folder.

    PYTHONPATH=.:tests/support python tests/files/format-2/write.py

It was run once. Later versions must load these files and get these results, so it replaces no file.
`tests/support/kept_files.py` has the networks and the training runs, and
`tests/training/test_files_of_format_2.py` reads the files. Files of another format get a folder of their
own, and this one stays.

- `dense`, `convolutional`, `recurrent`, `attention`: networks, from `sn.save`.
- `optimizers`: the state of each optimizer after three steps, from `sn.save`.
- `checkpoint-*`: training runs of `Learner` in the middle of an epoch.
- `network`, `log.csv`: from the callbacks `ModelCheckpoint` and `CSVLogger` of the first of them.
- `command`: a checkpoint of `scratchnet train`, after two epochs, of the table `data/table.csv`.
- `model-*`: models of `scratchnet train --save`. Their weights are rounded to a few numbers, so that
  they take little room when they are packed.
- `data`: the table, and rows in three files with their index.
- `expected.json.gz`: what these files lead to, and how far another machine's results may differ.

The tolerance is ten times the largest difference that comes of changing each loaded parameter at random,
up or down, by eight roundings, 20 times; and four roundings of the largest value more.
"""

import gzip
import json
import tempfile
from pathlib import Path

import kept_files as kept
import numpy as np

import scratchnet as sn
from scratchnet.cli.main import main
from scratchnet.data.streaming.index import index_files
from scratchnet.training.trained import load_model, save_model

HERE = Path(__file__).parent
ROUNDING = 2.0**-24


def shake(seed):
    rng = np.random.default_rng(seed)

    def change(parameters):
        for each in parameters:
            signs = rng.choice([-1, 1], each.shape)
            each.data = (each.data * (1 + 8 * ROUNDING * signs)).astype(each.dtype)

    return change


def with_tolerances(find):
    """Return the arrays that `find` returns, as lists, each with its tolerance."""
    expected = find(kept.as_it_is)
    again = [find(shake(seed)) for seed in range(20)]
    found = {}
    for name, array in expected.items():
        differences = [np.abs(each[name] - array).max(initial=0) for each in again]
        least = 4 * ROUNDING * np.abs(array).max(initial=0)
        exact = array.dtype.kind in "iu"
        assert not exact or not max(differences), f"{name} would depend on the machine"
        tolerance = 0 if exact else 10 * float(max(differences)) + least
        found[name] = {"values": array.tolist(), "tolerance": float(f"{tolerance:.3g}")}
        print(f"{name}: {tolerance:.2g}, of {np.abs(array).max():.2g}")
    return found


def write_data():
    (HERE / "data").mkdir()
    for number, part in enumerate((slice(0, 10), slice(10, 25), slice(25, 40))):
        np.savez(HERE / "data" / f"{number}.npz", inputs=kept.X[part], targets=kept.Y[part])
    index_files(HERE / "data")
    rows = [
        f"{a:.3f},{b:.3f},{c:.3f},{a + b - c:.3f},{'yes' if a > b else 'no'}" for a, b, c, *_ in kept.X
    ]
    (HERE / "data" / "table.csv").write_text("\n".join(["a,b,c,sum,larger", *rows]) + "\n")


def write_networks():
    for name, (kind, inputs) in kept.NETWORKS.items():
        net = kind()
        kept.steps(net, inputs, 5)
        sn.save(HERE / f"{name}.safetensors", net.state_dict(), {"note": "of format 2"})
    state = {}
    for name, make in kept.OPTIMIZERS.items():
        parameters = kept.parameters_of(name)
        optimizer = make(parameters)
        kept.updated(optimizer, parameters, 3)
        state |= {f"{name}/{key}": value for key, value in optimizer.state_dict().items()}
    sn.save(HERE / "optimizers.safetensors", state)


def write_checkpoints():
    for name, make in kept.CHECKPOINTS.items():
        training = make()
        training.settings["note"] = "of format 2"

        class Stop(sn.Callback):
            def on_batch_end(self, batch, logs):
                if self.learner.epochs == 3 and batch == 1:
                    self.learner.stop()

        given = [*kept.callbacks(name, HERE, append=False).values(), Stop()]
        training.fit(kept.EPOCHS, None, HERE / f"checkpoint-{name}.safetensors", callbacks=given)
        assert training.epochs == 3
        assert training.batches_done


def write_models():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_images(folder / "images")
        table = [
            "--data",
            HERE / "data" / "table.csv",
            "--hidden",
            "3",
            "--feature",
            "a",
            "--feature",
            "b",
        ]
        table += ["--feature", "c", "--seed", "5", "--batch-size", "8"]
        checkpoint = [
            "--target",
            "larger",
            "--epochs",
            "2",
            "--checkpoint",
            HERE / "command.safetensors",
        ]
        for name, options in {
            "mlp": ["--data", "synthetic", "--take", "50", "--hidden", "2", "--epochs", "1"],
            "cnn": ["--data", folder / "images", "--model", "cnn", "--hidden", "2", "--epochs", "1"],
            "table": [*table, *checkpoint],
            "regression": [*table, "--target", "sum", "--epochs", "2"],
        }.items():
            model = folder / name
            assert main(["train", "--backend", "numpy", *map(str, options), "--save", str(model)]) == 0
            trained = load_model(model)
            for each in trained.net.parameters():
                unit = np.abs(each.data).max() / 4 or 1
                each.data = (np.round(each.data / unit) * unit).astype(np.float32)
            save_model(model, trained)
            packed = gzip.compress(model.read_bytes(), mtime=0)
            (HERE / f"model-{name}.safetensors.gz").write_bytes(packed)


def _write_images(folder):
    from PIL import Image

    for number, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for each in range(6):
            pixels = np.random.default_rng(10 * number + each).integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{each}.png")


def write_expected():
    expected = {
        f"network {each}": with_tolerances(lambda s, n=each: kept.network(n, s))
        for each in kept.NETWORKS
    }
    for each in kept.OPTIMIZERS:
        expected[f"optimizer {each}"] = with_tolerances(lambda s, n=each: kept.optimizer(n, s))

    def in_a_folder(find, name, change):
        with tempfile.TemporaryDirectory() as folder:
            return find(name, Path(folder), change)

    kinds = (kept.checkpoint, kept.CHECKPOINTS), (kept.model, kept.MODELS), (kept.command, ["command"])
    for find, names in kinds:
        for each in names:
            expected[f"{find.__name__} {each}"] = with_tolerances(
                lambda s, f=find, n=each: in_a_folder(f, n, s)
            )
    text = json.dumps(expected).encode()
    (HERE / "expected.json.gz").write_bytes(gzip.compress(text, mtime=0))


if __name__ == "__main__":
    if there := [each.name for each in HERE.iterdir() if each != Path(__file__)]:
        raise SystemExit(f"{', '.join(there)}: there already; these files are never replaced")
    for write in (write_data, write_networks, write_checkpoints, write_models, write_expected):
        write()
