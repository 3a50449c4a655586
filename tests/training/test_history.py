"""The history goes straight into pandas, after errors and interruptions too."""

import re
import sys
from itertools import count

import numpy as np
import pandas as pd
import pytest
from small_training import learner

import scratchnet as sn
import scratchnet.training.history
from scratchnet.errors import CheckpointError, NonFiniteLossError, SettingError
from scratchnet.training import resume
from scratchnet.training.history import History

ALL = ["train_loss", "valid_loss", "train_accuracy", "valid_accuracy", "duration"]


class TrainingAlone(sn.Evaluator):
    """Measures no validation set."""

    measures = ("train_loss", "train_accuracy")

    def __init__(self):
        self.losses = iter([3.0, 2.0, 1.0])

    def evaluate(self, net):
        return sn.EpochMetrics(next(self.losses), np.nan, 0.5, np.nan)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def table(training):
    return pd.DataFrame(training.history)


def test_with_and_without_an_evaluator(backend):
    training = learner()
    assert table(training).shape == (0, 5)
    history = training.fit(3, None)
    assert history is training.history
    assert list(table(training)) == ALL
    assert table(training).shape == (3, 5)
    assert table(training).dtypes.unique().tolist() == [np.float64]
    alone, lines = learner(evaluator=None), []
    alone.fit(2, lines.append)
    assert re.fullmatch(r"epoch:  1 duration: .*ms", lines[1])
    assert list(table(alone)) == ["duration"]
    assert len(table(alone)) == 2


def test_without_validation_there_is_nothing_of_it_in_the_history_and_the_line():
    training, lines = learner(evaluator=TrainingAlone()), []
    training.fit(2, lines.append)
    assert list(table(training)) == ["train_loss", "train_accuracy", "duration"]
    assert lines[1].endswith(" loss: 2.0000\taccuracy: 0.5000")


@pytest.mark.guarantee("The lists of the history have equal lengths, also after an error or Ctrl-C.")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_after_a_loss_that_is_no_number():
    class Broken(TrainingAlone):
        def evaluate(self, net):
            return super().evaluate(net) | {"train_accuracy": np.inf}

    training, lines = learner(evaluator=Broken()), []
    with pytest.raises(
        NonFiniteLossError, match=r"after epoch 0 train_loss is 3.0, train_accuracy is inf"
    ):
        training.fit(2, lines.append)
    assert len(table(training)) == len(lines) == 1
    training.evaluator = TrainingAlone()
    training.fit(2, None)
    assert len(table(training)) == training.epochs == 2  # the interrupted epoch starts again


@pytest.mark.guarantee("The lists of the history have equal lengths, also after an error or Ctrl-C.")
def test_after_an_interrupt_in_the_evaluation_or_in_a_step():
    class Interrupted(TrainingAlone):
        def evaluate(self, net):
            raise KeyboardInterrupt

    def interrupted(output, labels):
        raise KeyboardInterrupt

    training = learner()
    training.fit(1, None)
    for name, broken in (("loss", interrupted), ("evaluator", Interrupted())):
        whole = getattr(training, name)
        setattr(training, name, broken)
        if name == "evaluator":
            broken.measures = sn.Evaluator.measures
        with pytest.raises(KeyboardInterrupt):
            training.fit(1, None)
        setattr(training, name, whole)
        assert table(training).shape == (1, 5)
    training.fit(1, None)
    assert table(training).shape == (2, 5)


def is_interrupted(number, work):
    """Interrupt the work before the n-th instruction of history.py. Return whether it had that many."""

    def trace(frame, event, _):
        nonlocal number
        if frame.f_code.co_filename != scratchnet.training.history.__file__:
            return None
        frame.f_trace_opcodes = True
        number -= event == "opcode"
        if not number:
            raise KeyboardInterrupt
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(former)
    return False


@pytest.mark.guarantee("The lists of the history have equal lengths, also after an error or Ctrl-C.")
def test_ctrl_c_at_any_moment_leaves_lists_equally_long():
    def work():
        history.add(dict.fromkeys(ALL, 1.0), 1.0)
        history.cut(1)

    reached = set()
    for number in count(1):
        history = History()
        history.begin(ALL[:-1])
        history.add(dict.fromkeys(ALL, 1.0), 1.0)
        interrupted = is_interrupted(number, work)
        (length,) = {len(each) for each in history.values()}
        reached.add(length)
        if not interrupted:
            break
    assert (reached, length) == ({1, 2}, 1)
    assert number > 20


@pytest.mark.parametrize("make", [lambda: True, lambda: None, TrainingAlone])
def test_after_a_resume(tmp_path, make):
    training = learner(evaluator=make())
    training.fit(2, None, tmp_path / "c")
    again = learner(evaluator=make())
    again.resume(tmp_path / "c")
    pd.testing.assert_frame_equal(table(again), table(training), check_exact=True)
    again.fit(1, None)
    assert len(table(again)) == 3
    assert again.epochs == 3


def test_a_checkpoint_with_empty_series_of_what_was_not_measured(tmp_path):
    """Test the form before the history held only what is measured."""
    training = learner(evaluator=None)
    training.fit(2, None)
    state = resume.state_of(training)
    state["history"] = {name: np.zeros(0) for name in ALL[:-1]} | state["history"]
    resume.save_training(tmp_path / "c", state, {})
    again = learner(evaluator=None)
    again.resume(tmp_path / "c")
    assert again.history == training.history
    state["history"]["train_loss"] = np.zeros(1)
    resume.save_training(tmp_path / "c", state, {})
    with pytest.raises(CheckpointError, match="its history is not float64 series"):
        again.resume(tmp_path / "c")


def test_series_of_different_lengths_are_refused(tmp_path):
    training = learner()
    training.fit(2, None)
    state = resume.state_of(training)
    state["history"]["duration"] = np.zeros(1)
    resume.save_training(tmp_path / "c", state, {})
    with pytest.raises(CheckpointError, match="of equal length"):
        training.resume(tmp_path / "c")


def test_an_evaluator_that_measures_something_else_is_named():
    training = learner()
    training.evaluator = TrainingAlone()
    training.fit(1, None)
    assert list(table(training)) == ["train_loss", "train_accuracy", "duration"]
    training.evaluator = None
    with pytest.raises(SettingError, match="measures duration, and the epochs before have train_loss"):
        training.fit(1, None)
