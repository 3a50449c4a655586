"""A number that may change between steps, also for a captured step."""

from __future__ import annotations

from _thread import _local  # threading.local; the module threading takes a millisecond to import
from typing import Any, ClassVar


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
