"""The random generators that a part of a training run can reach: a checkpoint does not keep them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from scratchnet.core.function import is_ours

_ROUTINES = FunctionType, MethodType, BuiltinFunctionType, staticmethod, classmethod
_DEEPEST, _MOST = 8, 10_000  # steps from a part, and things looked at in all
_WIDEST = 100  # elements looked at in a list: samples are many, and alike


class Generators:
    """Finds the generators, each once.

    It looks into attributes, lists, dicts, the variables around a function and the globals that it
    names. The library's own objects keep their generators themselves.

    Args:
        known: the `id` of what is not to be looked at.
    """

    def __init__(self, known: set[int]) -> None:
        import random

        self._known = {*known, id(np.random.mtrand._rand), id(getattr(random, "_inst", None))}

    def of(self, owner: str, part: Any) -> dict[str, str]:
        """Return the states of the generators that the part reaches, as text by path."""
        found = dict[str, str]()
        for path, state in self._reached(owner, part):
            found[path] = found.get(path, "") + state
        return found

    def _reached(self, owner: str, part: Any) -> Iterator[tuple[str, str]]:
        left = deque((path, thing, ours, 1) for path, thing, ours in _inside(owner, part, False))
        for _ in range(_MOST):
            if not left:
                return
            path, thing, ours, depth = left.popleft()
            if id(thing) in self._known or isinstance(thing, ModuleType):
                continue
            self._known.add(id(thing))
            if (state := _state(thing)) is not None:
                if not ours:
                    yield path, state
            elif depth < _DEEPEST:
                left.extend((*found, depth + 1) for found in _inside(path, thing, ours))


def _state(thing: Any) -> str | None:
    import random

    if isinstance(thing, random.Random):
        return repr(thing.getstate())
    if isinstance(thing, np.random.Generator):
        return repr(thing.bit_generator.state)
    if isinstance(thing, np.random.RandomState):
        return repr(
            [part.tobytes() if isinstance(part, np.ndarray) else part for part in thing.get_state()]
        )
    return None


def _inside(path: str, thing: Any, ours: bool) -> Iterator[tuple[str, Any, bool]]:
    """Yield what a thing holds: its path, itself, and whether one of our objects holds it."""
    if isinstance(thing, Mapping):
        yield from ((path, each, ours) for each in islice(_copied(thing.values()), _WIDEST))
    elif isinstance(thing, (list, tuple, set, frozenset, deque)):
        yield from ((path, each, ours) for each in islice(_copied(thing), _WIDEST))
    elif isinstance(thing, partial):
        yield from ((path, each, False) for each in (thing.func, *thing.args, *thing.keywords.values()))
    elif isinstance(thing, _ROUTINES):
        yield path, getattr(thing, "__self__", None), False
        function = getattr(thing, "__func__", thing)
        if isinstance(function, FunctionType) and not is_ours(function):
            yield from ((f"{path}: {name}", each, False) for name, each in _of_function(function))
    elif isinstance(thing, type):
        if not is_ours(thing) and thing.__module__ != "builtins":
            for name, each in _copied(vars(thing).items()):
                yield path if isinstance(each, _ROUTINES) else f"{path}.{name}", each, False
    else:
        own = is_ours(type(thing))
        held = _copied(getattr(thing, "__dict__", {}).items())
        for name, each in held:
            yield path if own and name.startswith("_") else f"{path}.{name}", each, own
        for kind in type(thing).__mro__:
            yield path, kind, False


def _copied(things: Any) -> list[Any]:
    """Return the elements at one moment, as another thread may change them."""
    try:
        return list(things)
    except RuntimeError:
        return []


def _of_function(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the variables around a function, and the globals that it and the functions in it name."""
    yield from closure_of(function)
    codes = [function.__code__]
    for code in codes:
        codes += [each for each in code.co_consts if isinstance(each, CodeType)]
        yield from (
            (name, function.__globals__[name]) for name in code.co_names if name in function.__globals__
        )
    yield from vars(function).items()


def closure_of(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the variables of the functions around a function that it uses, by name."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # it has no content yet
            yield name, cell.cell_contents
