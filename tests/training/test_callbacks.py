"""Callbacks: when they are called, and what they do; alone, stopped, resumed and interrupted."""

import os
import signal
import textwrap
import weakref

import numpy as np
import pytest
from arrays import host
from needed import needs
from processes import python
from small_training import learner

import scratchnet as sn
from backends import active, transfers
from scratchnet.errors import CheckpointError, LostStateWarning, OperandError, SettingError
from scratchnet.training.outside import collector_paused


class Told(sn.Callback):
    """Writes down its calls."""

    only_writes = True

    def __init__(self):
        self.events = []

    def on_train_begin(self):
        self.events.append(("train begins", self.learner.epochs, self.until))

    def on_epoch_begin(self, epoch):
        self.events.append(("epoch begins", epoch))

    def on_epoch_end(self, epoch, logs):
        self.events.append(("epoch ends", epoch, logs))

    def on_train_end(self):
        self.events.append("train ends")

    def close(self):
        self.events.append("closed")


class Measured(sn.Evaluator):
    """Returns given figures in turn."""

    def __init__(self, valid_losses):
        self.valid_losses, self.done = list(valid_losses), 0

    def evaluate(self, net):
        self.done += 1
        return sn.EpochMetrics(1.0, self.valid_losses[self.done - 1], 0.5, 0.5)

    def state_dict(self):
        return {"done": self.done}

    def load_state_dict(self, state):
        self.done = state["done"]


def weights(training):
    return {path: value.tobytes() for path, value in training.net.state_dict().items()}


def test_what_is_told_and_when(backend):
    told, training = Told(), learner()
    training.fit(1, None)
    lines = []
    training.fit(2, lambda line: lines.append(len(told.events)), callbacks=[told])
    logs = [
        dict(zip(training.history, row, strict=True))
        for row in zip(*training.history.values(), strict=True)
    ]
    assert told.events == [
        ("train begins", 1, 3),
        ("epoch begins", 1), ("epoch ends", 1, logs[1]),
        ("epoch begins", 2), ("epoch ends", 2, logs[2]),
        "train ends", "closed",
    ]  # fmt: skip
    assert lines == [3, 5]  # the line comes after all callbacks


@pytest.mark.parametrize("error", [KeyboardInterrupt, sn.NonFiniteLossError, RuntimeError])
def test_after_an_error_they_are_closed_and_the_end_is_not_told(error):
    told, training = Told(), learner()

    class Failing(sn.Callback):
        def on_epoch_end(self, epoch, logs):
            raise error

    with pytest.raises(error):
        training.fit(3, None, callbacks=[told, Failing()])
    assert told.events[-2][0] == "epoch ends"
    assert told.events[-1] == "closed"
    assert training.epochs == 1
    training.fit(1, None)  # it ended between two epochs
    assert weights(training) == weights(fitted(2))


def fitted(epochs, **options):
    training = learner()
    training.fit(epochs, None, **options)
    return training


def board(folder, **options):
    needs("tensorboardX")
    return sn.TensorBoard(folder, **options)


@pytest.mark.guarantee("Callbacks and checkpoints change no bit of a training run.")
@pytest.mark.parametrize("with_tensorboard", [False, True])
def test_callbacks_change_no_bit_and_make_no_crossing(backend, tmp_path, with_tensorboard):
    def crossings(callbacks):
        training = learner()
        training.fit(2, None)  # then an epoch is one launch, if possible
        before = transfers()
        training.fit(2, None, callbacks=callbacks)
        return weights(training), tuple(np.subtract(transfers(), before))

    all_of_them = [
        Told(), sn.EarlyStopping(patience=9), sn.CSVLogger(tmp_path / "log.csv"), sn.ProgressBar(),
        *([board(tmp_path / "board")] if with_tensorboard else ()),
    ]  # fmt: skip
    assert crossings(all_of_them) == crossings([])


def test_a_learner_is_freed_without_the_collector_though_its_callbacks_live():
    stopping, training = sn.EarlyStopping(patience=9), learner()
    training.fit(2, None, callbacks=[stopping, sn.ProgressBar()])
    gone = weakref.ref(training)
    with collector_paused():
        del training
        assert gone() is None
    with pytest.raises(SettingError, match="EarlyStopping: has no learner"):
        _ = stopping.learner


def test_what_is_no_callback_is_named():
    with pytest.raises(OperandError, match="the class EarlyStopping given, a Callback expected"):
        learner().fit(1, None, callbacks=[sn.EarlyStopping])
    with pytest.raises(OperandError, match="function given, a Callback expected"):
        learner().fit(1, None, callbacks=[lambda: None])


def test_none_is_no_callback_and_one_alone_is_no_list():
    learner().fit(1, None, callbacks=None)
    with pytest.raises(OperandError, match=r"EarlyStopping given, a list expected, such as \["):
        learner().fit(1, None, callbacks=sn.EarlyStopping())


def test_a_hook_for_batches_is_named_before_training():
    class Batches(sn.Callback):
        def on_train_batch_end(self, batch, logs):
            raise AssertionError

    with pytest.raises(OperandError, match=r"Batches.on_train_batch_end would never be called"):
        learner().fit(1, None, callbacks=[Batches()])


def test_a_fit_within_fit_is_refused_and_the_outer_one_can_be_gone_on_with(tmp_path):
    class Nested(sn.Callback):
        def on_epoch_end(self, epoch, logs):
            training.fit(1, None)

    training, told = learner(), Told()
    with pytest.raises(SettingError, match="within this learner's fit"):
        training.fit(2, None, callbacks=[told, Nested()])
    assert told.events[-1] == "closed"
    training.fit(1, None, callbacks=[told])
    assert weights(training) == weights(fitted(2))


def test_a_callback_is_told_of_one_training_at_a_time():
    shared = sn.EarlyStopping(patience=9)

    class Nested(sn.Callback):
        def on_epoch_end(self, epoch, logs):
            learner().fit(1, None, callbacks=[shared])

    for callbacks in ([shared, Nested()], [shared, shared]):
        with pytest.raises(SettingError, match=r"EarlyStopping\(valid_loss\) is told of a training"):
            learner().fit(2, None, callbacks=callbacks)
    learner().fit(1, None, callbacks=[shared])


@pytest.mark.guarantee("A save replaces no file that scratchnet did not write, unless it is asked to.")
def test_no_two_write_the_same_file_and_nothing_is_touched_before_all_are_checked(tmp_path):
    path, log = tmp_path / "a.st", tmp_path / "log.csv"
    link = tmp_path / "link"
    link.symlink_to(path)
    learner().fit(1, None, callbacks=[sn.CSVLogger(log)])
    before = log.read_bytes()
    for callbacks, message in (
        ([sn.ModelCheckpoint(path)], r"checkpoint=...\) and ModelCheckpoint\(valid_loss\) both write"),
        ([sn.CSVLogger(link)], "CSVLogger both write"),
        ([sn.ModelCheckpoint(log), sn.CSVLogger(log)], "CSVLogger both write"),
        ([sn.CSVLogger(log), sn.EarlyStopping("typo")], "monitor is 'typo'"),
        ([sn.CSVLogger(log), sn.CSVLogger(tmp_path / "none" / "log")], "cannot be written"),
    ):
        with pytest.raises(SettingError, match=message):
            learner().fit(1, None, path, callbacks=callbacks)
        assert not path.exists()
        assert log.read_bytes() == before


# Early stopping


@pytest.mark.parametrize(
    ("losses", "options", "epochs"),
    [
        ([5, 4, 3, 2, 1], {}, 5),
        ([5, 4, 4, 1], {}, 3),
        ([5, 4, 4, 4, 3, 3, 3, 3], {"patience": 3}, 8),
        ([5, 4, 4, 4, 3], {"patience": 2}, 4),
        ([5, 4.5, 4.5, 1], {"min_delta": 1}, 2),
        ([5, 6, 7], {"patience": 1}, 2),
    ],
)
def test_it_stops_where_keras_does(losses, options, epochs):
    training = learner(evaluator=Measured(losses))
    stopping = sn.EarlyStopping(**options)
    training.fit(len(losses), None, callbacks=[stopping])
    assert training.epochs == epochs
    assert stopping.best == min(losses[:epochs]) or options.get("min_delta")
    assert stopping.stopped_epoch == (epochs - 1 if epochs < len(losses) or losses[-1] != 1 else -1)


def test_an_accuracy_is_to_grow():
    class Accurate(Measured):
        def evaluate(self, net):
            return super().evaluate(net) | {"valid_accuracy": 1 - self.valid_losses[self.done - 1]}

    training = learner(evaluator=Accurate([0.5, 0.4, 0.3, 0.4, 0.2]))
    training.fit(5, None, callbacks=[sn.EarlyStopping("valid_accuracy")])
    assert training.epochs == 4


def test_the_best_weights_are_restored(backend):
    for losses in ([3, 1, 2, 2], [3, 1, 2]):  # stopped, or at the end of its epochs
        training = learner(evaluator=Measured(losses))
        stopping = sn.EarlyStopping(patience=2, restore_best_weights=True)
        training.fit(len(losses), None, callbacks=[stopping])
        assert (stopping.best, stopping.best_epoch) == (1, 1)
        assert weights(training) == weights(fitted(2))


def test_one_that_has_stopped_a_training_begins_anew_and_so_does_one_of_another_learner():
    stopping = sn.EarlyStopping()
    for _ in range(2):
        training = learner(evaluator=Measured([2, 3, 5, 4, 9, 8]))
        training.fit(6, None, callbacks=[stopping])
        assert training.epochs == 2
    training.fit(4, None, callbacks=[stopping])
    assert training.epochs == 5  # 5, 4, 9


LOSSES = [5, 4, 6, 6, 6, 6, 6, 6]


@pytest.mark.guarantee("After a resume, callbacks go on where they were.")
@pytest.mark.parametrize("begun", [1, 2, 3, 4, 5])
def test_resumed_it_goes_on_counting(tmp_path, begun):
    def stopping():
        return sn.EarlyStopping(patience=3, restore_best_weights=True)

    never = learner(evaluator=Measured(LOSSES))
    never.fit(8, None, callbacks=[stopping()])
    assert never.epochs == 5
    first = learner(evaluator=Measured(LOSSES))
    first.fit(begun, None, tmp_path / "c", callbacks=[stopping()])
    resumed = learner(evaluator=Measured(LOSSES))
    resumed.resume(tmp_path / "c")
    resumed.fit(8 - begun, None, tmp_path / "c", callbacks=[stopping()])
    assert resumed.epochs == 5
    assert weights(resumed) == weights(never)
    in_two = learner(evaluator=Measured(LOSSES))
    kept = sn.EarlyStopping(patience=3)
    in_two.fit(1, None, callbacks=[kept])
    in_two.fit(7, None, callbacks=[kept])
    assert in_two.epochs == 5


def test_stopped_in_the_middle_of_an_epoch_nothing_is_restored():
    class Stopping(sn.Callback):
        def on_epoch_begin(self, epoch):
            if epoch == 2:
                self.learner.stop()  # after the first batch

    training = learner(evaluator=Measured([1, 2, 3, 4]))
    training.fit(
        4, None, callbacks=[sn.EarlyStopping(patience=9, restore_best_weights=True), Stopping()]
    )
    assert (training.epochs, training.batches_done) == (2, 1)
    training.fit(2, None)
    assert weights(training) == weights(fitted(4))


@pytest.mark.guarantee("After a resume, callbacks go on where they were.")
def test_state_that_nobody_takes_is_told(tmp_path):
    training = learner()
    training.fit(2, None, tmp_path / "c", callbacks=[sn.EarlyStopping("train_loss", patience=5)])
    for other in ([], [sn.EarlyStopping("valid_loss", patience=5)]):
        resumed = learner()
        resumed.resume(tmp_path / "c")
        with pytest.warns(LostStateWarning, match=r"EarlyStopping\(train_loss\) has counted") as caught:
            resumed.fit(1, None, callbacks=other)
        assert caught[0].filename == __file__


def test_two_that_wait_for_the_same_are_told_apart_though_their_order_changes(tmp_path):
    def pair():
        return [sn.EarlyStopping(patience=7), sn.EarlyStopping(patience=9, min_delta=9)]

    training, begun = learner(evaluator=Measured([5, 4, 3, 2])), pair()
    training.fit(3, None, tmp_path / "c", callbacks=begun)
    resumed, again = learner(evaluator=Measured([5, 4, 3, 2])), pair()
    resumed.resume(tmp_path / "c")
    resumed.fit(0, None, callbacks=again[::-1])
    assert [each.wait for each in again] == [each.wait for each in begun] == [0, 2]


def test_best_weights_that_the_checkpoint_does_not_keep_are_told(tmp_path):
    def stopping(restore):
        return sn.EarlyStopping(patience=9, restore_best_weights=restore)

    def resumed(restore):
        training = learner(evaluator=Measured([3, 1, 2, 2]))
        training.resume(tmp_path / "c")
        training.fit(1, None, callbacks=[stopping(restore)])
        return weights(training)

    learner(evaluator=Measured([3, 1, 2])).fit(3, None, tmp_path / "c", callbacks=[stopping(False)])
    with pytest.warns(
        LostStateWarning, match="does not keep the weights of the best epoch, 1"
    ) as caught:
        assert resumed(True) == weights(fitted(4))
    assert caught[0].filename == __file__
    (tmp_path / "c").unlink()
    learner(evaluator=Measured([3, 1, 2])).fit(3, None, tmp_path / "c", callbacks=[stopping(True)])
    assert resumed(False) == weights(fitted(4))


def test_two_of_a_kind_and_one_that_says_its_own_state(tmp_path):
    class Counting(sn.Callback):
        counted = 0

        def on_epoch_end(self, epoch, logs):
            self.counted += 1

        def state_dict(self):
            return {"counted": self.counted, "array": np.full(2, self.counted)}

        def load_state_dict(self, state):
            assert state["array"].tolist() == 2 * [state["counted"]]
            self.counted = state["counted"]

    learner().fit(2, None, tmp_path / "c", callbacks=[Counting(), Told(), Counting()])
    resumed, again = learner(), [Counting(), Counting()]
    resumed.resume(tmp_path / "c")
    resumed.fit(1, None, callbacks=again)
    assert [each.counted for each in again] == [3, 3]


@pytest.mark.parametrize("make", [sn.EarlyStopping, lambda name: sn.ModelCheckpoint("x", name)])
def test_a_monitor_that_is_not_measured_is_named_before_training(make):
    training = learner()
    with pytest.raises(
        SettingError,
        match=r"'val_loss'; did you mean valid_loss\? there are train_loss, valid_loss, .*duration",
    ):
        training.fit(1, None, callbacks=[make("val_loss")])
    assert training.epochs == training.train.state_dict()["passes"] == 0
    with pytest.raises(SettingError, match=r"'valid_loss'; there are duration"):
        learner(evaluator=None).fit(1, None, callbacks=[make("valid_loss")])


@pytest.mark.parametrize("path", [None, 3, b"x", "", "a\0b", "\ud800"])
@pytest.mark.parametrize("make", [sn.CSVLogger, sn.TensorBoard, sn.ModelCheckpoint])
def test_what_is_no_path_is_named(make, path):
    with pytest.raises(SettingError, match=rf"{make.__name__}: .* is not a path"):
        make(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sn.EarlyStopping(patience=-1), "patience is -1; it must be an integer of at least 0"),
        (lambda: sn.EarlyStopping(patience=1.5), "patience is 1.5"),
        (lambda: sn.EarlyStopping(start_from_epoch=-1), "start_from_epoch is -1"),
        (lambda: sn.EarlyStopping(min_delta=-1), "min_delta is -1; it must be a number of at least 0"),
        (lambda: sn.EarlyStopping(min_delta=float("nan")), "min_delta is nan"),
        (lambda: sn.EarlyStopping(baseline="1"), "baseline is '1'; it must be a finite number or None"),
        (lambda: sn.EarlyStopping(baseline=np.nan), "baseline is nan"),
        (lambda: sn.TensorBoard("x", histogram_freq=-1), "histogram_freq is -1"),
        (lambda: learner().fit(-1), "fit: epochs is -1; it must be an integer of at least 0"),
        (lambda: learner().fit(1, "print"), "fit: report is 'print'; give a function"),
        (lambda: learner().fit(1, every=0), "fit: every is 0; it must be a positive integer"),
        (lambda: sn.EarlyStopping(["valid_loss"]), "it must be a name"),
        (lambda: sn.ModelCheckpoint("x", None), "it must be a name"),
        (lambda: sn.EarlyStopping(restore_best_weights="yes"), "True or False"),
        (lambda: sn.ModelCheckpoint("x", save_best_only="auto"), "True or False"),
        (lambda: learner().fit(1, None, b"x"), "is not a path"),
        (lambda: learner().fit(1, None, callbacks=[sn.CSVLogger("x" * 400)]), "File name too long"),
        (lambda: learner().fit(1, None, callbacks=[board("x" * 400)]), "File name too long"),
    ],
)
def test_wrong_settings_are_named(make, message):
    with pytest.raises(SettingError, match=message):
        make()
    assert sn.EarlyStopping(min_delta=np.float32(0.5)).min_delta == 0.5


# The best network


def test_the_best_network_is_kept_and_tells_its_epoch(backend, tmp_path):
    path = tmp_path / "best.safetensors"
    training = learner(evaluator=Measured([3, 1, 2]))
    training.fit(3, None, callbacks=[sn.ModelCheckpoint(path, save_best_only=True)])
    best = fitted(2).net.state_dict()
    assert {name: each.tobytes() for name, each in sn.load(path).items()} == {
        name: each.tobytes() for name, each in best.items()
    }
    told = sn.load_metadata(path)
    assert (told["epoch"], told["valid_loss"]) == ("1", "1.0")
    training.net.load_state_dict(sn.load(path))
    assert weights(training) == weights(fitted(2))
    assert [each.name for each in tmp_path.iterdir()] == ["best.safetensors"]


def test_every_network_is_kept_in_a_file_of_its_own(tmp_path):
    path = tmp_path / "net-{epoch:02d}-{valid_loss:.1f}"
    learner(evaluator=Measured([3, 1, 2])).fit(3, None, callbacks=[sn.ModelCheckpoint(path)])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["net-00-3.0", "net-01-1.0", "net-02-2.0"]


@pytest.mark.guarantee("After a resume, callbacks go on where they were.")
def test_resumed_it_knows_the_best_so_far(tmp_path):
    best, losses = sn.ModelCheckpoint(tmp_path / "best", save_best_only=True), [3, 1, 2, 2]
    learner(evaluator=Measured(losses)).fit(2, None, tmp_path / "c", callbacks=[best])
    resumed = learner(evaluator=Measured(losses))
    resumed.resume(tmp_path / "c")
    resumed.fit(2, None, callbacks=[sn.ModelCheckpoint(tmp_path / "best", save_best_only=True)])
    assert sn.load_metadata(tmp_path / "best")["epoch"] == "1"


def test_a_path_that_will_not_do_is_named_before_training(tmp_path):
    for path, message in (
        (tmp_path / "none" / "x", "there is no folder"), (tmp_path, "is a folder"),
        (tmp_path / "{val_loss}", "there may be epoch, train_loss"),
        (tmp_path / "{epoch:s}", "a format"), (tmp_path / "{epoch[0]}", "a format"),
        (tmp_path / "{epoch.__class__}", "a format"), (tmp_path / "{}", "a format"),
        (tmp_path / ("x" * 400), "cannot be written"), ("/proc/network", "cannot be written"),
    ):  # fmt: skip
        training = learner()
        with pytest.raises(SettingError, match=message):
            training.fit(1, None, callbacks=[sn.ModelCheckpoint(path)])
        assert training.epochs == 0


@pytest.mark.guarantee("A save replaces no file that scratchnet did not write, unless it is asked to.")
@pytest.mark.parametrize("name", ["a.st", "epoch-{epoch}"])
def test_only_a_network_saved_before_is_replaced(tmp_path, name):
    file = tmp_path / name.format(epoch=0)
    learner().fit(2, None, file)
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("long")
    for path, kind in ((tmp_path / name, "a scratchnet training"), (thesis, "a file of another kind")):
        training = learner()
        with pytest.raises(SettingError, match=f"is there already, {kind}"):
            training.fit(1, None, callbacks=[sn.ModelCheckpoint(path)])
        assert training.epochs == 0
    learner().resume(file)
    assert thesis.read_text() == "long"


@pytest.mark.guarantee("A save replaces no file that scratchnet did not write, unless it is asked to.")
def test_a_file_that_comes_to_be_there_while_it_trains_is_not_replaced(tmp_path):
    named = sn.ModelCheckpoint(tmp_path / "{epoch}")
    with pytest.raises(SettingError, match="is there already, a scratchnet training"):
        learner().fit(2, None, tmp_path / "1", callbacks=[named])
    learner().resume(tmp_path / "1")


# CSV


def test_the_log_is_the_history_to_the_last_bit(backend, tmp_path):
    import pandas as pd

    path, training = tmp_path / "log.csv", learner()
    training.fit(3, None, callbacks=[sn.CSVLogger(path)])
    table = pd.DataFrame(training.history).rename_axis(index="epoch")
    pd.testing.assert_frame_equal(pd.read_csv(path, index_col="epoch"), table)
    rows = [line.split(",")[1:] for line in path.read_text().splitlines()[1:]]
    assert [[float(each) for each in row] for row in rows] == table.to_numpy().tolist()


@pytest.mark.guarantee("The log of a run that was killed and resumed is that of an unbroken run.")
def test_the_log_of_a_resumed_training_is_that_of_one_that_never_stopped(tmp_path):
    import pandas as pd

    def figures(name):
        return pd.read_csv(tmp_path / name).drop(columns="duration")

    learner().fit(4, None, callbacks=[sn.CSVLogger(tmp_path / "never")])
    training = learner()
    training.fit(2, None, tmp_path / "c", callbacks=[sn.CSVLogger(tmp_path / "log")])
    training.fit(1, None, callbacks=[sn.CSVLogger(tmp_path / "log")])  # after the checkpoint: lost
    resumed = learner()
    resumed.resume(tmp_path / "c")
    resumed.fit(2, None, callbacks=[sn.CSVLogger(tmp_path / "log")])
    pd.testing.assert_frame_equal(figures("log"), figures("never"), check_exact=True)


@pytest.mark.guarantee("A save replaces no file that scratchnet did not write, unless it is asked to.")
def test_append_keeps_what_is_there_and_refuses_other_columns(tmp_path):
    path = tmp_path / "log.csv"
    for _ in range(2):
        learner().fit(2, None, callbacks=[sn.CSVLogger(path, append=True)])
    lines = path.read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["epoch", "0", "1", "0", "1"]
    before = path.read_bytes()
    with pytest.raises(SettingError, match=r"its columns are 'epoch,train_loss.* not 'epoch,duration'"):
        learner(evaluator=None).fit(1, None, callbacks=[sn.CSVLogger(path, append=True)])
    assert path.read_bytes() == before
    (tmp_path / "thesis.txt").write_text("long")
    with pytest.raises(SettingError, match=r"thesis.txt: is there already, and is no log of scratchnet"):
        learner().fit(1, None, callbacks=[sn.CSVLogger(tmp_path / "thesis.txt")])
    assert (tmp_path / "thesis.txt").read_text() == "long"
    quakes = tmp_path / "quakes.csv"
    quakes.write_text("epoch,station,magnitude\n1995,4,6.9\n")
    with pytest.raises(SettingError, match=r"quakes.csv: is there already"):
        learner().fit(1, None, callbacks=[sn.CSVLogger(quakes)])
    learner().fit(1, None, callbacks=[sn.CSVLogger(quakes, overwrite=True)])
    assert quakes.read_text().startswith("epoch,train_loss")
    path.write_bytes(before[:-3])
    with pytest.raises(SettingError, match="its last line has no end"):
        learner().fit(1, None, callbacks=[sn.CSVLogger(path, append=True)])


def test_a_log_that_cannot_be_written_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "none" / "log", "/proc/log", tmp_path / "pipe"):
        with pytest.raises(SettingError, match=r"CSVLogger: .*: cannot be written"):
            learner().fit(1, None, callbacks=[sn.CSVLogger(path)])
    assert (tmp_path / "pipe").is_fifo()
    with pytest.raises(CheckpointError, match="is a folder, a pipe or a device"):
        learner().save(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


KILLED = """
import os, signal, sys
import scratchnet as sn
from small_training import learner

class Kill(sn.Callback):
    def on_epoch_end(self, epoch, logs):
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)

learner().fit(9, None, callbacks=[sn.CSVLogger(sys.argv[1]), sn.TensorBoard(sys.argv[2]), Kill()])
"""


@pytest.mark.guarantee("The log of a run that was killed and resumed is that of an unbroken run.")
def test_killed_the_logs_have_all_that_was_told(tmp_path):
    needs("tensorboardX")
    done = python("-c", textwrap.dedent(KILLED), tmp_path / "log", tmp_path / "board")
    assert done.returncode == -signal.SIGKILL
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line[:2] for line in lines] == ["ep", "0,", "1,", "2,"]
    assert [step for step, _ in scalars(tmp_path / "board", "train_loss")] == [0, 1, 2]


# TensorBoard


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    return found.Reload()


def scalars(folder, name):
    return [(each.step, each.value) for each in events(folder).Scalars(name)]


def test_tensorboard_reads_what_was_written(backend, tmp_path):
    training = learner()
    training.fit(4, None, callbacks=[board(tmp_path, histogram_freq=2)])
    for name, series in training.history.items():
        assert scalars(tmp_path, name) == [(step, np.float32(each)) for step, each in enumerate(series)]
    path, parameter = next(iter(training.net.named_parameters()))
    histograms = events(tmp_path).Histograms(path)
    assert [each.step for each in histograms] == [1, 3]
    found, values = histograms[-1].histogram_value, host(parameter)
    assert (found.num, sum(found.bucket)) == (values.size, values.size)
    assert (found.min, found.max) == (values.min(), values.max())


@pytest.mark.guarantee("The log of a run that was killed and resumed is that of an unbroken run.")
def test_tensorboard_leaves_out_what_was_trained_again(tmp_path):
    training = learner()
    training.fit(2, None, tmp_path / "c", callbacks=[board(tmp_path / "board")])
    training.fit(2, None, callbacks=[board(tmp_path / "board")])
    resumed = learner()
    resumed.resume(tmp_path / "c")
    resumed.fit(1, None, callbacks=[board(tmp_path / "board")])
    expected = [(step, np.float32(each)) for step, each in enumerate(resumed.history["valid_loss"])]
    assert scalars(tmp_path / "board", "valid_loss") == expected
    assert len(os.listdir(tmp_path / "board")) == 3


def test_tensorboard_that_cannot_write_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=r"TensorBoard: .*file: cannot be written"):
        learner().fit(1, None, callbacks=[board(tmp_path / "file")])


@pytest.mark.guarantee("Without the optional packages, the rest works, and a line says what to install.")
def test_tensorboard_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingError, match=r'pip install "scratchnet\[tensorboard\]"'):
        sn.TensorBoard(tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_ends_the_training_and_names_the_log(tmp_path, monkeypatch):
    (tmp_path / "log").symlink_to("/dev/full")
    training, told = learner(), Told()
    for name in ("check_place", "check_replaceable", "write_whole"):
        monkeypatch.setattr(f"scratchnet.training.callbacks.csv_logger.{name}", lambda *_: None)
    with pytest.raises(SettingError, match=r"CSVLogger: .*No space left"):
        training.fit(2, None, callbacks=[told, sn.CSVLogger(tmp_path / "log")])
    assert told.events[-1] == "closed"


def test_the_names_of_the_library_cost_no_import_of_what_they_draw_with():
    code = "import sys, scratchnet as sn; sn.TensorBoard('x'); sn.LiveCurves(); print(*sys.modules)"
    needs("uniplot")
    needs("tensorboardX")
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert not loaded & {"rich", "uniplot", "tensorboardX", "pandas", "matplotlib"}
    assert active().name == "numpy"
