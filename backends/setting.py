"""A number that may change between steps, also for a captured step."""

from __future__ import annotations

from _thread import _local  # threading.local; the module threading takes a millisecond to import
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np


class _Uses(_local):
    count = 0


class Setting:
    """A number, such as a learning rate. A device may have a copy of it.

    Python numbers are frozen into a captured step. A Setting is not: the step reads it from the device,
    at a fixed address. Setting `value` writes there too, without waiting for the device.

    Attributes:
        number: the number, for kernels that are never captured. Reading it is not counted.
        uses: `uses.count` is how often this thread has read or set any `value` in Python. A captured
            step would freeze such a number.
    """

    uses: ClassVar[_Uses] = _Uses()

    def __init__(self, value: float) -> None:
        """Take the first value."""
        self.number = value
        self._copies: dict[str, Any] = {}

    @property
    def value(self) -> float:
        """The number."""
        Setting.uses.count += 1
        return self.number

    @value.setter
    def value(self, value: float) -> None:
        Setting.uses.count += 1
        self.number = value
        for copy in list(self._copies.values()):
            copy.fill(value)

    def on_device(self, xp: Any) -> Any:
        """Return the copy among this library's arrays, 0-d float64, made at its first use."""
        if xp.__name__ not in self._copies:
            self._copies[xp.__name__] = xp.full((), self.number, xp.float64)
        return self._copies[xp.__name__]


_ROWS = 1 << 16


class Schedule(Setting):
    """A Setting that is a function of the step.

    On a device, the numbers of the next steps lie in a table. So a captured step finds its own number
    there, and its Python code need not run again.

    Args:
        function: called with the number of a step, from 0; returns the number for it.
    """

    def __init__(self, function: Callable[[int], float]) -> None:
        super().__init__(function(0))
        self.function = function
        self._tables: dict[str, Any] = {}
        self._ahead = 0

    def move_to(self, library: Any, step: Any) -> None:
        """Take the number of a step.

        Args:
            library: the active backend.
            step: the number of the step, a 0-d int64 array of this backend.
        """
        at_hand = library.at_hand(step)
        if at_hand is not None:
            self.number = self.function(int(at_hand))
            for copy in list(self._copies.values()):
                copy.fill(self.number)
            return
        if not self._ahead:
            self.look_ahead(library, step, 1000)
        self._ahead -= 1
        table = self._tables[library.xp.__name__]
        self.on_device(library.xp)[...] = library.xp.take(table, step % _ROWS)

    def look_ahead(self, library: Any, step: Any, steps: int) -> None:
        """Put the numbers of the next steps into the table on the device. This waits for the device."""
        if library.at_hand(step) is not None:
            return
        first = int(library.to_host(step))
        name, rows = library.xp.__name__, np.zeros(_ROWS)
        for each in range(first, first + min(steps, _ROWS)):
            rows[each % _ROWS] = self.function(each)
        if name not in self._tables:
            self._tables[name] = library.xp.zeros(_ROWS, library.xp.float64)
        self._tables[name][...] = library.to_device(rows)
        self._ahead = steps

    def forget(self) -> None:
        """Fill the table anew at the next step: the step's number may have changed without `move_to`."""
        self._ahead = 0
