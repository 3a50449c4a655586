"""The loop: forward, loss, backward, step, for every minibatch of every epoch."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from backends import (
    Array,
    DeviceMemoryError,
    LabelError,
    active,
    deferred_products,
    one_line,
    synchronize,
    to_host,
    xp,
)
from scratchnet.attributes import Attributes
from scratchnet.collector import collector_paused
from scratchnet.data import DataLoader
from scratchnet.data.loader import Batch
from scratchnet.errors import (
    CheckpointError,
    LostStateWarning,
    NonFiniteLossError,
    OperandError,
    SettingError,
    UncentredDataWarning,
)
from scratchnet.evaluation import LossFunction
from scratchnet.graph import Variable
from scratchnet.launched import LaunchedPass
from scratchnet.layers import Module
from scratchnet.metrics import EpochMetrics, Evaluator
from scratchnet.optimizers import SGD, Optimizer
from scratchnet.replay import Replay

if TYPE_CHECKING:
    from pathlib import Path

    from scratchnet.resume import SavedTraining


class Learner:
    """Trains a network.

    Args:
        train: the training loader.
        net: the network.
        optimizer: holds the network's parameters.
        loss: of the network's output and the labels.
        evaluator: called after each epoch; None measures nothing but the time.
        capture: whether an epoch is captured and then launched as one, where the backend can: "auto"
            does it where the step allows and else warns once, with the reason; True raises
            `CaptureError` there; False never does it. The results are those of the single steps, bit
            for bit, but for the one network that has kernels of its own (two linear layers with a ReLU
            between, softmax loss, SGD), where they differ by rounding. The first epoch runs step by
            step. A launch runs no Python: what a step prints, or reads from a file or a clock, is as it
            was when the step was recorded. After an epoch in one launch the gradients are None.

    Attributes:
        epochs: the number of epochs trained so far.
        batches_done, seconds: of the epoch that `stop` has broken off; 0 between epochs.
        settings: what checkpoints keep for you: numbers and text by name.
        history: lists under train_loss, valid_loss, train_accuracy, valid_accuracy and duration
            (seconds of the training pass alone), an entry an epoch.

    Warns:
        UncentredDataWarning: the evaluator's validation data were not centred.

    Raises:
        OperandError: an argument is of another kind.
        SettingError: a parameter of the network that needs a gradient is not the optimiser's.
    """

    def __init__(
        self,
        train: DataLoader,
        net: Module,
        optimizer: Optimizer,
        loss: LossFunction,
        evaluator: Evaluator | None = None,
        capture: bool | str = "auto",
    ) -> None:
        """See the class."""
        given = train, net, optimizer, evaluator or Evaluator()
        for each, kind in zip(given, (Iterable, Module, Optimizer, Evaluator), strict=True):
            if not isinstance(each, kind):
                raise OperandError(
                    f"Learner: {type(each).__name__} given, {kind.__name__} expected; the order is "
                    "train, net, optimizer, loss, evaluator"
                )
        self.train, self.net, self.optimizer = train, net, optimizer
        self._check_parameters()
        self.loss, self.evaluator = loss, evaluator
        self._launched = LaunchedPass(capture)
        self.epochs = self.batches_done = 0
        self.settings: dict[str, Any] = {}
        self.seconds = 0.0
        self._stopping = self._broken_off = False
        self._between_steps = True
        self._attributes = Attributes(net)
        self._file = ""  # where it was last saved, or resumed from
        self.history: dict[str, list[float]] = {name: [] for name in EpochMetrics._fields}
        self.history["duration"] = []
        valid = evaluator.valid if evaluator else None
        if valid is not None and not valid.centred:
            warnings.warn(
                "the validation data are not centred and the training data are: call "
                "valid.zero_center(train.mean_image)",
                UncentredDataWarning,
                stacklevel=2,
            )

    def fit(
        self,
        epochs: int,
        report: Callable[[str], object] | None = print,
        checkpoint: str | Path | None = None,
        every: int = 1,
    ) -> dict[str, list[float]]:
        """Train for so many epochs more. An epoch that `stop` has broken off is finished first, as one.

        Args:
            epochs: how many.
            report: called with a line after each epoch; it may `save` and `stop`. None keeps silent.
            checkpoint: the file for `save`: at the beginning, after `every` epochs, and at the end.
            every: how many.

        Returns:
            `history`, with all epochs so far.

        Raises:
            NonFiniteLossError: the loss became infinite or NaN.
            SettingError: a negative number of epochs, or `every` is no positive integer.
            CheckpointError: the file is another training's checkpoint; or it cannot be written, and
                what was there still is.
            CaptureError: capture is True, and an epoch cannot be captured.
            DeviceMemoryError: the device has no room: the figures, and a batch that would fit.
            DeviceError: the device failed.
        """
        if not isinstance(epochs, (int, np.integer)) or epochs < 0:
            raise SettingError(f"fit: epochs is {epochs!r}; it must be an integer from 0 on")
        if not isinstance(every, (int, np.integer)) or every < 1:
            raise SettingError(f"fit: every is {every!r}; it must be a positive integer")
        if checkpoint:
            self._check_own(checkpoint)
        saved = None
        for _ in range(epochs):
            if checkpoint and (saved is None or self.epochs - saved >= every):
                self.save(checkpoint)
                saved = self.epochs
            if self._stopping or not self._whole_epoch(report):
                break
        self._stopping = False
        if checkpoint and (self.epochs, self.batches_done) != (saved, 0):
            self.save(checkpoint)
        return self.history

    @property
    def replay(self) -> Replay[list[Array] | Array]:
        """How the training pass is done: `replay.how` says it in words."""
        return self._launched.replay

    def stop(self) -> None:
        """Let `fit` return after the current batch (or launch); to be called from a signal or a thread.

        What was begun can be saved, and the next `fit` goes on with it. If none is running, it is the
        next one that returns, at once.
        """
        self._stopping = True

    def save(self, path: str | Path) -> None:
        """Keep the training in a file, so that `resume` can go on with it. It holds no code.

        The file is written whole or not at all; one that is there is kept until then.

        Raises:
            CheckpointError: the file cannot be written; a part of the training cannot say what it keeps;
                or the training was broken off in the middle of a step.
        """
        if not self._between_steps:
            raise CheckpointError(
                f"{path}: not saved, for the training was broken off in the middle of a step; go on "
                "from the last checkpoint"
            )
        for lost in self._attributes.newly_changed(self.net):
            warnings.warn(
                f"net.{lost} has changed in training and is no parameter: {path} does not keep it, "
                "and a training resumed from there will differ; let net.state_dict() have it",
                LostStateWarning,
                stacklevel=2,
            )
        from scratchnet.resume import save_training, state_of  # and JSON: only where a file is written

        save_training(path, state_of(self), self.settings)
        self._file = os.path.realpath(path)

    def resume(self, path: str | Path) -> SavedTraining:
        """Go on from where `save` was called, on this backend or another: `fit` does what is left.

        On the same machine, backend and libraries the bits are those of a training that never stopped
        (but for an epoch in one launch of kernels of its own: the first goes step by step again).

        Returns:
            What the file holds.

        Raises:
            CheckpointError: the file is missing, damaged, or of another network, optimiser or data;
                nothing was changed.
        """
        from scratchnet.resume import read_training, restore

        saved = read_training(path)
        try:
            restore(self, saved.state)
        except CheckpointError as error:
            told = one_line(error)  # what is told of a file may hold a line's end
            raise CheckpointError(f"{path}: {told}") from error
        self.settings, self._between_steps = saved.settings, True
        self._file = os.path.realpath(path)
        return saved

    def _whole_epoch(self, report: Callable[[str], object] | None) -> bool:
        """An epoch, or what is left of one, and its metrics; whether it came to its end."""
        if not self._between_steps:  # an error has broken the last one off: it is not gone on with
            self.batches_done, self.seconds = 0, 0.0
        self._between_steps = False
        with active().explained():
            complete = self._epoch()
            if not complete:
                self._between_steps = True
                return False
            metrics = self.evaluator.evaluate(self.net) if self.evaluator else None
        self.history["duration"].append(self.seconds)
        for name, value in (metrics._asdict() if metrics else {}).items():
            self.history[name].append(value)
        line = _line(self.epochs, self.seconds, metrics)
        if metrics and not all(map(math.isfinite, metrics)):
            if report:
                report(line)
            raise NonFiniteLossError(
                f"the loss after epoch {self.epochs} is {metrics.train_loss} on the training "
                f"set and {metrics.valid_loss} on the validation set; lower the learning rate"
            )
        self.epochs += 1
        self.batches_done, self.seconds, self._between_steps = 0, 0.0, True
        if report:
            report(line)
        return True

    def _until_stopped(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches, at least one, until `stop`; all of them where the loader could not go on."""
        can_go_on = isinstance(self.train, DataLoader) and type(self.train).rest is not DataLoader.rest
        for done, batch in enumerate(batches, start=self.batches_done + 1):
            yield batch
            if self._stopping and can_go_on and done < len(self.train):
                self._broken_off = True  # before another is asked for: a loader may draw it
                return

    def _check_own(self, path: str | Path) -> None:
        """Raise `CheckpointError` where another training's checkpoint would be lost."""
        if os.path.exists(path) and self._file != os.path.realpath(path):
            raise CheckpointError(
                f"{path}: is there already, of another training; go on from it with resume(path), or "
                "remove it"
            )

    def _check_parameters(self) -> None:
        trained = {id(each) for each in self.optimizer.parameters}
        for path, each in self.net.named_parameters():
            if each.requires_grad and id(each) not in trained:
                raise SettingError(
                    f"Learner: parameter {path} of shape {each.shape} is not the optimizer's, and so "
                    "is not trained; give it net.parameters(), or set requires_grad = False on that one"
                )

    def _epoch(self) -> bool:
        """One training pass, or the rest of one; whether it came to its end.

        Nothing in it waits for the device.
        """
        self.net.train()
        self._broken_off = False
        resident = None if self.batches_done else self._launched.prepare(self.train)
        pending: Iterator[Batch] = iter(())
        if resident:
            resident.draw()
        else:
            pending = self.train.rest(self.batches_done) if self.batches_done else iter(self.train)
        synchronize()
        start = perf_counter()
        if resident:
            resident.gather()
            losses = self._launched(resident, self.train_on, self.net, self.optimizer, self.loss)
        else:
            losses = self.train_on(self._until_stopped(pending))
        synchronize()
        self.seconds += perf_counter() - start
        self._check(losses)
        self.batches_done += len(losses)
        for each in self.replay.launched_on:
            each.grad = None
            each.watch.touch()
        return not self._broken_off

    def train_on(self, batches: Iterable[Batch]) -> list[Array]:
        """The step of each batch: forward, loss, backward, update; returns the losses, 0-d arrays."""
        losses: list[Array] = []
        before = active().memory_in_use()
        x: Variable | None = None
        try:
            with active().explained(), collector_paused(), deferred_products(self._weights()):
                for x, y in batches:
                    self.optimizer.zero_grad()
                    loss = self.loss(self.net(x), y)
                    if not losses:
                        self._launched.look(loss, x, y)
                    loss.backward()
                    self.optimizer.step()
                    losses.append(loss.array)
        except DeviceMemoryError as error:
            raise error if x is None else _with_a_batch_that_fits(error, before, len(x)) from error
        except LabelError as error:
            batch = self.batches_done + len(losses)
            raise LabelError(f"epoch {self.epochs}, batch {batch}: {error}") from error
        finally:
            for each in self.optimizer.parameters:
                each.compute_grad()  # a deferred one, before anybody can change what it is made of
        return losses

    def _weights(self) -> list[Array]:
        """Those whose gradients only the update will look at: none with an optimiser of one's own."""
        optimizer = self.optimizer
        return [each.array for each in optimizer.parameters] if type(optimizer) is SGD else []

    def _check(self, losses: list[Array] | Array) -> None:
        """Raise at the first loss that is not finite, once the pass is over."""
        if not len(losses):
            return
        found = to_host(xp.stack(losses) if isinstance(losses, list) else losses)
        finite = np.isfinite(found)
        if not finite.all():
            batch, done = int(np.argmin(finite)), self.batches_done
            raise NonFiniteLossError(
                f"the loss became {found[batch]} at epoch {self.epochs}, batch {done + batch} of "
                f"{done + len(losses)}; lower the learning rate, or look at that batch's data"
            )


def _with_a_batch_that_fits(error: DeviceMemoryError, before: int, size: int) -> DeviceMemoryError:
    """The same error, with the mend. A step's arrays grow with the batch; half is left for the rest."""
    grown = error.in_use - before
    fits = size * (error.free + grown) // (2 * (error.wanted + grown))
    mend = f"a batch of {fits} would fit, this one has {size}" if fits else "not even one row would fit"
    return DeviceMemoryError(f"{error}; {mend}", error.wanted, error.free, error.in_use)


def _line(epoch: int, duration: float, metrics: EpochMetrics | None) -> str:
    """The original's line: validation before training."""
    ms = duration * 1000
    line = f"epoch: {epoch:2d} duration: {ms:4.{1 if ms < 10 else 0}f}ms"
    if metrics is None:
        return line
    return (
        f"{line} loss: {metrics.valid_loss:1.4f} / {metrics.train_loss:1.4f}\t"
        f"accuracy: {metrics.valid_accuracy:1.4f} / {metrics.train_accuracy:1.4f}"
    )
