"""The active backend's array library under one name.

`from backends import xp`, then `xp.zeros`, `xp.maximum`, …: each attribute is looked up in the
library of the backend that is active at that moment, so the name is never stale after a switch.
(`from backends.xp import zeros` would be: it asks once.)
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from backends.registry import active


class _ActiveLibrary(ModuleType):
    """A module that asks at every access; `__getattr__` alone would first search in vain."""

    def __getattribute__(self, name: str) -> Any:
        if name[:2] == "__":  # Python's own questions to a module are not for the library
            return super().__getattribute__(name)
        return getattr(active().xp, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name[:2] != "__":
            raise AttributeError(f"xp.{name}: xp only looks up; set it in the array library itself")
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return dir(active().xp)


def __getattr__(name: str) -> Any:
    """For type checkers, which do not see the class below."""
    raise AttributeError(name)


sys.modules[__name__].__class__ = _ActiveLibrary
