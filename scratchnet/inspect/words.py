"""Write names and settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from backends.errors import one_line, printable
from scratchnet.core.function import Function
from scratchnet.errors import SettingError


def clean(text: str) -> str:
    """Return one line of printable characters, whatever a name holds."""
    return printable(one_line(text))


def operand_names(function: Function) -> list[str]:
    """Return `forward`'s name for each operand; "" if it has no name for it."""
    names, count = list(_arguments(type(function).forward)), len(function.needs_grad)
    return (names + [""] * count)[:count]


def formulas(function: Function) -> list[str]:
    """Return the parts of its `rule`.

    Raises:
        SettingError: the rule is not text.
    """
    if not isinstance(function.rule, str):
        raise SettingError(
            f"{type(function).__name__}.rule is {function.rule!r}; it must be text, such as "
            "'∂L/∂x = grad · y', or not there"
        )
    return [part for part in function.rule.split("; ") if part]


def settings_of(function: Function) -> str:
    """Return what its `__init__` got, if it is plain and not a default: `axis=1, keepdims=True`."""
    kept = vars(function)
    return ", ".join(
        f"{name}={kept[name]!r}"
        for name, default in _arguments(type(function).__init__).items()
        if _is_plain(kept.get(name)) and kept[name] != default
    )


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(part is None or part is Ellipsis or _is_plain(part) for part in value)
    return isinstance(value, (bool, int, float, str, slice))


@lru_cache(maxsize=256)
def _arguments(method: Callable[..., Any]) -> dict[str, Any]:
    """Return the names of a method's arguments, without `self`, and their defaults."""
    from inspect import Parameter, signature  # costs as much as all of scratchnet

    single = Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD
    parameters = list(signature(method).parameters.values())[1:]
    return {each.name: each.default for each in parameters if each.kind in single}
