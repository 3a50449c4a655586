"""End a training run that no longer improves."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from scratchnet.errors import CheckpointError, LostStateWarning, SettingError
from scratchnet.layers.arguments import size
from scratchnet.training.callbacks.monitor import Monitor


class EarlyStopping(Monitor):
    """Stops training if the monitored figure has not improved for `patience` epochs.

    It goes on counting in the next `fit` with the same learner, and in a resumed run. After it has
    stopped a run, it starts again.

    Args:
        monitor: a name in `learner.history`.
        min_delta: a figure counts as better if it improves the best one by more than this.
        patience: the number of epochs without improvement; 0 means the same as 1.
        mode: "min" if the figure should shrink, "max" if it should grow. "auto" takes what the evaluator
            says, or else decides by the name; see `Monitor`.
        baseline: a figure that training should beat. Only an epoch that is better than this, and the
            best so far, starts the count again. Training stops only after an epoch that is not the best.
        restore_best_weights: whether the network gets the parameters of its best epoch at the end of
            `fit`. After `stop` in the middle of an epoch, it keeps its parameters, because the next
            `fit` goes on with them. A checkpoint always has the parameters of the last epoch. The best
            parameters are copied to the host after each improvement.
        start_from_epoch: the epochs before this one, from 0, are not counted.

    Attributes:
        best, best_epoch: see `Monitor`.
        wait: the number of epochs since the count started again.
        stopped_epoch: the epoch after which it stopped training; -1 if it has not.

    Raises:
        SettingError: `patience` or `start_from_epoch` is not an integer from 0 on, `min_delta` is not a
            number from 0 on, `mode` or `baseline` is of another kind, or `restore_best_weights` is not a
            bool. In `fit`, before training: the monitored figure is not measured.
    """

    def __init__(
        self,
        monitor: str = "valid_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        self.patience = size("EarlyStopping", "patience", patience, 0)
        self.start_from_epoch = size("EarlyStopping", "start_from_epoch", start_from_epoch, 0)
        number = isinstance(baseline, (int, float, np.number)) and math.isfinite(baseline)
        if not (number or baseline is None):
            raise SettingError(
                f"EarlyStopping: baseline is {baseline!r}; it must be a finite number or None"
            )
        if not isinstance(restore_best_weights, (bool, np.bool_)):
            raise SettingError(
                f"EarlyStopping: restore_best_weights is {restore_best_weights!r}; it must be True or "
                "False"
            )
        self.baseline, self.restore_best_weights = baseline, restore_best_weights
        super().__init__(monitor, min_delta, mode)

    @property
    def settings(self) -> str:
        """Settings that distinguish it from another one: the patience, and what counts as better."""
        return f"patience={self.patience}, min_delta={self.min_delta:g}"

    def reset(self) -> None:
        """Forget all epochs."""
        super().reset()
        self.wait, self.stopped_epoch = 0, -1
        self._ended = False
        self._weights: dict[str, np.ndarray] = {}

    def on_train_begin(self) -> None:
        """End the run if the checkpoint was written after this callback had stopped it."""
        if self._ended:
            self.reset()
        if self.stopped_epoch >= 0:
            self.learner.stop()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Count the epoch, and stop training if it is time."""
        if epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.is_better(epoch, logs):
            if self.restore_best_weights:
                self._weights = self.learner.net.state_dict()
            if self.baseline is None or self.beats(self.best, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.learner.stop()

    def on_train_end(self) -> None:
        """Restore the best parameters."""
        if self.restore_best_weights and self._weights and not self.learner.batches_done:
            self.learner.net.load_state_dict(self._weights)
        self._ended = self.stopped_epoch >= 0

    def state_dict(self) -> dict[str, Any]:
        """Return its counts, and the best parameters if it is to restore them."""
        if self._ended:
            return {}
        weights = {f"weights.{path}": array for path, array in self._weights.items()}
        counts = {"wait": self.wait, "stopped_epoch": self.stopped_epoch}
        return {**super().state_dict(), **counts, **weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting from this state.

        Warns:
            LostStateWarning: the weights are to be restored, and the state does not have those of the
                best epoch.

        Raises:
            CheckpointError: the state has other entries.
        """
        rest = dict(state)
        counts = rest.pop("wait", None), rest.pop("stopped_epoch", None)
        weights = {path: rest.pop(path) for path in state if path.startswith("weights.")}
        if not all(type(each) is int for each in counts):
            raise CheckpointError(f"{self.name}: its state in the checkpoint has the counts {counts}")
        super().load_state_dict(rest)
        self.wait, self.stopped_epoch = counts
        self._weights = {path.removeprefix("weights."): array for path, array in weights.items()}
        if self.restore_best_weights and self.best_epoch >= 0 and not weights:
            warnings.warn(
                f"{self.name}: the checkpoint does not keep the weights of the best epoch, "
                f"{self.best_epoch}: they are restored only if a later one is better",
                LostStateWarning,
                stacklevel=5,
            )
