"""The training loop: each epoch is trained, measured, reported and saved."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from backends import active
from backends.errors import one_line
from scratchnet.data.loader import as_loader
from scratchnet.errors import (
    CheckpointError,
    DataError,
    LostStateWarning,
    NonFiniteLossError,
    OperandError,
    OtherVersionWarning,
    SettingError,
    UncentredDataWarning,
)
from scratchnet.files import name_of, writes_here
from scratchnet.layers import Module
from scratchnet.layers.arguments import size
from scratchnet.optimizers import Optimizer
from scratchnet.optimizers.state import settings_of
from scratchnet.training import running
from scratchnet.training.callbacks.callback import Callback
from scratchnet.training.capture.replay import UNSTEADY
from scratchnet.training.evaluation import Evaluation
from scratchnet.training.history import DURATION, History, line_of, print_if_possible
from scratchnet.training.metrics import Evaluator, MetricsCollector, functions_of
from scratchnet.training.objective import LossFunction
from scratchnet.training.outside import Changes, attributes, chance
from scratchnet.training.running import alone
from scratchnet.training.training_pass import TrainingPass
from scratchnet.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from scratchnet.training.ownership import Ownership
    from scratchnet.training.resume import SavedTraining


class Learner(TrainingPass):
    """Trains a network.

    Args:
        train: the training loader, or any iterable of batches that has a length; see `DataLoader`.
        net: the network. Several inputs are given as `net(*inputs)` or `net(**inputs)`.
        optimizer: the optimizer of the network's parameters.
        loss: a function of the network's outputs and the targets; or a list or a dict of functions, one
            for each output. Their sum is the loss.
        evaluator: called after each epoch. None measures only the time.
        capture: whether an epoch is captured and then launched as one, if the backend can do this.
            "auto" captures if all parts of a step are the library's own or declare `capturable = True`;
            otherwise it warns once and says what to declare. True raises `CaptureError` instead. False
            never captures. The results have the same bits as the single steps, with one exception: a
            network of two linear layers with a ReLU between them, softmax loss and SGD has its own
            kernels, and its results differ by rounding. The first epoch runs step by step. A launch runs
            no Python: it does not print, and values from a file or a clock are those that were read
            while the step was recorded. After an epoch in one launch, the gradients are None.
        clip_grad_norm: before each update, scale all gradients so that their common norm is at most
            this; see `sn.clip_grad_norm`. None does not.
        clip_grad_value: before each update, limit each element of the gradients to this magnitude; see
            `sn.clip_grad_value`. None does not. If both are given, this comes first.
        accumulate: the number of batches per update. Their gradients are those of one batch of all their
            samples.

    Attributes:
        settings: numbers and text by name, which checkpoints save for you.
        history: lists of equal length, one entry per epoch. Their names are those of what the evaluator
            measures (train_loss, valid_loss, train_accuracy, valid_accuracy), and duration, the seconds
            of the training pass alone. `pandas.DataFrame(learner.history)` has one row per epoch.
        epochs: the number of epochs trained so far.
        batches_done: the number of finished batches, if `stop` ended an epoch early; otherwise 0.
        seconds: the time of these batches; 0 between epochs.
        losses: the losses of the finished batches of the running pass, 0-d arrays. Empty if the pass is
            one launch.
        draws_globally: whether an epoch, or a callback, has drawn from Python's or NumPy's global random
            generator. Then checkpoints keep the state of both.
        first_settings: the settings that the optimizer had before the first epoch, by names such as
            `groups.0.learning_rate`. Checkpoints keep them; see `resume`.
        shards: the number of leaves in which each batch is added up; see `data_parallel`. None before
            the first epoch. Checkpoints keep it.

    Warns:
        UncentredDataWarning: the evaluator's validation data are not centered.

    Raises:
        OperandError: an argument is of a wrong type.
        SettingError: the optimizer does not have a parameter of the network that needs a gradient, or a
            limit of the gradients is not a positive number.
    """

    def __init__(
        self,
        train: Any,
        net: Module,
        optimizer: Optimizer,
        loss: LossFunction,
        evaluator: Evaluator | None = None,
        capture: bool | str = "auto",
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
        accumulate: int = 1,
    ) -> None:
        given = train, net, optimizer, evaluator or Evaluator()
        for each, kind in zip(given, (Iterable, Module, Optimizer, Evaluator), strict=True):
            if not isinstance(each, kind):
                raise OperandError(
                    f"Learner: {type(each).__name__} given, {kind.__name__} expected; the order is "
                    "train, net, optimizer, loss, evaluator"
                )
        super().__init__(
            as_loader(train), net, optimizer, loss, capture, clip_grad_norm, clip_grad_value, accumulate
        )
        self.evaluator = evaluator
        self.settings: dict[str, Any] = {}
        self.history = History()
        self.history.begin(self._measures())
        self._between_steps = True
        self._changes = Changes()
        self.draws_globally = False
        self._chance: Any = None  # before the last epoch
        self.first_settings: dict[str, Any] = {}
        self.shards: int | None = None
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
        """Train for more epochs. An epoch that `stop` ended early is finished first, and counts as one.

        Args:
            epochs: the number of epochs.
            report: called with one line after each epoch; in data-parallel training on rank 0 only. It
                may call `save` and `stop`. None prints nothing. `print` prints nothing if standard
                output is missing or closed.
            checkpoint: the file for `save`, which is called at the start, after every `every` epochs,
                and at the end.
            every: the number of epochs between two checkpoints.
            callbacks: called in this order after each epoch, before `report`.

        Returns:
            `history`, with all epochs so far.

        Raises:
            NonFiniteLossError: the loss became infinite or NaN.
            SettingError: `epochs` is negative, `every` is not a positive integer, `fit` was called
                within `fit`, or a callback cannot work: for example, it watches a figure that is not
                measured, or writes to another's file.
            OperandError: an element of `callbacks` is not a Callback.
            DataError: the training loader has no batches.
            CheckpointError: the file is the checkpoint of another training run, another one writes it
                now, or it cannot be written. Then the earlier file is still there.
            CaptureError: capture is True, and an epoch cannot be captured.
            DeviceMemoryError: the device has too little memory. The message has the sizes, and the size
                of a batch that would fit.
            DeviceError: the device failed.
        """
        from scratchnet.training.pace import Pace

        if running.current is None:
            from scratchnet.training.parallel.launch import warn_if_alone

            warn_if_alone()
        epochs, every = size("fit", "epochs", epochs, 0), size("fit", "every", every)
        if epochs and not len(self.train):
            raise DataError("fit: the training loader has no batches; give at least one")
        if checkpoint is not None:
            name_of(checkpoint, "fit: checkpoint")
        if not (report is None or callable(report)):
            raise SettingError(f"fit: report is {report!r}; give a function of a line of text, or None")
        self.history.begin(self._measures())
        if not (self.epochs or self.batches_done):
            self.first_settings = settings_of(self.optimizer.groups)
        saved = None
        report = print_if_possible if report is print else report
        report = report if writes_here() else None
        self._chance = chance()
        with (
            self._writing(checkpoint),
            self.callbacks.told_of(callbacks, self, self.epochs + epochs, checkpoint),
            self._together(epochs),
        ):
            self._pace = Pace()
            self._changes.begin(self._attributes, bool(self.callbacks.stateless))
            for _ in range(epochs):
                self._chance = chance()
                if checkpoint and (saved is None or self.epochs - saved >= every):
                    self.save(checkpoint)
                    saved = self.epochs
                complete = not self._to_stop() and self._whole_epoch(report)
                self._note_draws()
                if not complete:
                    break
            self._stopping = False
            if checkpoint and (self.epochs, self.batches_done) != (saved, 0):
                self.save(checkpoint)
        return self.history

    def evaluate(self, loader: Any) -> dict[str, float]:
        """Measure the network on a data set: the loss, and the metrics of the evaluator.

            learner.evaluate(test)  # {"loss": 0.35, "accuracy": 0.87}

        Args:
            loader: a loader, which is read in its own order, or any iterable of batches with a length.

        Returns:
            The figures by name, over all samples. Without a `MetricsCollector`, the metrics follow the
                loss.
        """
        collector = self.evaluator if isinstance(self.evaluator, MetricsCollector) else None
        loader = as_loader(loader)
        metrics = collector.functions if collector else functions_of(None, self.loss, loader)
        with active().explained(), alone():
            return Evaluation(loader, self.loss, False, metrics).measure(self.net)

    def predict(self, data: Any, task: str | None = None) -> Any:
        """Return the `Predictions` of the network for a data set; see `sn.predict`."""
        from scratchnet.training.predict import predict

        return predict(self.net, data, self.loss, task)

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Save the training run to a file, so that `resume` can go on with it. The file holds no code.

        The file is written completely or not at all. An existing file stays until the new one is
        complete. In data-parallel training, only rank 0 writes, and it may be the only one that calls
        this.

        Args:
            path: the file. An earlier checkpoint of this run is replaced.
            overwrite: whether the file may replace any other one: of another training run, or of another
                program.

        Warns:
            LostStateWarning: something that the network, the optimizer, a loader, the loss, a metric or
                a callback holds has changed in training, and the file does not keep it.

        Raises:
            CheckpointError: the file cannot be written, or is another one; a part of the training run
                has no `state_dict`, an error ended the run in the middle of a step, or a callback saves
                during an epoch.
            SettingError: the path is no path.
        """
        from scratchnet.training.resume import save_training, state_of

        name_of(path, "save")
        if not self._between_steps and self.callbacks.running:
            raise CheckpointError(
                f"{path}: not saved, because fit is in the middle of an epoch; call stop(), and save "
                "after fit"
            )
        if not self._between_steps:
            raise CheckpointError(
                f"{path}: not saved, because an error ended the training run in the middle of a step; "
                "go on from the last checkpoint"
            )
        if self.callbacks.running:
            self._note_draws()
        for lost, fix in self._changes.lost(self._attributes):
            warnings.warn(
                f"{lost} has changed in training, and {path} does not keep it: a run that goes on from "
                f"there may differ; {fix}",
                LostStateWarning,
                stacklevel=2,
            )
        if writes_here():
            with self._ownership.writes(path):
                if not overwrite:
                    self._ownership.check(path)
                begin = partial(self._ownership.begin, path)
                self._ownership.note(path, save_training(path, state_of(self), self.settings, begin))

    def resume(self, path: str | Path, optimizer_settings: str | None = None) -> SavedTraining:
        """Go on from a saved file, on this backend or another. Then call `fit` for the remaining epochs.

        On the same machine, backend and libraries, the bits are those of a run that never stopped. The
        only exception is an epoch in one launch of fused kernels, because the first epoch runs step by
        step again.

        Args:
            path: the file.
            optimizer_settings: which learning rate and other settings the optimizer gets, and which
                clipping and accumulation the learner. "saved": those of the file. "given": those of this
                learner and its optimizer. None: those of the file, but an error if the saved run had
                others, or began with other settings than this optimizer has. A change during
                that run, for example by `ReduceLROnPlateau`, is not an error. A schedule is code and not
                in the file: the optimizer keeps its own. Files of version 0.1 are not checked.

        Returns:
            The content of the file.

        Raises:
            CheckpointError: the file is missing or damaged, or belongs to another network, optimizer or
                data, or to an optimizer with other settings. Nothing has changed.
            SettingError: `optimizer_settings` is something else, or the path is no path.

        Warns:
            OtherVersionWarning: another version of scratchnet wrote the file.
        """
        from scratchnet.training.resume import read_training, restore

        name_of(path, "resume")
        if optimizer_settings not in (None, "given", "saved"):
            raise SettingError(
                f'resume: optimizer_settings is {optimizer_settings!r}; it must be "given", "saved" '
                "or None"
            )
        saved = read_training(path)
        try:
            restore(self, saved.state, optimizer_settings)
        except CheckpointError as error:
            told = one_line(error)  # text from a file may contain a line break
            raise CheckpointError(f"{path}: {told}") from error
        self.settings, self._between_steps = saved.settings, True
        self._ownership.go_on(path, saved.digest)
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
        """Run an epoch, or the rest of one, and measure it. Return whether it was finished."""
        if not self._between_steps:  # an error ended the last epoch: start again
            self.batches_done, self.seconds = 0, 0.0
            self.history.cut(self.epochs)
        self.callbacks.on_epoch_begin(self.epochs)
        self._between_steps = False
        with active().explained():
            complete = self._epoch()
            self._say_once()
            metrics = self._measured() if complete else {}
        if not complete:
            self._between_steps = True
            return False
        logs = self.history.add(metrics, self.seconds)
        line = line_of(self.epochs, logs)
        # A metric that is NaN can be right: R² of one sample is undefined.
        known = [v for name, v in logs.items() if name.endswith("loss") or not math.isnan(v)]
        if not all(map(math.isfinite, known)):
            if report:
                report(line)
            told = ", ".join(f"{name} is {value}" for name, value in logs.items() if name != DURATION)
            fix = "lower the learning rate"
            if all(math.isfinite(value) for name, value in logs.items() if name.endswith("loss")):
                fix = "look at the metric that is not finite, or leave it out"
            raise NonFiniteLossError(f"after epoch {self.epochs} {told}; {fix}")
        self.epochs += 1
        self.batches_done, self.seconds, self._between_steps = 0, 0.0, True
        self._pace.note()
        self.callbacks.on_epoch_end(self.epochs - 1, logs)
        if report:
            report(line)
        return True

    def _measured(self) -> Mapping[str, float]:
        """Return the figures of an epoch: if several processes train, the same for all."""
        if self._team is None:
            return self.evaluator.evaluate(self.net) if self.evaluator else {}
        with self._team.measuring():
            metrics = self.evaluator.evaluate(self.net) if self.evaluator else {}
        from scratchnet.training.parallel.alike import agreed_figures

        self.seconds, metrics = agreed_figures(self._team.group, self, metrics)
        return metrics

    @contextmanager
    def _together(self, epochs: int) -> Iterator[None]:
        """Within it, train with the other processes of `data_parallel`, if there are any."""
        if running.current is None and self.shards in (None, 1):
            self.shards = 1
            yield
            return
        from scratchnet.training.parallel.together import team_for

        with team_for(self, epochs) as self._team:
            try:
                yield
            finally:
                self._team = None

    def _to_stop(self) -> bool:
        """Whether `stop` was called, in any of the processes."""
        if self._team is None:
            return self._stopping
        return self._team.group.any(self._stopping, "the next epoch")

    def _say_once(self) -> None:
        """Leave out the evaluator's warning about the loader that the training pass has warned of."""
        if self.replay.refused == UNSTEADY and isinstance(self.evaluator, MetricsCollector):
            for each in self.evaluator.evaluations:
                if each.loader is self.train:
                    each.replay.refused = UNSTEADY

    def _attributes(self) -> dict[str, str]:
        functions = {
            "loss": self.loss,
            "learning_rate": [group.schedule for group in self.optimizer.groups],
            "metrics": getattr(self.evaluator, "functions", None),
        }
        parts = {"optimizer": self.optimizer, "train": self.train, "evaluator": self.evaluator}
        return attributes(self.net, functions, parts | self.callbacks.stateless, self)

    def _note_draws(self) -> None:
        self.draws_globally |= chance() != self._chance

    def _measures(self) -> tuple[str, ...]:
        return self.evaluator.measures if self.evaluator else ()

    @cached_property
    def _ownership(self) -> Ownership:
        """The files that this run may write."""
        from scratchnet.training.ownership import Ownership

        return Ownership()

    @contextmanager
    def _writing(self, path: str | Path | None) -> Iterator[None]:
        """Within it, no other training run writes the file. Raises an error if it is another's."""
        if path is None or not writes_here():
            yield
            return
        with self._ownership.writes(path):
            self._ownership.check(path)
            yield
