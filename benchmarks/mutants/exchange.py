"""Plants a fault in the functions of a running process, so that nothing must be imported again."""

from __future__ import annotations

import gc
from inspect import CO_OPTIMIZED
from types import CodeType, FunctionType

_AT_ONCE = "comp>", "genexpr>"
"""How the names of comprehensions end."""


def pairs(before: str, after: str, path: str) -> list[tuple[CodeType, CodeType]] | None:
    """Return the functions that differ in two versions of a module, as code.

    Args:
        before: the module's source.
        after: the same with a fault, in as many lines.
        path: the module's path.

    Returns:
        The code before and after; None if code differs that the import itself runs.
    """
    return _pairs(*(compile(source, path, "exec", dont_inherit=True) for source in (before, after)))


def exchange(found: list[tuple[CodeType, CodeType]]) -> None:
    """Give the functions of this process their other code."""
    functions = [each for each in gc.get_objects() if type(each) is FunctionType]
    for old, new in found:
        for each in functions:
            if each.__code__ == old and each.__code__.co_filename == old.co_filename:
                each.__code__ = new


def _pairs(old: CodeType, new: CodeType) -> list[tuple[CodeType, CodeType]] | None:
    if old == new:
        return []
    if old.co_flags & CO_OPTIMIZED:  # a function, unless the import runs it
        return None if old.co_name.endswith(_AT_ONCE) else [(old, new), *_inside(old, new)]
    same = (old.co_code, old.co_names) == (new.co_code, new.co_names)
    if not same or len(old.co_consts) != len(new.co_consts):
        return None
    found = []
    for each, other in zip(old.co_consts, new.co_consts, strict=True):
        if isinstance(each, CodeType) and isinstance(other, CodeType):
            inside = _pairs(each, other)
            if inside is None:
                return None
            found += inside
        elif repr(each) != repr(other):
            return None
    return found


def _inside(old: CodeType, new: CodeType) -> list[tuple[CodeType, CodeType]]:
    """Return the functions in a function that differ: the import may have made one of them."""
    both = ([each for each in code.co_consts if isinstance(each, CodeType)] for code in (old, new))
    return [
        pair
        for each, other in zip(*both, strict=False)
        if each != other and each.co_name == other.co_name and not each.co_name.endswith(_AT_ONCE)
        for pair in ((each, other), *_inside(each, other))
    ]
