"""The measurements of each epoch, and the line that shows them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from itertools import repeat
from operator import delitem

import numpy as np

from scratchnet.errors import SettingError

DURATION = "duration"
SETS = "train", "valid"
_GROW = "accuracy", "precision", "recall", "f1", "r2", "auc", "top_k"


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


def kinds_of(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Group the names of a history by what they measure, without the duration.

    Returns:
        For each kind, such as "loss", the name for each set, such as "valid": "valid_loss". A name
            without `train_` or `valid_` is a kind, and its set is "".
    """
    kinds: dict[str, dict[str, str]] = {}
    for name in names:
        of, _, kind = name.partition("_")
        if of not in SETS or not kind:
            of, kind = "", name
        if name != DURATION:
            kinds.setdefault(kind, {})[of] = name
    return kinds


def larger_is_better(name: str) -> bool:
    """Return whether a figure of this name should grow, such as `valid_accuracy` and `macro_f1`.

    These are accuracy, precision, recall, f1, r2, auc, top_k, and names that end so. Every other figure
    should shrink.
    """
    return name.endswith(_GROW)


def line_of(epoch: int, logs: Mapping[str, float]) -> str:
    """Return the original's line for an epoch, with validation before training."""
    ms = logs[DURATION] * 1000
    line = f"epoch: {epoch:2d} duration: {ms:4.{1 if ms < 10 else 0}f}ms"
    for number, (kind, names) in enumerate(kinds_of(logs).items()):
        values = [_shown(logs[names[of]]) for of in ("valid", "train", "") if of in names]
        line += "\t" if number else " "
        line += f"{kind}: {' / '.join(values)}"
    return line


def print_if_possible(line: str) -> None:
    """Print a line; nothing if standard output is missing, closed or cannot be written to."""
    if hasattr(sys.stdout, "write") and not getattr(sys.stdout, "closed", False):
        # A metric's name may have characters that a terminal or a pipe does not know.
        known = getattr(sys.stdout, "encoding", None) or "utf-8"
        print(line.encode(known, "backslashreplace").decode(known))


def _shown(value: float) -> str:
    """Return a figure with four decimals; one that would become 0.0000 with its digits."""
    return f"{value:.1e}" if 0 < abs(value) < 5e-5 else f"{value:1.4f}"
