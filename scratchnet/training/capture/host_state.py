"""What Python holds that a computation may read: looked through, so that a change of it is seen.

Values are kept as they are, objects and arrays by their identity. It sees attributes, containers, the
closures, defaults and globals of functions, and the data of classes. It cannot see through iterators and
other objects of C, nor files and clocks.
"""

from __future__ import annotations

import random
import types
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from functools import cache, partial
from typing import Any

import numpy as np

from backends import Array, Backend, Setting, active
from scratchnet.data.loader import DataLoader, ResidentPass
from scratchnet.variable import Variable

_VALUES = (int, float, complex, str, bytes, bool, type(None), np.generic)
_OPAQUE = (Backend, Setting, DataLoader, ResidentPass, types.ModuleType)
"""Looked after elsewhere: who changes these tells of it, or keeps their arrays."""
_WRAPPERS = (staticmethod, classmethod)
_KNOWN = {"scratchnet", "backends", "numpy", "cupy", "builtins"}
"""Packages whose functions and classes hold nothing that changes."""
_MOST_BYTES = 1 << 20


@cache
def _chance() -> tuple[type, ...]:
    """The kinds of NumPy's generators, of which NumPy itself loads none before they are asked for."""
    return np.random.Generator, np.random.BitGenerator, np.random.RandomState


class HostState:
    """What was found, by path.

    Attributes:
        values: what can be compared.
        arrays: the device's arrays among it.
        variables: the Variables among it.
        generators: the random generators among it, NumPy's and Python's.
    """

    def __init__(self, **things: Any) -> None:
        """Look at all of these."""
        self.values: dict[str, Any] = {}
        self.arrays: dict[str, Array] = {}
        self.variables: list[Variable] = []
        self.generators: list[Any] = []
        self._seen: set[int] = set()
        self._array_type = active().array_type
        for name, thing in things.items():
            self._look(name, thing)

    def difference(self, later: HostState) -> str:
        """The path of something that is not what it was; empty if all is."""
        both = {**self.values, **later.values}
        paths = [path for path in both if self.values.get(path) != later.values.get(path)]
        return max(paths, key=lambda path: path.count("."), default="")

    def _look(self, path: str, thing: Any) -> None:
        if isinstance(thing, _VALUES):
            self.values[path] = thing
            return
        self.values[path] = _Same(thing)
        if id(thing) in self._seen:
            return
        self._seen.add(id(thing))
        if isinstance(thing, Variable):
            self.values[path] = thing.requires_grad, _Same(thing), _Same(thing.data)
            self.arrays[path] = thing.data
            self.variables.append(thing)
        elif isinstance(thing, self._array_type):
            self.arrays[path] = thing
        elif isinstance(thing, np.ndarray):
            if thing.nbytes <= _MOST_BYTES:
                self.values[path] = _Same(thing), thing.tobytes()
        elif isinstance(thing, _chance()):
            bits: Any = getattr(thing, "bit_generator", getattr(thing, "_bit_generator", thing))
            self.values[path] = repr(bits.state)
            self.generators.append(thing)
        elif isinstance(thing, random.SystemRandom):
            self.values[path] = object()  # never twice the same
        elif isinstance(thing, random.Random):
            self.values[path] = thing.getstate()
            self.generators.append(thing)
        elif not isinstance(thing, _OPAQUE):
            for name, each in self._parts(thing):
                self._look(f"{path}.{name}", each)

    def _parts(self, thing: Any) -> Iterable[tuple[object, Any]]:
        """What an object is made of."""
        if isinstance(thing, types.MethodType):
            yield from (("__self__", thing.__self__), ("__func__", thing.__func__))
        elif isinstance(thing, types.FunctionType):
            if not _known(thing):
                yield from _parts_of_a_function(thing)
        elif isinstance(thing, partial):
            yield from (("func", thing.func), ("args", thing.args), ("keywords", thing.keywords))
        elif isinstance(thing, _WRAPPERS):
            yield "__func__", thing.__func__
        elif isinstance(thing, property):
            yield from (("fget", thing.fget), ("fset", thing.fset))
        elif isinstance(thing, type):
            if not _known(thing):
                yield from [
                    item for item in vars(thing).items() if item[0] not in ("__dict__", "__doc__")
                ]
                yield from ((base.__name__, base) for base in thing.__bases__)
        else:
            if isinstance(thing, dict):
                yield from ((repr(key), each) for key, each in list(thing.items()))
            elif isinstance(thing, (list, tuple, deque)):
                yield from enumerate(list(thing))
            elif isinstance(thing, (set, frozenset)):
                yield from enumerate(sorted(thing, key=repr))
            yield from list(getattr(thing, "__dict__", {}).items())
            for owner in type(thing).__mro__:
                for name in vars(owner).get("__slots__", ()):
                    if name not in ("__dict__", "__weakref__") and hasattr(thing, name):
                        yield name, getattr(thing, name)
            if not _known(type(thing)):
                yield type(thing).__name__, type(thing)


class _Same:
    """Equal to what holds the very same object; it holds it, so that no other takes its place."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.thing is other.thing

    __hash__ = None  # type: ignore[assignment]


def _known(thing: Any) -> bool:
    return (getattr(thing, "__module__", None) or "").partition(".")[0] in _KNOWN


def _parts_of_a_function(function: types.FunctionType) -> Iterable[tuple[str, Any]]:
    """Closure, defaults, attributes, and the globals that its code names."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # it may not be assigned yet
            yield name, cell.cell_contents
    for place, default in enumerate(function.__defaults__ or ()):
        yield f"default {place}", default
    yield from (function.__kwdefaults__ or {}).items()
    yield from vars(function).items()
    names = _names(function.__code__)
    for name in names:
        thing = function.__globals__.get(name)
        if not isinstance(thing, types.ModuleType):
            yield name, thing
        elif thing.__name__.partition(".")[0] not in _KNOWN:
            for inner in names & vars(thing).keys():
                yield f"{name}.{inner}", vars(thing)[inner]


def _names(code: types.CodeType) -> set[str]:
    """The global names and attributes that some code uses, and the code within it."""
    inner = [each for each in code.co_consts if isinstance(each, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))
