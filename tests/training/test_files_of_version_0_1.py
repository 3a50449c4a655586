"""Files that scratchnet 0.1.0 wrote still load, and give the same results: see files/v0.1/write.py."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from arrays import host, variable

import scratchnet as sn
from backends import to_device
from scratchnet.data.readers import CLASS_NAMES, read_idx
from scratchnet.training.trained import load_model

pytestmark = pytest.mark.filterwarnings("ignore::scratchnet.errors.OtherVersionWarning")
FILES = Path(__file__).parents[1] / "files" / "v0.1"
EXPECTED = dict(np.load(FILES / "expected.npz"))
SAMPLES = dict(np.load(FILES / "samples.npz"))
IMAGES = FILES / "data" / "t10k-images-idx3-ubyte.gz"


class Net(sn.Module):
    """The network of `checkpoint.safetensors` and `network.safetensors`."""

    def __init__(self):
        self.body = sn.Sequential(sn.Linear(6, 5, 0, activation=sn.tanh), sn.Linear(5, 3, 1))
        self.rng = np.random.default_rng()
        self.other = np.random.Generator(np.random.MT19937())

    def forward(self, x):
        if self.training:
            draws = 0.9 + 0.2 * self.rng.random((len(x), 1)) * self.other.random((len(x), 1))
            x = x * to_device(draws.astype(np.float32))
        return self.body(x)


def learner():
    parts = (slice(0, 40), "train"), (slice(40, None), "valid")
    train, valid = (
        sn.ArrayDataLoader(
            to_device(SAMPLES["inputs"][part]),
            to_device(SAMPLES["labels"][part]),
            8,
            seed=3,
            shuffle="samples",
            mode=mode,
        )
        for part, mode in parts
    )
    net = Net()
    metrics = sn.MetricsCollector(train, valid, sn.softmax_loss, capture=False)
    return sn.Learner(train, net, sn.SGD(net.parameters(), 1.0), sn.softmax_loss, metrics, capture=False)


def assert_near(name, found):
    """Check that it equals version 0.1's result, within what another processor's rounding can change."""
    assert found.shape == EXPECTED[name].shape, name
    difference = np.abs(found - EXPECTED[name])
    assert (difference <= EXPECTED[f"{name} tolerance"]).all(), f"{name} differs by {difference.max()}"


def assert_series(file, history):
    measured = {f"{file}/{name}" for name in history if name != "duration"}
    assert measured == {name for name in EXPECTED if re.fullmatch(rf"{file}/\w+_(loss|accuracy)", name)}
    for name in measured:
        assert_near(name, np.array(history[name.partition("/")[2]]))


def assert_weights(prefix, state):
    """Test the old paths: in a Sequential they had `stages`, and a bias was a row."""
    named = {name.removeprefix(prefix) for name in EXPECTED if name.startswith(prefix)}
    then = {each.replace("body.", "body.stages."): each for each in state}
    assert then.keys() == {name for name in named if not name.endswith(" tolerance")}
    for name, today in then.items():
        assert state[today].dtype == np.float32
        row = state[today].ndim == 1
        assert_near(prefix + name, state[today][None] if row else state[today])


@pytest.mark.guarantee("Files that earlier versions wrote load, with the same results.")
def test_a_model_gives_the_outputs_that_it_gave(backend):
    trained = load_model(FILES / "classifier.safetensors")
    pixels = read_idx(IMAGES, 3).reshape(-1, 784)
    trained.net.eval()
    outputs = trained.net(
        sn.Variable(to_device(trained.reading.prepared(pixels / np.float32(255))), requires_grad=False)
    )
    assert_near("classifier/outputs", host(outputs))


def test_predict_prints_the_classes_that_the_model_sees(command):
    code, out, _ = command("predict", FILES / "classifier.safetensors", IMAGES)
    printed = re.findall(r"^ +\d+  (.*?) +\d+\.\d%$", out, re.MULTILINE)
    assert code == 0
    assert printed == [CLASS_NAMES[each] for each in EXPECTED["classifier/outputs"].argmax(axis=1)]


@pytest.mark.guarantee("Files that earlier versions wrote load, with the same results.")
def test_a_network_s_parameters_are_loaded_and_give_the_outputs_that_they_gave(backend):
    net = Net()
    net.load_state_dict(sn.load(FILES / "network.safetensors"))
    assert_weights("checkpoint/end.", net.state_dict())  # the checkpoint's callback restored them
    net.eval()
    assert_near("network/outputs", host(net(variable(SAMPLES["inputs"], requires_grad=False))))
    told = sn.load_metadata(FILES / "network.safetensors")
    best = int(np.argmin(EXPECTED["checkpoint/valid_loss"]))
    assert (told["kind"], told["epoch"]) == ("scratchnet network", str(best))
    assert float(told["valid_loss"]) == EXPECTED["checkpoint/valid_loss"][best]


@pytest.mark.guarantee("Files that earlier versions wrote load, with the same results.")
def test_a_checkpoint_in_the_middle_of_an_epoch_goes_on(backend, tmp_path):
    training, last = learner(), {}
    saved = training.resume(FILES / "checkpoint.safetensors")
    assert (training.epochs, training.batches_done) == (5, 2)
    assert training.settings == {"learning rate": 0.8, "name": "of version 0.1"}
    assert saved.made_by["scratchnet"] == "0.1.0"
    before = {name: each for name, each in training.history.items() if name != "duration"}
    assert before == {name: EXPECTED[f"checkpoint/{name}"][:5].tolist() for name in before}
    stopping = sn.EarlyStopping("valid_loss", patience=4, restore_best_weights=True)
    best = sn.ModelCheckpoint(tmp_path / "best.safetensors", save_best_only=True)
    training.fit(9, lambda _: last.update(training.net.state_dict()), callbacks=[stopping, best])
    assert_series("checkpoint", training.history)
    assert_weights("checkpoint/last.", last)
    assert_weights("checkpoint/end.", training.net.state_dict())
    assert (stopping.best_epoch, stopping.stopped_epoch) == (3, 7)
    assert best.best_epoch == 3  # as the checkpoint says: no later epoch was better, and none was saved
    assert not (tmp_path / "best.safetensors").exists()
    batches = EXPECTED["checkpoint/train_loss"].size * len(training.train)
    assert len(training.evaluator.train_loss_metrics) == batches
    assert len(training.evaluator.epochs) == EXPECTED["checkpoint/train_loss"].size


def test_a_log_is_continued(tmp_path):
    before = (FILES / "log.csv").read_text()
    (tmp_path / "log.csv").write_text(before)
    training = learner()
    training.resume(FILES / "checkpoint.safetensors")
    stopping = sn.EarlyStopping("valid_loss", patience=4, restore_best_weights=True)
    best = sn.ModelCheckpoint(tmp_path / "best.safetensors", save_best_only=True)
    log = sn.CSVLogger(tmp_path / "log.csv", append=True)
    training.fit(2, None, callbacks=[stopping, best, log])
    after = (tmp_path / "log.csv").read_text()
    assert after.startswith(before)
    header, *rows = (line.split(",") for line in after.splitlines())
    assert header == ["epoch", *training.history]
    assert [int(epoch) for epoch, *_ in rows] == list(range(7))
    for number, name in enumerate(header[1:-1], 1):
        difference = np.abs([float(row[number]) for row in rows] - EXPECTED[f"checkpoint/{name}"][:7])
        assert (difference <= EXPECTED[f"checkpoint/{name} tolerance"]).all(), name


@pytest.mark.guarantee("Files that earlier versions wrote load, with the same results.")
def test_the_command_goes_on_from_its_checkpoint(backend, command, tmp_path):
    checkpoint, model = tmp_path / "command.safetensors", tmp_path / "model.safetensors"
    shutil.copy(FILES / "command.safetensors", checkpoint)
    options = ["--data", FILES / "data", "--backend", backend, "--save", model]
    code, out, err = command("train", "--checkpoint", checkpoint, "--resume", "--epochs", 4, *options)
    assert code == 0, err
    assert f"going on from {checkpoint}: epoch 2" in out
    net = sn.Classifier(4)
    state = sn.load(model)
    del state["input_mean"], state["input_std"]
    net.load_state_dict(state)
    assert_weights("command/end.", net.state_dict())
