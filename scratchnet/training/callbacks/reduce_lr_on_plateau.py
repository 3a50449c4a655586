"""Lower the learning rate if training no longer improves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from scratchnet.errors import CheckpointError, SettingError
from scratchnet.training.callbacks.monitor import Monitor


class ReduceLROnPlateau(Monitor):
    """Multiplies the learning rate by `factor` if the monitored figure has not improved.

        learner.fit(20, callbacks=[sn.ReduceLROnPlateau(patience=3)])

    Args:
        monitor: a name in `learner.history`.
        factor: the new rate is the old one times this, a number between 0 and 1.
        patience: the rate changes after this number of epochs without improvement; 0 means the same
            as 1.
        mode: "min" if the figure should shrink, "max" if it should grow. "auto" takes what the evaluator
            says, or else decides by the name; see `Monitor`.
        min_delta: a figure counts as better if it improves the best one by more than this.
        cooldown: of the epochs after a change, the one of this number is the first that is counted; 0
            means the same as 1.
        min_lr: the rate does not become smaller than this.

    Attributes:
        best, best_epoch: see `Monitor`.
        wait: the number of epochs that were counted since the best one or the last change.

    Raises:
        SettingError: a setting is out of its range. In `fit`, before training: the monitored figure is
            not measured, or the optimizer's learning rate is a schedule.
    """

    def __init__(
        self,
        monitor: str = "valid_loss",
        factor: float = 0.1,
        patience: int = 10,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        if not (isinstance(factor, (int, float, np.number)) and 0 < factor < 1):
            raise SettingError(f"ReduceLROnPlateau: factor is {factor!r}; it must lie between 0 and 1")
        for name, value in (("patience", patience), ("cooldown", cooldown)):
            if not isinstance(value, (int, np.integer)) or value < 0:
                raise SettingError(
                    f"ReduceLROnPlateau: {name} is {value!r}; it must be an integer from 0 on"
                )
        number = isinstance(min_lr, (int, float, np.number))
        if not (number and 0 <= min_lr < math.inf):
            raise SettingError(f"ReduceLROnPlateau: min_lr is {min_lr!r}; it must be a number from 0 on")
        self.factor, self.patience, self.cooldown = float(factor), int(patience), int(cooldown)
        self.min_lr = float(min_lr)
        super().__init__(monitor, min_delta, mode)

    @property
    def settings(self) -> str:
        """Settings that distinguish it from another one."""
        return f"factor={self.factor:g}, patience={self.patience}, cooldown={self.cooldown}"

    def reset(self) -> None:
        """Forget all epochs."""
        super().reset()
        self.wait = self._cooling = 0

    def check(self) -> None:
        """Check that the figure is measured, and that all learning rates are numbers."""
        super().check()
        if any(group.schedule for group in self.learner.optimizer.groups):
            raise SettingError(
                "ReduceLROnPlateau: the optimizer's learning rate is a schedule; give it a number, or "
                "leave this callback out"
            )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Count the epoch, and lower the learning rate if it is time."""
        if self._cooling:
            self._cooling -= 1
            self.wait = 0
        if self.is_better(epoch, logs):
            self.wait = 0
        elif not self._cooling:
            self.wait += 1
            if self.wait >= self.patience and self._lower():
                self.wait, self._cooling = 0, self.cooldown

    def _lower(self) -> bool:
        """Lower the learning rates, and return whether one has changed."""
        changed = False
        for group in self.learner.optimizer.groups:
            lower = max(group["learning_rate"] * self.factor, self.min_lr)
            if 0 < lower < group["learning_rate"]:
                group["learning_rate"], changed = lower, True
        return changed

    def state_dict(self) -> dict[str, Any]:
        """Return its counts."""
        return {**super().state_dict(), "wait": self.wait, "cooling": self._cooling}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting from this state.

        Raises:
            CheckpointError: the state has other entries.
        """
        rest = dict(state)
        counts = rest.pop("wait", None), rest.pop("cooling", None)
        if not all(type(each) is int and each >= 0 for each in counts):
            raise CheckpointError(f"{self.name}: its state in the checkpoint has the counts {counts}")
        super().load_state_dict(rest)
        self.wait, self._cooling = counts
