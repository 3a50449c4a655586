"""The random generators that a part of a training run can reach: a checkpoint does not keep them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache, partial
from itertools import chain, islice
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from scratchnet.core.function import is_ours
from scratchnet.training.generators import text_of

_ROUTINES = FunctionType, MethodType, BuiltinFunctionType, staticmethod, classmethod
_SEVERAL = list, tuple, set, frozenset, deque
_PLAIN = int, float, complex, str, bytes, type(None), np.ndarray, np.generic, ModuleType
_DEEPEST, _MOST = 8, 10_000  # steps from a part, and things looked at in all
_WIDEST = 100  # elements looked at in a list: samples are many, and alike


class Generators:
    """Finds the generators, each once.

    It looks into attributes, lists, dicts, the arguments and the variables that a function has kept, and
    the globals that it names. It calls nothing of the user's: a mapping that is no dict may compute or
    load its values. The library's own objects keep their generators themselves.

    Args:
        known: the `id` of each object to leave out.
    """

    def __init__(self, known: set[int]) -> None:
        import random

        self._known = {*known, id(np.random.mtrand._rand), id(getattr(random, "_inst", None))}

    def of(self, owner: str, part: Any) -> Iterator[tuple[str, str]]:
        """Yield the states of the generators that the part reaches, as text by path."""
        left = deque((path, thing, ours, 1) for path, thing, ours in _inside(owner, part, False))
        for _ in range(_MOST):
            if not left:
                return
            path, thing, ours, depth = left.popleft()
            if issubclass(type(thing), _PLAIN) or id(thing) in self._known:
                continue
            self._known.add(id(thing))
            if (state := _state(thing)) is not None:
                if not ours:
                    yield path, state
            elif depth < _DEEPEST:
                left.extend((*found, depth + 1) for found in _inside(path, thing, ours))


def _state(thing: Any) -> str | None:
    """Return the state of a generator as text; "" for one that has none to be kept."""
    import random

    kind = type(thing)
    if issubclass(kind, random.Random):
        return "" if issubclass(kind, random.SystemRandom) else repr(thing.getstate())
    if issubclass(kind, np.random.Generator):
        return text_of(thing.bit_generator.state)
    if issubclass(kind, np.random.RandomState):
        return text_of(thing.get_state(legacy=False))
    return text_of(thing.state) if issubclass(kind, np.random.BitGenerator) else None


def _inside(path: str, thing: Any, ours: bool) -> Iterator[tuple[str, Any, bool]]:
    """Yield what a thing holds: its path, itself, and whether one of our objects holds it."""
    kind = type(thing)
    if issubclass(kind, dict):
        yield from ((path, each, ours) for each in _first(dict.values(thing)))
    elif bases := [each for each in _SEVERAL if issubclass(kind, each)]:
        yield from ((path, each, ours) for each in _first(bases[0].__iter__(thing)))
    elif issubclass(kind, partial):
        yield from ((path, each, False) for each in (thing.func, *thing.args, *thing.keywords.values()))
    elif issubclass(kind, _ROUTINES):
        yield path, getattr(thing, "__self__", None), False
        function = getattr(thing, "__func__", thing)
        if isinstance(function, FunctionType) and not is_ours(function):
            held = chain(kept_by(function), globals_of(function), vars(function).items())
            yield from ((f"{path}: {name}", each, False) for name, each in held)
    elif issubclass(kind, type):
        if not is_ours(thing) and thing.__module__ != "builtins":
            for name, each in list(vars(thing).items()):
                yield path if isinstance(each, _ROUTINES) else f"{path}.{name}", each, False
    else:
        own = is_ours(kind)
        for name, each in chain(list(getattr(thing, "__dict__", {}).items()), _slots(thing)):
            yield path if own and name.startswith("_") else f"{path}.{name}", each, own
        for each in kind.__mro__:
            yield path, each, False


def _first(things: Any) -> list[Any]:
    """Return the first elements at one moment; none if another thread changes them now."""
    try:
        return list(islice(things, _WIDEST))
    except RuntimeError:
        return []


def _slots(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes for which the classes of a user's object have reserved places."""
    for kind in type(thing).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            with suppress(AttributeError):  # it is not set
                yield name, getattr(thing, name)


def kept_by(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the variables of the functions around a function, and its default arguments, by name."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # it has no content yet
            yield name, cell.cell_contents
    code, defaults = function.__code__, function.__defaults__ or ()
    positional = code.co_varnames[: code.co_argcount]
    yield from zip(positional[len(positional) - len(defaults) :], defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def globals_of(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the global variables that a function and the functions in it name."""
    codes, known = [function.__code__], function.__globals__
    for code in codes:
        codes += [each for each in code.co_consts if isinstance(each, CodeType)]
        for name in filter(known.__contains__, code.co_names):
            # Looking at the code costs time; and an attribute is rarely called like a function.
            if isinstance(known[name], (*_ROUTINES, type, ModuleType)) or name in _loaded(code):
                yield name, known[name]


@lru_cache(1000)
def _loaded(code: CodeType) -> frozenset[str]:
    """Return the names that code loads as variables. `co_names` has those of attributes too."""
    import dis

    loads = "LOAD_GLOBAL", "LOAD_NAME"
    return frozenset(each.argval for each in dis.get_instructions(code) if each.opname in loads)
