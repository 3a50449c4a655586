"""How names and settings are written."""

from __future__ import annotations

from typing import Any

from scratchnet.function import Function
from scratchnet.show.operands import arguments


def clean(text: str) -> str:
    """One line of characters that can be shown, whatever a name holds."""
    return "".join(each if each.isprintable() else "?" for each in " ".join(text.split()))


def settings_of(function: Function) -> str:
    """What its `__init__` was given, as far as it is plain and no default: `axis=1, keepdims=True`."""
    return ", ".join(
        f"{name}={vars(function)[name]!r}"
        for name, default in arguments(type(function).__init__).items()
        if _is_plain(vars(function).get(name)) and vars(function)[name] != default
    )


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(part is None or part is Ellipsis or _is_plain(part) for part in value)
    return isinstance(value, (bool, int, float, str, slice))
