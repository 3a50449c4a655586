"""The active backend's array library under one name.

Write `from backends import xp`, then `xp.zeros`, `xp.maximum`, …. Each attribute is looked up in the
library that is active at that moment, so `xp` follows every switch. `from backends.xp import zeros` does
not: it looks up the function once.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from backends.registry import active

_OF_THE_LIBRARY = {"__version__", "__array_api_version__", "__array_namespace_info__"}


class _ActiveLibrary(ModuleType):
    """A module that looks up its attributes at every access. `__getattr__` alone would be slower."""

    def __getattribute__(self, name: str) -> Any:
        if name[:2] == "__":  # names that Python itself asks a module for
            if name == "__all__":
                return [each for each in dir(active().xp) if each[0] != "_"]
            if name not in _OF_THE_LIBRARY:
                return super().__getattribute__(name)
        return getattr(active().xp, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name[:2] != "__":
            raise AttributeError(f"xp.{name}: xp only looks up; set it in the array library itself")
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return dir(active().xp)


class _ActivePart(ModuleType):
    """A part of the library, such as `linalg`, for `import backends.xp.linalg`."""

    def __getattr__(self, name: str) -> Any:
        part = getattr(active().xp, self.__name__.rpartition(".")[2])
        if name == "__all__":
            return [each for each in dir(part) if each[0] != "_"]
        return getattr(part, name)

    def __dir__(self) -> list[str]:
        return dir(getattr(active().xp, self.__name__.rpartition(".")[2]))


def __getattr__(name: str) -> Any:
    """For type checkers, which do not see the classes above."""
    raise AttributeError(name)


sys.modules[__name__].__class__ = _ActiveLibrary
for _part in ("fft", "linalg", "random"):
    sys.modules[f"{__name__}.{_part}"] = _ActivePart(f"{__name__}.{_part}")
