"""A saved training run goes on as if it had never stopped."""

import os

import numpy as np
import pytest
from arrays import host
from noisy import Noisy, learner, outcome
from processes import python

import scratchnet as sn
from backends import use
from scratchnet.errors import CheckpointError, NonFiniteLossError, SettingError
from scratchnet.training import resume


class Watched(sn.Module):
    """A network, and something to do before each step."""

    def __init__(self, inner, before_a_step):
        self.inner, self.before_a_step = inner, before_a_step

    def forward(self, x):
        if self.training:
            self.before_a_step()
        return self.inner(x)


def stopped_after(steps, **options):
    """Run training that is stopped at some step, as by a signal."""
    done = 0

    def count():
        nonlocal done
        done += 1
        if done == steps:
            stopped.stop()

    stopped = learner(Watched(Noisy(), count), **options)
    return stopped


@pytest.mark.guarantee("Callbacks and checkpoints change no bit of a training run.")
@pytest.mark.guarantee("A run that was stopped or killed at any moment ends with the same bits.")
@pytest.mark.filterwarnings("ignore:net.before_a_step.* has changed:scratchnet.LostStateWarning")
@pytest.mark.parametrize("shuffle", ["batches", "samples", None])
@pytest.mark.parametrize("steps", [1, 4, 5, 8, 15])
def test_stopped_after_any_batch_saved_and_resumed_it_ends_the_same(backend, tmp_path, shuffle, steps):
    never = stopped_after(None, shuffle=shuffle)
    never.fit(3, None)
    stopped = stopped_after(steps, shuffle=shuffle)
    stopped.fit(3, None, tmp_path / "c")
    assert 5 * stopped.epochs + stopped.batches_done == steps
    again = stopped_after(None, shuffle=shuffle)
    again.resume(tmp_path / "c")
    again.fit(3 - again.epochs, None)
    assert outcome(again) == outcome(never)
    stopped.fit(3 - stopped.epochs, None)  # or resumed at once
    assert outcome(stopped) == outcome(never)
    assert len(again.history["duration"]) == 3


def test_a_loader_that_draws_each_batch_is_asked_for_none_too_many(tmp_path):
    class Drawing(sn.ArrayDataLoader):
        drawn = 0

        def __iter__(self):
            for batch in super().__iter__():
                self.drawn += 1
                yield batch

    training = stopped_after(3)
    data = training.train
    training.train = Drawing(data.inputs, data.labels, 16)
    training.fit(1, None)
    assert training.batches_done == training.train.drawn == 3


def test_stop_before_fit_holds_for_the_next_one():
    training = learner()
    training.stop()
    training.fit(3, None)
    assert training.epochs == 0
    training.fit(1, None)
    assert training.epochs == 1


@pytest.mark.guarantee("A checkpoint is replaced only by the run that wrote or resumed it last.")
def test_another_training_s_checkpoint_is_not_written_over_by_fit(tmp_path):
    path = tmp_path / "c"
    training = learner()
    training.fit(2, None, path)
    training.fit(1, None, path)
    before = path.read_bytes()
    other = learner()
    with pytest.raises(CheckpointError, match=r"is there already, of another training; .*resume"):
        other.fit(1, None, path)
    assert path.read_bytes() == before
    other.resume(path)
    other.fit(1, None, path)
    assert other.epochs == 4


def test_a_report_may_save_and_stop(tmp_path):
    def report(line):
        reported.append(line)
        training.save(tmp_path / "c")
        if len(reported) == 2:
            training.stop()

    training, reported, expected, again = learner(), [], learner(), learner()
    training.fit(5, report)
    expected.fit(2, None)
    again.resume(tmp_path / "c")
    assert outcome(training) == outcome(expected) == outcome(again)


@pytest.mark.guarantee("A run whose epochs are single launches can be resumed too.")
@pytest.mark.parametrize("shuffle", ["batches", "samples"])
def test_launches_are_gone_on_with_too(backend, tmp_path, shuffle):
    def captured():
        net = sn.Linear(12, 8, 0, activation=sn.tanh) >> sn.Linear(8, 3, 1)
        return learner(net, shuffle, capture=True)

    never, begun, again = captured(), captured(), captured()
    never.fit(6, None)
    begun.fit(3, None, tmp_path / "c")
    again.resume(tmp_path / "c")
    again.fit(3, None)
    assert again.replay.how == never.replay.how
    assert outcome(again) == outcome(never)


@pytest.mark.guarantee("A run can be resumed on another backend or number of processes.")
def test_saved_on_one_backend_resumed_on_the_other(tmp_path):
    def in_float64():
        net = Noisy()
        for each in net.parameters():
            each.data = each.data.astype("float64")
        return learner(net)

    for first, second in (("numpy", "strict"), ("strict", "numpy")):
        with use(first):
            begun = in_float64()
            begun.fit(2, None, tmp_path / first)
            weights = begun.net.state_dict()
        with use(second):
            gone_on = in_float64()
            saved = gone_on.resume(tmp_path / first)
            assert saved.made_by["backend"] == first
            for path, value in gone_on.net.state_dict().items():
                np.testing.assert_array_equal(value, weights[path])
            gone_on.fit(2, None)
        with use(first):
            begun.fit(2, None)
        # After ten steps of such a network in float64, `rounding.Rounded` bounds each error by 2e-11.
        np.testing.assert_allclose(
            *(each.history["valid_loss"] for each in (begun, gone_on)), rtol=2e-11
        )


@pytest.mark.guarantee("A checkpoint of another version, machine or backend is reported.")
def test_another_version_is_told_and_is_no_obstacle(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("scratchnet.training.resume.__version__", "0.0.9")
        learner().fit(1, None, tmp_path / "c")
    training = learner()
    with pytest.warns(sn.OtherVersionWarning, match=r"by scratchnet 0\.0\.9, and this is") as caught:
        training.resume(tmp_path / "c")
    assert caught[0].filename == __file__
    training.fit(1, None)
    assert training.epochs == 2


def test_a_checkpoint_is_written_at_the_beginning_every_so_often_and_at_the_end(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(sn.Learner, "save", lambda self, path: saved.append(self.epochs))
    learner().fit(7, None, tmp_path / "c", every=3)
    assert saved == [0, 3, 6, 7]
    with pytest.raises(SettingError, match="every is 0"):
        learner().fit(1, None, tmp_path / "c", every=0)


# What a kill leaves behind.

KILLED = """
import sys
from itertools import count
from pathlib import Path
from killed import is_killed, moment
from scratchnet import softmax_loss
from scratchnet.training import resume
from noisy import learner, outcome

EPOCHS = 2

def train(path):
    training = learner(shuffle="samples")
    training.loss = lambda *given: (moment("before a step"), softmax_loss(*given))[1]
    if path.exists():
        training.resume(path)
    training.fit(EPOCHS - training.epochs, None, path)
    path.with_name("outcome").write_text(repr(outcome(training)))

never = learner(shuffle="samples")
never.fit(EPOCHS, None)
reached, killed = [], True
for number in count(1):
    path = Path(sys.argv[1]) / str(number) / "c"
    path.parent.mkdir()
    killed = is_killed(number, path.parent, train, path)
    reached.append(resume.read_training(path).state["progress"]["epochs"] if path.exists() else -1)
    is_killed(number, path.parent, train, path)  # and once more, if it gets so far
    assert not is_killed(0, path.parent, train, path)
    assert path.with_name("outcome").read_text() == repr(outcome(never))
    assert {each.name for each in path.parent.iterdir()} == {"c", "outcome"}  # no part of a file
    if not killed:
        break
assert reached == sorted(reached), reached  # no kill has cost an earlier checkpoint
assert set(reached) == {-1, 0, 1, 2}
"""


@pytest.mark.guarantee("A run that was stopped or killed at any moment ends with the same bits.")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_killed_at_any_moment_and_resumed_it_ends_the_same(tmp_path):
    done = python("-c", KILLED, tmp_path, environment={"OPENBLAS_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()) == {
        "before a step", "before open", "before write", "before the rest of a write", "before flush",
        "before fsync", "before close", "before replace", "before unlink",
    }  # fmt: skip


@pytest.mark.guarantee("Whichever call to the system fails, the old or the new file is there, whole.")
def test_a_full_disk(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "c"
    training = learner()
    training.fit(1, None, path)
    before = path.read_bytes()
    training.fit(1, None)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match="cannot be written"):
            training.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.guarantee("A changed byte in a saved file is noticed.")
def test_every_damaged_byte_is_seen(tmp_path, rng):
    path = tmp_path / "c"
    learner().fit(1, None, path)
    whole = path.read_bytes()
    damaged = tmp_path / "damaged"
    for end in [0, 7, 8, 100, len(whole) // 2, len(whole) - 1]:
        damaged.write_bytes(whole[:end])
        with pytest.raises(CheckpointError, match="damaged"):
            learner().resume(damaged)
    for place in rng.integers(0, len(whole), 100):
        content = bytearray(whole)
        content[place] ^= 1 << rng.integers(0, 8)
        damaged.write_bytes(content)
        with pytest.raises(CheckpointError, match="damaged"):
            learner().resume(damaged)


@pytest.mark.guarantee("What a checkpoint cannot keep is named.")
def test_a_training_broken_off_in_a_step_cannot_be_saved(tmp_path):
    def broken(output, labels):
        raise KeyboardInterrupt

    training = learner()
    training.fit(1, None, tmp_path / "c")
    whole, training.loss = training.loss, broken
    with pytest.raises(KeyboardInterrupt):
        training.fit(1, None)
    with pytest.raises(CheckpointError, match="an error ended the training run in the middle of a step"):
        training.save(tmp_path / "c")
    training.loss = whole
    training.fit(1, None)  # a whole epoch
    assert (training.epochs, training.batches_done) == (2, 0)
    training.resume(tmp_path / "c")
    training.fit(1, None)
    expected = learner()
    expected.fit(2, None)
    assert outcome(training) == outcome(expected)


@pytest.mark.guarantee("NaN or infinity ends a run with an error, and the last checkpoint stays.")
def test_a_loss_that_is_no_number_leaves_the_last_good_checkpoint(tmp_path):
    training = learner()
    training.fit(1, None, tmp_path / "c")
    training.optimizer.learning_rate = 1e30
    with np.errstate(all="ignore"), pytest.raises(NonFiniteLossError, match="epoch 1"):
        training.fit(5, None, tmp_path / "c")
    again = learner()
    again.resume(tmp_path / "c")
    assert again.epochs == 1
    assert np.isfinite(host(again.net.fc1.weight)).all()


@pytest.mark.skipif(os.name == "nt", reason="links and modes are those of POSIX")
def test_a_link_is_followed_and_the_mode_kept(tmp_path):
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "c", tmp_path / "link"
    training = learner()
    training.save(target)
    target.chmod(0o600)
    link.symlink_to(target)
    training.fit(1, None)
    training.save(link)
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
    assert resume.read_training(target).state["progress"]["epochs"] == 1


@pytest.mark.guarantee("A changed byte in a saved file is noticed.")
def test_a_file_of_ours_without_its_digest_is_damaged(tmp_path):
    path = tmp_path / "c"
    learner().save(path)
    path.write_bytes(path.read_bytes().replace(b"sha256", b"sha257"))
    with pytest.raises(CheckpointError, match="damaged"):
        learner().resume(path)


@pytest.mark.guarantee("Whichever call to the system fails, the old or the new file is there, whole.")
def test_no_file_and_no_folder_to_write_to(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        learner().resume(tmp_path / "none")
    with pytest.raises(CheckpointError, match="cannot be written"):
        learner().save("/proc/checkpoint")
