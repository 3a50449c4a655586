"""The loop: epoch after epoch, each measured, reported and kept."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from backends import active
from backends.errors import one_line
from scratchnet.data import DataLoader
from scratchnet.errors import (
    CheckpointError,
    LostStateWarning,
    NonFiniteLossError,
    OperandError,
    OtherVersionWarning,
    SettingError,
    UncentredDataWarning,
)
from scratchnet.files import name_of
from scratchnet.layers import Module
from scratchnet.optimizers import Optimizer
from scratchnet.training.callbacks.callback import Callback
from scratchnet.training.callbacks.together import Callbacks
from scratchnet.training.evaluation import LossFunction
from scratchnet.training.history import DURATION, History, line_of
from scratchnet.training.metrics import Evaluator
from scratchnet.training.resume import (
    SavedTraining,
    beside_state,
    read_training,
    restore,
    save_training,
    state_of,
)
from scratchnet.training.training_pass import TrainingPass
from scratchnet.version import __version__

if TYPE_CHECKING:
    from pathlib import Path


class Learner(TrainingPass):
    """Trains a network.

    Args:
        train: the training loader.
        net: the network.
        optimizer: holds the network's parameters.
        loss: of the network's output and the labels.
        evaluator: called after each epoch; None measures nothing but the time.
        capture: whether an epoch is captured and then launched as one, where the backend can: "auto"
            does it where all parts of a step are the library's own or say `capturable = True`, and
            otherwise warns once, with what to declare; True raises
            `CaptureError` there; False never does it. The results are those of the single steps, bit
            for bit, but for the one network that has kernels of its own (two linear layers with a ReLU
            between, softmax loss, SGD), where they differ by rounding. The first epoch runs step by
            step. A launch runs no Python: what a step prints, or reads from a file or a clock, is as it
            was when the step was recorded. After an epoch in one launch the gradients are None.

    Attributes:
        settings: what checkpoints keep for you: numbers and text by name.
        history: lists, an entry an epoch, all equally long, under the names of what the evaluator
            measures (train_loss, valid_loss, train_accuracy, valid_accuracy) and duration, the seconds
            of the training pass alone. `pandas.DataFrame(learner.history)` is a row an epoch.
        epochs: the number of epochs trained so far.
        batches_done: those of the epoch that `stop` has broken off; 0 between epochs.
        seconds: those of that epoch; 0 between epochs.
        losses: of the batches of the running pass so far, 0-d arrays; of a pass in one launch, none.

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
        super().__init__(train, net, optimizer, loss, capture)
        self.evaluator = evaluator
        self.callbacks = Callbacks()
        self.settings: dict[str, Any] = {}
        self.history = History()
        self.history.begin(self._measures())
        self._between_steps = True
        self._beside, self._told = beside_state(net), set[str]()
        self._file = ""  # where it was last saved, or resumed from
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
        callbacks: Iterable[Callback] | None = None,
    ) -> dict[str, list[float]]:
        """Train for so many epochs more. An epoch that `stop` has broken off is finished first, as one.

        Args:
            epochs: how many.
            report: called with a line after each epoch; it may `save` and `stop`. None keeps silent.
            checkpoint: the file for `save`: at the beginning, after `every` epochs, and at the end.
            every: how many.
            callbacks: told what happens, in this order, after each epoch before `report`.

        Returns:
            `history`, with all epochs so far.

        Raises:
            NonFiniteLossError: the loss became infinite or NaN.
            SettingError: a negative number of epochs, `every` is no positive integer, `fit` is
                called within itself, or a callback cannot do its work, such as one that watches what is
                not measured or writes to a file of another.
            OperandError: one of the callbacks is none.
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
        if checkpoint is not None:
            name_of(checkpoint, "fit: checkpoint")
            self._check_own(checkpoint)
        self.history.begin(self._measures())
        saved = None
        with self.callbacks.told_of(callbacks, self, self.epochs + epochs, checkpoint):
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
        now = beside_state(self.net)
        for lost in sorted({name for name in now if self._beside.get(name) != now[name]} - self._told):
            self._told.add(lost)
            warnings.warn(
                f"net.{lost} has changed in training and is no parameter: {path} does not keep it, "
                "and a training resumed from there will differ; make it an sn.Buffer",
                LostStateWarning,
                stacklevel=2,
            )

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

        Warns:
            OtherVersionWarning: another version of scratchnet has written it.
        """
        saved = read_training(path)
        try:
            restore(self, saved.state)
        except CheckpointError as error:
            told = one_line(error)  # what is told of a file may hold a line's end
            raise CheckpointError(f"{path}: {told}") from error
        self.settings, self._between_steps = saved.settings, True
        self._file = os.path.realpath(path)
        version = saved.made_by.get("scratchnet")
        if version != __version__:
            warnings.warn(
                f"{path}: was written by scratchnet {version}, and this is {__version__}: the last "
                "digits may differ from a training that never stopped",
                OtherVersionWarning,
                stacklevel=2,
            )
        return saved

    def _whole_epoch(self, report: Callable[[str], object] | None) -> bool:
        """An epoch, or what is left of one, and its metrics; whether it came to its end."""
        if not self._between_steps:  # an error has broken the last one off: it is not gone on with
            self.batches_done, self.seconds = 0, 0.0
            self.history.cut(self.epochs)
        self.callbacks.on_epoch_begin(self.epochs)
        self._between_steps = False
        with active().explained():
            complete = self._epoch()
            if not complete:
                self._between_steps = True
                return False
            metrics = self.evaluator.evaluate(self.net) if self.evaluator else None
        logs = self.history.add(metrics._asdict() if metrics else {}, self.seconds)
        line = line_of(self.epochs, logs)
        if not all(map(math.isfinite, logs.values())):
            if report:
                report(line)
            told = ", ".join(f"{name} is {value}" for name, value in logs.items() if name != DURATION)
            raise NonFiniteLossError(f"after epoch {self.epochs} {told}; lower the learning rate")
        self.epochs += 1
        self.batches_done, self.seconds, self._between_steps = 0, 0.0, True
        self.callbacks.on_epoch_end(self.epochs - 1, logs)
        if report:
            report(line)
        return True

    def _measures(self) -> tuple[str, ...]:
        return self.evaluator.measures if self.evaluator else ()

    def _check_own(self, path: str | Path) -> None:
        """Raise `CheckpointError` where another training's checkpoint would be lost."""
        if os.path.exists(path) and self._file != os.path.realpath(path):
            raise CheckpointError(
                f"{path}: is there already, of another training; go on from it with resume(path), or "
                "remove it"
            )
