"""A checkpoint is replaced only by the training run that wrote it last, or that goes on from it."""

import os
import shutil
import sys

import numpy as np
import pytest
from processes import PIPE, started
from small_training import learner

import scratchnet as sn
from backends import xp
from scratchnet import files
from scratchnet.errors import CheckpointError
from scratchnet.locked import locked


def gone_on(path, epochs=0):
    """Return a learner that has resumed from the file, and has trained without writing it."""
    other = learner()
    other.resume(path)
    other.fit(epochs, None)
    return other


@pytest.mark.guarantee("A checkpoint is replaced only by the run that wrote or resumed it last.")
def test_a_run_that_another_has_gone_on_from_does_not_write_over_it(tmp_path):
    path, first = tmp_path / "c", learner()
    first.fit(1, None, path)
    late, second = gone_on(path, 1), gone_on(path)
    second.fit(3, None, path)
    for older in (first, late):
        with pytest.raises(CheckpointError, match="is now of another training"):
            older.fit(1, None, path)
        with pytest.raises(CheckpointError, match=r"is now of another training.*resume"):
            older.save(path)
    assert gone_on(path).epochs == 4
    second.fit(1, None, path)
    assert gone_on(path).epochs == 5


def test_it_is_noticed_at_each_save_also_while_a_run_goes_on(tmp_path):
    path, training = tmp_path / "c", learner()

    def replace(_):
        other = learner()
        other.fit(5, None)
        other.save(tmp_path / "other", overwrite=True)
        shutil.copy(tmp_path / "other", path)

    with pytest.raises(CheckpointError, match="is now of another training"):
        training.fit(2, replace, path)
    assert gone_on(path).epochs == 5


def test_a_learner_that_went_back_does_not_write_over_its_later_epochs(tmp_path):
    training, early, late = learner(), tmp_path / "early", tmp_path / "late"
    training.fit(1, None, early)
    training.fit(4, None, late)
    training.resume(early)
    with pytest.raises(CheckpointError, match="is there already, of another training"):
        training.fit(1, None, late)
    assert gone_on(late).epochs == 5
    training.fit(1, None, early)


def test_a_run_knows_its_own_file_by_its_content(tmp_path):
    path, training = tmp_path / "c", learner()
    training.fit(1, lambda _: training.save(tmp_path / "first"), path)
    (tmp_path / "copy").write_bytes(path.read_bytes())
    training.fit(1, None, tmp_path / "copy")
    training.fit(1, lambda _: training.save(tmp_path / "second"), path, every=5)
    path.unlink()
    training.fit(1, None, path)
    assert gone_on(path).epochs == 4
    (tmp_path / "empty").touch()
    training.save(tmp_path / "empty")


@pytest.mark.parametrize("content", ["text", "network", "training"])
def test_another_file_is_replaced_only_if_asked(tmp_path, content):
    path = tmp_path / "c"
    {
        "text": lambda: path.write_text("a thesis"),
        "network": lambda: sn.save(path, learner().net.state_dict()),
        "training": lambda: learner().fit(1, None, path),
    }[content]()
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match="is there already"):
        learner().save(path)
    with pytest.raises(CheckpointError, match="is there already"):
        learner().fit(1, None, path)
    log = tmp_path / "log.csv"
    learner().fit(1, None, callbacks=[sn.CSVLogger(log)])
    logged = log.read_bytes()
    with pytest.raises(CheckpointError, match="is there already"):
        learner().fit(1, None, path, callbacks=[sn.CSVLogger(log)])
    assert (path.read_bytes(), log.read_bytes()) == (before, logged)
    learner().save(path, overwrite=True)
    assert gone_on(path).epochs == 0


def test_two_runs_of_a_process_do_not_write_one_file_at_the_same_time(tmp_path):
    path, causes = tmp_path / "c", []

    def other(_):
        late = gone_on(path)
        for work in (lambda: late.fit(1, None, path), lambda: late.save(path)):
            with pytest.raises(CheckpointError, match="another training run writes it now") as caught:
                work()
            causes.append(caught)

    learner().fit(1, other, path)
    assert len(causes) == 2
    gone_on(path).fit(1, None, path)
    assert os.listdir(tmp_path) == ["c"]


RUNS = """
import sys
from small_training import learner
learner().fit(2, lambda _: (print("trains", flush=True), sys.stdin.readline()), sys.argv[1])
"""


@pytest.mark.guarantee("A checkpoint is replaced only by the run that wrote or resumed it last.")
def test_a_run_that_still_runs_is_not_gone_on_with_in_another_process(tmp_path):
    path = tmp_path / "c"
    with started(sys.executable, "-c", RUNS, path, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout.readline() == b"trains\n"
        with pytest.raises(CheckpointError, match="another training run writes it now; wait until"):
            gone_on(path).fit(1, None, path)
        assert set(os.listdir(tmp_path)) == {"c", ".c.lock"}
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            pipe.close()
    gone_on(path).fit(1, None, path)  # a process that is killed holds nothing
    assert os.listdir(tmp_path) == ["c"]


@pytest.mark.guarantee("Data that were changed in place are other data for a resume.")
def test_data_that_change_in_place_are_other_data(tmp_path, backend):
    changed, path = learner(), tmp_path / "c"
    changed.fit(1, None, path)
    changed.train.inputs[3, 5] += 1
    changed.fit(1, None, path)
    with pytest.raises(CheckpointError, match=r"data of no name with fingerprint"):
        gone_on(path)
    again = learner()
    again.train.inputs[3, 5] += 1
    again.resume(path)


@pytest.mark.parametrize("change", ["order", "shifted", "label"])
def test_each_change_in_place_is_noticed(change, backend):
    loader = learner().train
    before = loader.fingerprint()
    assert loader.fingerprint() == before
    if change == "order":
        loader.inputs[...] = loader.inputs[::-1].copy()
    elif change == "shifted":
        loader.inputs[...] = xp.roll(loader.inputs, 8, axis=1)
    else:
        loader.targets[0] = (loader.targets[0] + 1) % 5
    assert loader.fingerprint() != before


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_labels_that_change_places_are_noticed_also_if_they_are_one_hot(dtype, backend):
    loader = sn.ArrayDataLoader(np.zeros((4, 2), np.float32), np.eye(4, dtype=dtype), 2)
    before = loader.fingerprint()
    loader.targets[...] = loader.targets[xp.asarray([2, 1, 0, 3])]
    assert loader.fingerprint() != before


@pytest.mark.parametrize("error", [OSError(5, "I/O error"), KeyboardInterrupt()])
def test_after_a_save_that_failed_at_its_end_the_file_is_still_the_run_s(tmp_path, monkeypatch, error):
    def fail(folder):
        raise error

    path, training = tmp_path / "c", learner()
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(files, "_settle", fail)
            with pytest.raises((CheckpointError, KeyboardInterrupt)):
                training.fit(1, None, path)
        assert path.exists()
    training.fit(1, None, path)
    assert gone_on(path).epochs == training.epochs


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_no_save_replaces_a_pipe_or_a_device_even_if_asked_to(tmp_path):
    os.mkfifo(pipe := tmp_path / "pipe")
    os.symlink(pipe, link := tmp_path / "link")
    for path in (pipe, link):
        with pytest.raises(CheckpointError, match="is a folder, a pipe or a device"):
            learner().save(path, overwrite=True)
    assert pipe.is_fifo()
    assert link.is_symlink()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_hold_what_its_parent_holds(tmp_path):
    path = str(tmp_path / "c")
    with locked(path):
        child = os.fork()
        if not child:
            try:
                with locked(path):
                    os._exit(1)
            except BlockingIOError as taken:  # by the parent
                os._exit(0 if taken.filename.endswith(".lock") else 2)
        assert os.waitpid(child, 0)[1] == 0
    with locked(path):
        pass


def test_a_user_s_file_with_the_name_of_the_lock_stays(tmp_path):
    notes = tmp_path / ".c.lock"
    notes.write_text("a thesis")
    learner().fit(1, None, tmp_path / "c")
    assert notes.read_text() == "a thesis"


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_cannot_be_a_lock_is_an_error_and_stays(tmp_path, kind):
    notes, lock = tmp_path / "notes", tmp_path / ".c.lock"
    notes.touch()
    {"link": lambda: lock.symlink_to(notes), "folder": lock.mkdir, "pipe": lambda: os.mkfifo(lock)}[
        kind
    ]()
    with pytest.raises(CheckpointError, match=r"c: cannot be written: .*\.c\.lock, .* rename it"):
        learner().fit(1, None, tmp_path / "c")
    assert set(os.listdir(tmp_path)) == {".c.lock", "notes"}


@pytest.mark.parametrize("name", ["n" * 255, "é" * 127, "𝄞" * 63])
def test_a_long_name_is_saved_and_has_a_lock_of_its_own(tmp_path, name):
    path, listed = tmp_path / name, []
    with locked(str(path.with_name(name[:-1]))):
        learner().fit(1, lambda _: listed.extend(os.listdir(tmp_path)), path)
    assert len([each for each in listed if each.endswith(".lock")]) == 2
    assert os.listdir(tmp_path) == [name]
    gone_on(path)
