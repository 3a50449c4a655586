"""Monitor a figure of a training run: has it improved?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from scratchnet.errors import CheckpointError, SettingError
from scratchnet.layers.arguments import number
from scratchnet.training.callbacks.callback import Callback
from scratchnet.training.history import larger_is_better

_ALIKE = 0.75
"""Between 0 and 1. At this cutoff, val_loss matches valid_loss, and accuracy matches neither."""


class Monitor(Callback):
    """Base class of callbacks that monitor a figure of `learner.history`.

    Args:
        monitor: the name of the figure.
        min_delta: a figure counts as better if it improves the best one by more than this.
        mode: "min" if the figure should shrink, "max" if it should grow. With "auto", a learner's
            evaluator says it in its `directions`, a dict from a name to whether larger is better. For
            other figures the name decides: accuracy, precision, recall, f1, r2, auc, top_k, and names
            that end so, should grow, and all others should shrink.

    Attributes:
        best: the best figure so far; before the first epoch, an infinity.
        best_epoch: its epoch, from 0; -1 before the first epoch.

    Raises:
        SettingError: `min_delta` is negative or not a number, `monitor` is not text, or `mode` is
            another one.
    """

    def __init__(self, monitor: str, min_delta: float, mode: str) -> None:
        if not isinstance(monitor, str):
            raise SettingError(
                f"{type(self).__name__}: monitor is {monitor!r}; it must be a name, such as 'valid_loss'"
            )
        self.min_delta = number(type(self).__name__, "min_delta", min_delta)
        if not (isinstance(mode, str) and mode in ("auto", "min", "max")):
            raise SettingError(
                f'{type(self).__name__}: mode is {mode!r}; it must be "auto", "min" or "max"'
            )
        self.monitor, self.mode = monitor, mode
        self.reset()

    @property
    def name(self) -> str:
        """The monitored figure, which distinguishes it from another callback."""
        return f"{type(self).__name__}({self.monitor})"

    def reset(self) -> None:
        """Forget all epochs."""
        self.best, self.best_epoch = -math.inf if self.larger_is_better else math.inf, -1

    @property
    def larger_is_better(self) -> bool:
        """Whether the figure should grow; see `mode`."""
        if self.mode != "auto":
            return self.mode == "max"
        learner = self._learner() if self._learner else None
        directions = getattr(learner.evaluator if learner else None, "directions", {})
        for name in (self.monitor, self.monitor.removeprefix("train_").removeprefix("valid_")):
            if name in directions:
                return bool(directions[name])
        return larger_is_better(self.monitor)

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
        better = self.beats(figure, self.best)
        if better:
            self.best, self.best_epoch = figure, epoch
        return better

    def beats(self, figure: float, other: float) -> bool:
        """Return whether a figure improves another one by more than `min_delta`."""
        if self.larger_is_better:
            return figure - self.min_delta > other
        return figure + self.min_delta < other

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
        if epoch >= 0:
            self.best, self.best_epoch = best, epoch
