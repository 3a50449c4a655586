"""A number that may change between steps, and is seen to change by a step captured earlier."""

from __future__ import annotations

import threading
from typing import Any, ClassVar


class _Uses(threading.local):
    count = 0


class Setting:
    """A number, such as a learning rate, of which a device may hold a copy.

    A captured step has its Python numbers frozen into it. This one it reads from the device, at an
    address that stays; to set `value` writes there too, without waiting for the device.

    Attributes:
        number: it, for kernels that are never captured; to read it is not counted.
        uses: its `count` is how often this thread has read or set any in Python, whose numbers a
            captured step would freeze.
    """

    uses: ClassVar[_Uses] = _Uses()

    def __init__(self, value: float) -> None:
        """The number to begin with."""
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
        """The copy among this library's arrays, 0-d float64: made at the first use."""
        if xp.__name__ not in self._copies:
            self._copies[xp.__name__] = xp.full((), self.number, xp.float64)
        return self._copies[xp.__name__]
