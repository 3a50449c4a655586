"""Callbacks see batches, except those of a captured epoch; and `save_freq` counts batches."""

import numpy as np
import pytest
from noisy import learner, outcome
from small_training import learner as fused_learner
from test_callbacks import weights

import scratchnet as sn
from backends import CaptureError, active, transfers, use
from scratchnet.errors import CaptureWarning, CheckpointError, OperandError, SettingError

BATCHES = 5


class Told(sn.Callback):
    """Writes down its calls."""

    def __init__(self):
        self.events = []

    def on_epoch_begin(self, epoch):
        self.events.append(f"epoch {epoch}")

    def on_batch_begin(self, batch):
        self.events.append(f"begin {batch}")

    def on_batch_end(self, batch, logs):
        assert logs.keys() == {"loss"}
        self.events.append((batch, logs["loss"]))

    def batches(self):
        return [each[0] for each in self.events if isinstance(each, tuple)]


def tanh_learner(capture=False):
    net = sn.Linear(12, 8, 0, activation=sn.tanh) >> sn.Linear(8, 3, 1)
    return learner(net, capture=capture)


def test_what_is_told_and_when(backend):
    told, training, losses = Told(), tanh_learner(), []

    def loss(output, labels):
        found = sn.softmax_loss(output, labels)
        if training.net.training:
            losses.append(float(found))
        return found

    training.loss = loss
    training.fit(2, None, callbacks=[told])
    expected = []
    for epoch in range(2):
        expected.append(f"epoch {epoch}")
        for batch in range(BATCHES):
            expected += [f"begin {batch}", (batch, losses[epoch * BATCHES + batch])]
    assert told.events == expected
    alone = tanh_learner()
    alone.fit(2, None)
    assert outcome(training) == outcome(alone)


def test_the_loss_is_read_only_for_a_callback_that_asks_for_it(backend):
    class Begins(sn.Callback):
        def on_batch_begin(self, batch):
            pass

    def copies(*callbacks):
        training, before = tanh_learner(), transfers().to_host
        training.fit(2, None, callbacks=callbacks)
        return transfers().to_host - before

    assert copies(Begins(), sn.EarlyStopping(patience=9)) == copies()
    assert copies(Told(), Told()) == copies() + 2 * BATCHES


@pytest.mark.parametrize("make", [tanh_learner, lambda capture: fused_learner(capture=capture)])
def test_of_a_captured_epoch_they_are_not_called_which_is_said_once(make):
    with use("strict"):
        told, training, alone = Told(), make(capture=True), make(capture=True)
        with pytest.warns(CaptureWarning) as caught:
            training.fit(5, None, callbacks=[told])
        alone.fit(5, None)
    assert [str(each.message).partition(":")[0] for each in caught] == [
        "Told.on_batch_begin is not called", "Told.on_batch_end is not called"
    ]  # fmt: skip
    assert caught[0].filename == __file__
    assert training.replay.how == alone.replay.how != "step by step"
    steps = 2 if training.replay.how == "one launch" else 1
    assert len(told.batches()) == steps * len(training.train)
    assert training.history["train_loss"] == alone.history["train_loss"]


class Steers(sn.Callback):
    """Changes training after each batch."""

    def on_batch_end(self, batch, logs):
        self.learner.net[1].bias.data = self.learner.net[1].bias.data * 0.5


def test_one_that_changes_training_is_not_left_out():
    with use("strict"):
        steps, captured = tanh_learner(), tanh_learner(capture="auto")
        steps.fit(5, None, callbacks=[Steers()])
        with pytest.warns(CaptureWarning, match="step by step"):
            captured.fit(5, None, callbacks=[Steers()])
    assert captured.replay.how == "step by step"
    assert outcome(captured) == outcome(steps)


def test_one_that_needs_every_batch_gets_it():
    told = Told()
    told.needs_batches = True
    with use("strict"):
        training = tanh_learner(capture="auto")
        with pytest.warns(
            CaptureWarning, match="step by step, not as one launch: Told needs every batch"
        ):
            training.fit(4, None, callbacks=[told])
        assert told.batches() == 4 * [*range(BATCHES)]
        with pytest.raises(
            CaptureError, match="Told needs every batch; fix that, or give capture=False"
        ):
            tanh_learner(capture=True).fit(1, None, callbacks=[told])


def test_stopped_in_an_epoch_the_next_fit_goes_on_with_its_number(backend):
    class Stops(sn.Callback):
        def on_batch_end(self, batch, logs):
            if batch == 2:
                self.learner.stop()

    training, told = tanh_learner(), Told()
    training.fit(2, None, callbacks=[told, Stops()])
    assert (training.epochs, training.batches_done, told.batches()) == (0, 3, [0, 1, 2])
    training.fit(1, None, callbacks=[told])
    assert told.batches() == [*range(BATCHES)]


def test_an_error_in_a_batch_ends_the_epoch_and_after_fit_none_is_called(tmp_path):
    class Fails(sn.Callback):
        def on_batch_end(self, batch, logs):
            if batch == 2:
                self.learner.save(tmp_path / "c")

    training, told = tanh_learner(), Told()
    with pytest.raises(CheckpointError, match=r"not saved, .*is in the middle of an epoch"):
        training.fit(2, None, callbacks=[told, Fails()])
    seen = len(told.events)
    training.train_on(list(training.train))
    assert len(told.events) == seen
    training.fit(1, None, callbacks=[told])
    assert (training.epochs, training.batches_done) == (1, 0)


@pytest.mark.parametrize("method", ["on_train_batch_end", "on_test_batch_begin"])
def test_a_method_that_is_never_called_is_named(method):
    kind = type("Batches", (sn.Callback,), {method: lambda self, batch, logs: None})
    known = f"on_batch_{method.rpartition('_')[2]}"
    with pytest.raises(OperandError, match=rf"Batches.{method} would never be called; .* is {known}$"):
        learner().fit(1, None, callbacks=[kind()])


# save_freq


def test_a_network_is_saved_after_each_few_batches(tmp_path):
    saving = sn.ModelCheckpoint(tmp_path / "{epoch}-{batch:02d}-{loss:.3f}", save_freq=3)
    told, training = Told(), fused_learner()
    training.fit(2, None, callbacks=[told, saving])
    losses = [each[1] for each in told.events if isinstance(each, tuple)]
    names = [f"0-02-{losses[2]:.3f}", f"1-01-{losses[5]:.3f}"]  # epochs of four batches
    assert sorted(each.name for each in tmp_path.iterdir()) == names
    metadata = sn.load_metadata(tmp_path / names[1])
    assert metadata["kind"] == "scratchnet network"
    assert (metadata["epoch"], metadata["batch"]) == ("1", "1")
    assert float(metadata["loss"]) == losses[5]

    class Stops(sn.Callback):
        def on_batch_end(self, batch, logs):
            if self.learner.epochs == 1 and batch == 1:
                self.learner.stop()

    stopped = fused_learner()
    stopped.fit(2, None, callbacks=[Stops()])
    state = {path: each.tobytes() for path, each in sn.load(tmp_path / names[1]).items()}
    assert state == weights(stopped)


def test_with_a_device_its_epochs_run_step_by_step_and_it_says_so(tmp_path):
    with use("strict"):
        training = tanh_learner(capture="auto")
        saving = sn.ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=4)
        with pytest.warns(CaptureWarning, match="ModelCheckpoint.* needs every batch"):
            training.fit(4, None, callbacks=[saving])
        assert active().captures
    assert len(list(tmp_path.iterdir())) == 5
    with use("strict"), pytest.raises(CaptureError, match="needs every batch"):
        tanh_learner(capture=True).fit(4, None, callbacks=[saving])


def test_a_resumed_run_goes_on_counting_batches(tmp_path):
    def saving():
        return sn.ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=7)

    first, again = tanh_learner(), tanh_learner()
    first.fit(1, None, tmp_path / "c", callbacks=[saving()])
    again.resume(tmp_path / "c")
    again.fit(2, None, callbacks=[saving()])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["1-1", "2-3", "c"]


def test_without_an_evaluator_nothing_need_be_measured(tmp_path):
    training = fused_learner(evaluator=None)
    training.fit(1, None, callbacks=[sn.ModelCheckpoint(tmp_path / "x", save_freq=2)])
    assert (tmp_path / "x").exists()
    with pytest.raises(SettingError, match="in braces there may be epoch, batch, loss"):
        training.fit(1, None, callbacks=[sn.ModelCheckpoint(tmp_path / "{valid_loss}", save_freq=2)])


@pytest.mark.parametrize("save_freq", [0, -1, 1.5, "batch", None, True])
def test_settings_that_are_wrong(save_freq):
    with pytest.raises(SettingError, match='it must be "epoch" or a positive integer'):
        sn.ModelCheckpoint("x", save_freq=save_freq)


def test_the_best_is_known_only_after_an_epoch():
    with pytest.raises(SettingError, match="the best network is known only after an epoch"):
        sn.ModelCheckpoint("x", save_best_only=True, save_freq=np.int64(3))
