"""The end of a training that does not get better."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from scratchnet.errors import CheckpointError, LostStateWarning, SettingError
from scratchnet.training.callbacks.monitor import Monitor


class EarlyStopping(Monitor):
    """Stops the training where what it watches has not become better for `patience` epochs.

    It goes on counting in the next `fit` with the same learner, and in a training that is resumed; once
    it has stopped one, it begins anew.

    Args:
        monitor: one of `learner.history`: an accuracy is to grow, all else to shrink.
        min_delta: what counts as better differs from the best so far by more than this.
        patience: epochs that may pass without its becoming better; 0 and 1 are the same.
        restore_best_weights: whether the network gets back its parameters of the best epoch at the end
            of `fit`; an epoch that was broken off is gone on with, and nothing is given back. A
            checkpoint has those of the last epoch, for a resume goes on from there. The best ones are
            kept on the host, copied there whenever they are better.

    Attributes:
        best, best_epoch: as `Monitor`'s.
        wait: epochs since then.
        stopped_epoch: the epoch after which it has stopped the training; -1 where it has not.

    Raises:
        SettingError: `patience` is no integer from 0 on, `min_delta` no number from 0 on, or
            `restore_best_weights` no bool. In `fit`, before the training: what it watches is not
            measured.
    """

    def __init__(
        self,
        monitor: str = "valid_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        restore_best_weights: bool = False,
    ) -> None:
        """See the class."""
        if not isinstance(patience, (int, np.integer)) or patience < 0:
            raise SettingError(
                f"EarlyStopping: patience is {patience!r}; it must be an integer from 0 on"
            )
        if not isinstance(restore_best_weights, (bool, np.bool_)):
            raise SettingError(
                f"EarlyStopping: restore_best_weights is {restore_best_weights!r}; it must be True or "
                "False"
            )
        self.patience, self.restore_best_weights = patience, restore_best_weights
        super().__init__(monitor, min_delta)

    @property
    def settings(self) -> str:
        """How long it waits, and for how much."""
        return f"patience={self.patience}, min_delta={self.min_delta:g}"

    def reset(self) -> None:
        """No epoch was seen."""
        super().reset()
        self.wait, self.stopped_epoch = 0, -1
        self._ended = False
        self._weights: dict[str, np.ndarray] = {}

    def on_train_begin(self) -> None:
        """Where the checkpoint was written after it had stopped the training, nothing is left to do."""
        if self._ended:
            self.reset()
        if self.stopped_epoch >= 0:
            self.learner.stop()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Count."""
        if self.is_better(epoch, logs):
            self.wait = 0
            if self.restore_best_weights:
                self._weights = self.learner.net.state_dict()
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.learner.stop()

    def on_train_end(self) -> None:
        """Give the best parameters back."""
        if self.restore_best_weights and self._weights and not self.learner.batches_done:
            self.learner.net.load_state_dict(self._weights)
        self._ended = self.stopped_epoch >= 0

    def state_dict(self) -> dict[str, Any]:
        """Its counts, and the best parameters if they are to be given back."""
        if self._ended:
            return {}
        weights = {f"weights.{path}": array for path, array in self._weights.items()}
        counts = {"wait": self.wait, "stopped_epoch": self.stopped_epoch}
        return {**super().state_dict(), **counts, **weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting from there.

        Warns:
            LostStateWarning: the weights are to be restored, and those of the best epoch are not there.

        Raises:
            CheckpointError: there is something else in it.
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
