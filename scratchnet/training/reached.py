"""What a part of a training run can reach and a checkpoint does not keep: values, and generators."""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from enum import Enum
from functools import lru_cache, partial
from itertools import chain, count, islice
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any, TypeAlias

import numpy as np

from backends import active, to_host
from scratchnet.core.function import Operand, is_ours
from scratchnet.layers import Module
from scratchnet.optimizers import Optimizer
from scratchnet.training.generators import text_of

_ROUTINES = FunctionType, MethodType, BuiltinFunctionType, staticmethod, classmethod
_SEVERAL = dict, list, tuple, set, frozenset, deque
_VALUES = Enum, int, float, complex, str, bytes, np.generic, count
_DEEPEST, _MOST = 8, 10_000  # steps from a part, and things looked at in all
_WIDEST = 100  # objects looked at in a list: samples are many, and alike
_NO_PROGRAM = {"scratchnet", "backends", "numpy", *sys.stdlib_module_names}
_CAPTURE = "scratchnet.training.capture."  # a launch has the memory of a device, and no state
_READS = "LOAD_GLOBAL", "LOAD_NAME"  # the instructions that read a global variable
_LARGE, _CHOSEN = 1 << 22, 1 << 16  # of an array of more bytes, so many elements are compared


class Whose(Enum):
    """Who wrote the class or the function that holds a thing."""

    OURS = "the library, which keeps what it needs"
    USERS = "the user"
    OTHERS = "another library, whose generators alone count"


Found: TypeAlias = tuple[str, Any, Whose]
"""A path, what is there, and whose it is."""


class Reached:
    """Finds arrays, numbers, text and random generators, each once.

    It looks into attributes, lists, dicts, the arguments and the variables that a function has kept, and
    the globals that it names. It calls nothing of the user's: a mapping that is no dict may compute or
    load its values. It finds Variables too, and those of a Module or an optimizer; but no file that is
    mapped into memory.

    Args:
        known: the `id` of each object to leave out.
    """

    def __init__(self, known: set[int]) -> None:
        self._known = {*known, id(np.random.mtrand._rand), id(getattr(random, "_inst", None))}
        self._program: set[str] = set()

    def of(self, owner: str, part: Any) -> Iterator[tuple[str, str]]:
        """Yield what the part reaches, by path, in a form that can be compared."""
        self._program = {_package(each) for each in (*type(part).__mro__, part)} - _NO_PROGRAM
        self._known.add(id(part))
        left = deque((*found, 1) for found in self._inside(owner, part, Whose.USERS))
        for _ in range(_MOST):
            if not left:
                return
            path, thing, whose, depth = left.popleft()
            if issubclass(type(thing), _VALUES):
                if whose is Whose.USERS:
                    yield path, _text(thing)
            elif thing is not None and id(thing) not in self._known:
                self._known.add(id(thing))
                if (state := _state(thing, whose)) is not None:
                    if state:
                        yield path, state
                    continue
                if issubclass(type(thing), (Module, Optimizer)) and (text := self._variables_of(thing)):
                    yield path, text
                if depth < _DEEPEST:
                    left.extend((*found, depth + 1) for found in self._inside(path, thing, whose))

    def _variables_of(self, holder: Module | Optimizer) -> str:
        """Return those that are not known yet, such as the weights of another network, as text."""
        if isinstance(holder, Optimizer):
            held: list[Any] = holder.parameters
        else:
            buffers = Module.named_buffers(holder)
            held = Module.parameters(holder) + [each for _, each in buffers]
        new = [each for each in held if id(each) not in self._known]
        self._known.update(map(id, new))
        return "".join(_content(each._data) for each in new)

    def _inside(self, path: str, thing: Any, whose: Whose) -> Iterator[Found]:
        """Yield what a thing holds."""
        kind = type(thing)
        if base := next((each for each in _SEVERAL if issubclass(kind, each)), None):
            yield from _elements(path, thing, base, whose)
        elif issubclass(kind, partial):
            yield path, thing.func, Whose.OTHERS
            for name, each in chain(enumerate(thing.args), thing.keywords.items()):
                yield f"{path}: {name}", each, Whose.USERS
        elif issubclass(kind, _ROUTINES):
            yield path, getattr(thing, "__self__", None), Whose.OTHERS
            function = getattr(thing, "__func__", thing)
            if isinstance(function, FunctionType) and not is_ours(function):
                held = chain(kept_by(function), globals_of(function), list(vars(function).items()))
                own = self._of(function)
                yield from ((f"{path}: {name}", each, own) for name, each in held)
        elif issubclass(kind, type):
            if _package(thing) not in _NO_PROGRAM:
                for name, each in list(vars(thing).items()):
                    if isinstance(each, _ROUTINES):
                        yield path, each, self._of(thing)
                    elif not name.startswith("__"):
                        yield f"{path}.{name}", each, self._of(thing)
        elif not (issubclass(kind, ModuleType) or _module(kind).startswith(_CAPTURE)):
            if issubclass(kind, Module):  # a state has only its Variables, and no momentum or rate
                own, ours = Whose.USERS, {"training"}
            else:
                own = whose if kind is SimpleNamespace else self._of(kind)
                ours = {name for base in kind.__mro__ if is_ours(base) for name in _set_by(base)}
            for name, each in _attributes(thing):
                place = path if own is Whose.OURS and name.startswith("_") else f"{path}.{name}"
                yield place, each, Whose.OURS if name in ours else own
            for each in kind.__mro__:
                yield path, each, own

    def _of(self, thing: Any) -> Whose:
        if is_ours(thing):
            return Whose.OURS
        mine = _package(thing) in self._program or not _is_installed(_module(thing))
        return Whose.USERS if mine else Whose.OTHERS


def _state(thing: Any, whose: Whose) -> str | None:
    """Return the state of an array or a generator as text; None for what has none."""
    kind = type(thing)
    if issubclass(kind, Operand):
        return "" if whose is Whose.OURS else _content(thing._data)
    if issubclass(kind, (np.ndarray, active().array_type)):
        return _content(thing) if whose is Whose.USERS else ""
    if not issubclass(
        kind, (random.Random, np.random.Generator, np.random.RandomState, np.random.BitGenerator)
    ):
        return None
    if whose is Whose.OURS or issubclass(kind, random.SystemRandom):
        return ""
    if issubclass(kind, random.Random):
        return repr(thing.getstate())
    if issubclass(kind, np.random.RandomState):
        return text_of(thing.get_state(legacy=False))
    return text_of(getattr(thing, "bit_generator", thing).state)


def _content(array: Any) -> str:
    """Return what distinguishes an array; of a large one, from elements at equal distances."""
    held = array
    while isinstance(held, np.ndarray):
        if isinstance(held, np.memmap):
            return ""
        array, held = np.asarray(array), held.base
    step = 1 if array.nbytes <= _LARGE else array.size // _CHOSEN
    return f"{array.shape} {array.dtype} {hash(to_host(array.reshape(-1)[::step]).tobytes())} "


def _text(value: Any) -> str:
    """Return a value as text, without the methods of a user's class."""
    base = next(each for each in _VALUES if issubclass(type(value), each))
    if base is int:  # `repr` refuses long ones
        return int.__format__(value, "x")
    if base is Enum:
        return Enum.__str__(value)
    return str(base.__hash__(value)) if base in (str, bytes) else base.__repr__(value)


def _elements(path: str, thing: Any, base: Any, whose: Whose) -> Iterator[Found]:
    """Yield the elements: each of a small dict whose keys are text, else values as one text."""
    elements, size = dict.values(thing) if base is dict else base.__iter__(thing), base.__len__(thing)
    is_small_dict = base is dict and size <= _WIDEST
    if whose is not Whose.USERS:
        yield from ((path, each, whose) for each in _at_once(elements, stop=_WIDEST))
    elif is_small_dict and all(type(name) is str for name in _at_once(dict.keys(thing))):
        yield from ((f"{path}.{name}", each, whose) for name, each in _at_once(dict.items(thing)))
    else:
        chosen = _at_once(elements, step=size // _MOST + 1)
        texts = [_text(each) for each in chosen if issubclass(type(each), _VALUES)]
        yield path, f"{size} {sorted(texts) if base in (set, frozenset) else texts}", whose
        objects = (each for each in chosen if not issubclass(type(each), _VALUES))
        yield from ((path, each, whose) for each in islice(objects, _WIDEST))


def _at_once(things: Iterable[Any], stop: int | None = None, step: int = 1) -> list[Any]:
    """Return things at one moment; none if another thread changes them now."""
    try:
        return list(islice(things, 0, stop, step))
    except RuntimeError:
        return []


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of an object, also those for which its classes have reserved places."""
    for kind in type(thing).__mro__:
        for name, place in list(vars(kind).items()):
            if name == "__dict__" and isinstance(place, GetSetDescriptorType):
                yield from list(place.__get__(thing).items())
            elif isinstance(place, MemberDescriptorType):
                with suppress(AttributeError):  # it is not set
                    yield name, place.__get__(thing)


@lru_cache(1000)
def _set_by(kind: type) -> frozenset[str]:
    """Return the names of the attributes that the methods of one of our classes set."""
    codes = (each.__code__ for each in vars(kind).values() if isinstance(each, FunctionType))
    return frozenset().union(*(_names(code, "STORE_ATTR") for code in codes))


def _module(thing: Any) -> str:
    return str(getattr(thing, "__module__", None) or "")


def _package(thing: Any) -> str:
    """Return the package that has defined a class or a function, such as `__main__`."""
    return _module(thing).partition(".")[0]


@lru_cache(1000)
def _is_installed(module: str) -> bool:
    """Whether this module belongs to Python, to us or to an installed library."""
    if module.partition(".")[0] in _NO_PROGRAM:
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return not {"site-packages", "dist-packages"}.isdisjoint(PurePath(file).parts)


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
    """Yield the global variables that a function and the functions in it name, also those of modules."""
    codes, known = [function.__code__], function.__globals__
    for code in codes:
        codes += [each for each in code.co_consts if isinstance(each, CodeType)]
        for name in filter(known.__contains__, code.co_names):
            thing = known[name]
            if isinstance(thing, ModuleType):
                if not _is_installed(thing.__name__):
                    held = vars(thing)
                    yield from ((f"{name}.{each}", held[each]) for each in code.co_names if each in held)
            # Looking at the code costs time; and an attribute is rarely called like a function.
            elif isinstance(thing, (*_ROUTINES, type)) or name in _names(code, *_READS):
                yield name, thing


@lru_cache(1000)
def _names(code: CodeType, *instructions: str) -> frozenset[str]:
    """Return the names that these instructions of code use. `co_names` has those of all others too."""
    import dis

    return frozenset(each.argval for each in dis.get_instructions(code) if each.opname in instructions)
