"""Monitor a figure of a training run: has it improved?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from scratchnet.errors import CheckpointError, SettingError
from scratchnet.training.callbacks.callback import Callback

_ALIKE = 0.75
"""Between 0 and 1. At this cutoff, val_loss matches valid_loss, and accuracy matches neither."""


class Monitor(Callback):
    """Base class of callbacks that monitor a figure of `learner.history`.

    An accuracy should grow, every other figure should shrink.

    Args:
        monitor: the name of the figure.
        min_delta: a figure counts as better if it improves the best one by more than this.

    Attributes:
        best: the best figure so far; before the first epoch, an infinity.
        best_epoch: its epoch, from 0; -1 before the first epoch.

    Raises:
        SettingError: `min_delta` is negative or not a number, or `monitor` is not text.
    """

    def __init__(self, monitor: str, min_delta: float) -> None:
        if not isinstance(monitor, str):
            raise SettingError(
                f"{type(self).__name__}: monitor is {monitor!r}; it must be a name, such as 'valid_loss'"
            )
        if not (isinstance(min_delta, (int, float, np.floating)) and 0 <= min_delta < math.inf):
            raise SettingError(
                f"{type(self).__name__}: min_delta is {min_delta!r}; it must be a number from 0 on"
            )
        self.monitor = monitor
        self.min_delta = float(min_delta)
        self._sign = -1 if monitor.endswith("accuracy") else 1
        self.reset()

    @property
    def name(self) -> str:
        """The monitored figure, which distinguishes it from another callback."""
        return f"{type(self).__name__}({self.monitor})"

    def reset(self) -> None:
        """Forget all epochs."""
        self.best, self.best_epoch = self._sign * math.inf, -1

    def check(self) -> None:
        """Check that the figure is measured.

        Raises:
            SettingError: it is not. The message lists the measured figures.
        """
        from difflib import get_close_matches

        known = self.learner.history
        if self.monitor not in known:
            meant = get_close_matches(self.monitor, known, 1, _ALIKE)
            raise SettingError(
                f"{type(self).__name__}: monitor is {self.monitor!r}; "
                + "".join(f"did you mean {each}? " for each in meant)
                + f"there are {', '.join(known)}"
            )

    def is_better(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """Return whether this epoch is the best so far, and remember it if it is."""
        figure = logs[self.monitor]
        better = self._sign * figure < self._sign * self.best - self.min_delta
        if better:
            self.best, self.best_epoch = figure, epoch
        return better

    def state_dict(self) -> dict[str, Any]:
        """Return the best figure and its epoch."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set the best figure and its epoch.

        Raises:
            CheckpointError: the state has other entries.
        """
        best, epoch = state.get("best"), state.get("best_epoch")
        if type(best) is not float or type(epoch) is not int or len(state) != 2:
            raise CheckpointError(f"{self.name}: its state in the checkpoint holds {', '.join(state)}")
        self.best, self.best_epoch = best, epoch
