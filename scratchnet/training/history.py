"""The measurements of each epoch, and the line that shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import repeat
from operator import delitem

import numpy as np

from scratchnet.errors import SettingError

DURATION = "duration"


class History(dict[str, list[float]]):
    """A list for each measured quantity. All have the same length, one entry per epoch."""

    def begin(self, measures: Iterable[str]) -> None:
        """Set the names of the lists: these measures, and the duration.

        Raises:
            SettingError: there are epochs already, and they have other names.
        """
        names = [*measures, DURATION]
        if list(self) == names:
            return
        if any(self.values()):
            raise SettingError(
                f"the evaluator measures {', '.join(names)}, and the epochs before have "
                f"{', '.join(self)}; go on with an evaluator that measures the same"
            )
        self.clear()
        self.update((name, []) for name in names)

    def add(self, measured: Mapping[str, float], seconds: float) -> dict[str, float]:
        """Add the figures of an epoch, and return them by name."""
        figures = {**measured, DURATION: seconds}
        logs = {name: float(figures[name]) for name in self}
        # One call of C code: Ctrl-C comes before or after it, so the lists keep equal lengths.
        list(map(list.append, self.values(), logs.values()))
        return logs

    def cut(self, epochs: int) -> None:
        """Keep only the first `epochs` entries."""
        list(map(delitem, self.values(), repeat(slice(epochs, None))))


def is_series(value: object, axes: int = 1) -> bool:
    """Whether it is what `state_dict` gives of figures: a float64 array of so many axes."""
    return isinstance(value, np.ndarray) and value.dtype == np.float64 and value.ndim == axes


def line_of(epoch: int, logs: Mapping[str, float]) -> str:
    """Return the original's line for an epoch, with validation before training."""
    ms = logs[DURATION] * 1000
    line = f"epoch: {epoch:2d} duration: {ms:4.{1 if ms < 10 else 0}f}ms"
    for kind, between in (("loss", " "), ("accuracy", "\t")):
        pair = [logs[name] for name in (f"valid_{kind}", f"train_{kind}") if name in logs]
        if pair:
            line += f"{between}{kind}: " + " / ".join(f"{value:1.4f}" for value in pair)
    return line
