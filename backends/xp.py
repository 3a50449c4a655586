"""The active backend's array library under one name.

`from backends import xp`, then `xp.zeros`, `xp.maximum`, …: each attribute is looked up in the
library of the backend that is active at that moment, so the name is never stale after a switch.
(`from backends.xp import zeros` would be: it asks once.)
"""

from __future__ import annotations

from typing import Any

from backends.registry import active


def __getattr__(name: str) -> Any:
    if name.startswith("__"):  # Python's own questions to a module are not for the library
        raise AttributeError(name)
    return getattr(active().xp, name)


def __dir__() -> list[str]:
    return dir(active().xp)
