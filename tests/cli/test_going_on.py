"""`scratchnet train --checkpoint`: what a user sees who stops a training run and resumes it."""

import os
import re
import shlex
import signal
import time

import pytest

import scratchnet as sn
from scratchnet.cli import going_on
from scratchnet.training import resume


@pytest.fixture(autouse=True)
def _interruptible():
    """Restore SIGINT, as in a terminal: a background job starts with SIGINT ignored."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


QUICK = ["train", "--data", "synthetic", "--take", "600", "--hidden", "16", "--batch-size", "50"]


def losses(out):
    return re.findall(r"epoch: +\d+|loss: .*", out)


@pytest.mark.guarantee("The same model gives the same file, byte for byte.")
@pytest.mark.guarantee("A run that was stopped or killed at any moment ends with the same bits.")
def test_what_was_stopped_and_resumed_is_what_was_never_stopped(command, tmp_path):
    c, plot = tmp_path / "c", tmp_path / "curves.png"
    code, never, _ = command(*QUICK, "--epochs", 4, "--save", tmp_path / "never")
    assert code == 0
    code, first, _ = command(*QUICK, "--epochs", 2, "--checkpoint", c)
    assert code == 0
    resumed = ["train", "--data", "synthetic", "--checkpoint", c, "--resume"]
    code, second, err = command(
        *resumed, "--epochs", 4, "--save", tmp_path / "resumed", "--plot", plot, "--every", 2
    )
    assert (code, err) == (0, "")
    assert f"going on from {c}: epoch 2\n" in second
    assert losses(first) + losses(second) == losses(never)
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "never").read_bytes()
    assert plot.stat().st_size > 10_000
    assert command(*resumed)[0] == 0  # nothing is left to do: it was for 4 epochs
    assert resume.read_training(c).state["progress"]["epochs"] == 4


@pytest.mark.guarantee("A checkpoint is replaced only by the run that wrote or resumed it last.")
def test_what_cannot_be_resumed_is_a_line(command, tmp_path):
    c = tmp_path / "c"
    assert command(*QUICK, "--epochs", 1, "--checkpoint", c)[0] == 0
    two = tmp_path / "two"
    assert command(*QUICK, "--epochs", 2, "--checkpoint", two)[0] == 0
    before = c.read_bytes()
    model = tmp_path / "model"
    sn.save(model, {}, {"kind": "scratchnet classifier 1"})
    other = tmp_path / "other"
    resume.save_training(other, {}, {"some": 1})
    for message, arguments in {
        "exists already; add --resume to continue from it": [*QUICK, "--checkpoint", c],
        "name it: --checkpoint FILE": [*QUICK, "--resume"],
        "no such file": [*QUICK, "--checkpoint", tmp_path / "none", "--resume"],
        "there is no folder": [*QUICK, "--checkpoint", tmp_path / "none" / "c"],
        "is a folder": [*QUICK, "--checkpoint", tmp_path],
        "--every 0: it must be": [*QUICK, "--checkpoint", tmp_path / "new", "--every", 0],
        "--hidden 17: .* was made with 16": [*QUICK, "--hidden", 17, "--checkpoint", c, "--resume"],
        "is a scratchnet classifier 1, not a checkpoint": [*QUICK, "--checkpoint", model, "--resume"],
        "was not made by scratchnet train": [*QUICK, "--checkpoint", other, "--resume"],
        "name the same file": [*QUICK, "--checkpoint", tmp_path / "x", "--save", tmp_path / "x"],
        "--epochs 1: .* is at epoch 2 already": [*QUICK, "--epochs", 1, "--checkpoint", two, "--resume"],
        "cannot be written": [*QUICK, "--checkpoint", "/proc/checkpoint"],
    }.items():
        code, _, err = command(*arguments)
        assert (code, err.count("\n")) == (2, 1), message
        assert re.search(message, err)
    assert c.read_bytes() == before


@pytest.mark.guarantee("A checkpoint of another version, machine or backend is reported.")
def test_another_library_is_told(command, tmp_path, monkeypatch):
    c = tmp_path / "c"
    with monkeypatch.context() as patch:
        patch.setattr(resume.np, "__version__", "2.0.0")
        command(*QUICK, "--epochs", 1, "--checkpoint", c)
    code, out, _ = command(*QUICK, "--epochs", 2, "--checkpoint", c, "--resume")
    assert code == 0
    assert "it was made with NumPy 2.0.0" in out
    assert "the last digits may differ" in out


@pytest.mark.guarantee("With a checkpoint, Ctrl-C ends a run after the current batch, and saves it.")
def test_ctrl_c_ends_after_the_batch_and_says_how_to_go_on(command, tmp_path, monkeypatch):
    c, steps, step = tmp_path / "a run", [], sn.SGD.step

    def interrupted(optimizer):
        steps.append(optimizer)
        if len(steps) == 17:
            os.kill(os.getpid(), signal.SIGINT)
        step(optimizer)

    with monkeypatch.context() as patch:
        patch.setattr(sn.SGD, "step", interrupted)
        code, _, err = command(*QUICK, "--epochs", 3, "--checkpoint", c)
    assert (code, len(steps)) == (130, 17)
    assert "ending after this batch; Ctrl-C again ends at once\n" in err
    told = re.search(r"interrupted at epoch 1, batch 5 of 12; .*; go on with: scratchnet (.*)\n", err)
    assert resume.read_training(c).state["progress"].items() >= {("epochs", 1), ("batches", 5)}
    assert told[1] == f"train --data synthetic --checkpoint '{c}' --resume"
    code, out, _ = command(*shlex.split(told[1]), "--save", tmp_path / "m")
    assert code == 0
    assert f"going on from {c}: epoch 1, batch 5 of 12\n" in out
    assert command(*QUICK, "--epochs", 3, "--save", tmp_path / "never")[0] == 0
    assert (tmp_path / "m").read_bytes() == (tmp_path / "never").read_bytes()


def test_the_line_about_ctrl_c_is_printed_before_the_bar_goes(command, tmp_path, monkeypatch):
    events, step = [], sn.SGD.step

    def interrupted(optimizer):
        os.kill(os.getpid(), signal.SIGINT)
        step(optimizer)

    def slow(*_, **__):
        time.sleep(0.2)
        events.append("line")

    monkeypatch.setattr(sn.SGD, "step", interrupted)
    monkeypatch.setattr(going_on, "print", slow, raising=False)
    monkeypatch.setattr(sn.ProgressBar, "close", lambda self: events.append("bar goes"))
    assert command(*QUICK, "--checkpoint", tmp_path / "c")[0] == 130
    assert events == ["line", "bar goes"]


@pytest.mark.guarantee("With a checkpoint, Ctrl-C ends a run after the current batch, and saves it.")
def test_a_second_ctrl_c_ends_at_once_and_a_first_one_without_a_checkpoint(
    command, tmp_path, monkeypatch
):
    signals = []

    def hit(self, *_):
        for _ in range(2):
            signals.append(self)
            os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    monkeypatch.setattr(sn.Learner, "fit", hit)
    code, _, err = command(*QUICK, "--checkpoint", tmp_path / "c")
    assert (code, len(signals)) == (130, 2)
    assert err.endswith("scratchnet: interrupted; nothing more was saved\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    code, _, err = command(*QUICK)
    assert (code, len(signals)) == (130, 3)
    assert err == "scratchnet: interrupted; nothing more was saved\n"
