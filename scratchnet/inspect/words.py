"""How names and settings are written."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from scratchnet.core.function import Function
from scratchnet.errors import SettingError


def clean(text: str) -> str:
    """One line of characters that can be shown, whatever a name holds."""
    return "".join(each if each.isprintable() else "?" for each in " ".join(text.split()))


def operand_names(function: Function) -> list[str]:
    """What `forward` calls each operand; "" where it has no name for it."""
    names = list(_arguments(type(function).forward))
    return names + [""] * (len(function.needs_grad) - len(names))


def formulas(function: Function) -> list[str]:
    """The parts of its `rule`.

    Raises:
        SettingError: the rule is no text.
    """
    if not isinstance(function.rule, str):
        raise SettingError(
            f"{type(function).__name__}.rule is {function.rule!r}; it must be text, such as "
            "'∂L/∂x = grad · y', or not there"
        )
    return [part for part in function.rule.split("; ") if part]


def settings_of(function: Function) -> str:
    """What its `__init__` was given, as far as it is plain and no default: `axis=1, keepdims=True`."""
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
    """The names that a method's arguments have, without `self`, and their defaults."""
    from inspect import Parameter, signature  # it costs as much as all of scratchnet's own modules

    single = Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD
    parameters = list(signature(method).parameters.values())[1:]
    return {each.name: each.default for each in parameters if each.kind in single}
