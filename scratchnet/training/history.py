"""What was measured of each epoch, and the line that tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import repeat
from operator import delitem

from scratchnet.errors import SettingError

DURATION = "duration"


class History(dict[str, list[float]]):
    """A list for each of what is measured, all equally long: an entry an epoch."""

    def begin(self, measures: Iterable[str]) -> None:
        """Keep these, and the duration; where epochs are kept already it must be what they have.

        Raises:
            SettingError: it is something else.
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
        """Keep an epoch's figures; returns those that are kept, by name."""
        figures = {**measured, DURATION: seconds}
        logs = {name: float(figures[name]) for name in self}
        # In one call of C: Ctrl-C comes before it or after, and the lists stay equally long.
        list(map(list.append, self.values(), logs.values()))
        return logs

    def cut(self, epochs: int) -> None:
        """Keep only so many."""
        list(map(delitem, self.values(), repeat(slice(epochs, None))))


def line_of(epoch: int, logs: Mapping[str, float]) -> str:
    """The original's line: validation before training."""
    ms = logs[DURATION] * 1000
    line = f"epoch: {epoch:2d} duration: {ms:4.{1 if ms < 10 else 0}f}ms"
    for kind, between in (("loss", " "), ("accuracy", "\t")):
        pair = [logs[name] for name in (f"valid_{kind}", f"train_{kind}") if name in logs]
        if pair:
            line += f"{between}{kind}: " + " / ".join(f"{value:1.4f}" for value in pair)
    return line
