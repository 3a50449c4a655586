"""What a training run meets outside its state: attributes, global generators, the garbage collector."""

from __future__ import annotations

import gc
import os
from _thread import allocate_lock  # threading.Lock; see core/sweep.py
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

from backends import active, to_host
from scratchnet.core.function import is_ours
from scratchnet.core.stateful import Stateful
from scratchnet.data.loader import OwnLoader
from scratchnet.files import digest_of
from scratchnet.layers import Module

_DEEPEST = 3  # objects in objects
_NO_PROGRAM = {"scratchnet", "backends", "builtins", "functools", "numpy"}
_pausing = allocate_lock()
_pauses = 0
_enabled = True  # before the first pause


def attributes(net: Module, functions: Mapping[str, Any], **parts: Any) -> dict[str, str]:
    """Return what these hold in attributes that their state does not have, in a comparable form.

    These are arrays and numbers in attributes of the network's modules, the loss and the other parts,
    such as the optimizer, and in lists, dicts and objects of the same program there; also in attributes
    of their classes. For a function, these are its default arguments, the variables of the functions
    around it, and the global variables that it names. Random generators are found wherever they can be
    reached from there, for example in a transform of the loader or in a function that a module calls.

    Args:
        net: the network.
        functions: what computes the loss, the learning rate and the like, by name: functions or objects,
            or several of them in a list or a dict.
        parts: the optimizer and others by name; None is left out.
    """
    held: dict[str, str] = {}
    for path, text in _outside(net, functions, parts):
        held[path] = held.get(path, "") + text  # two variables may have one name
    return held


def _outside(
    net: Module, functions: Mapping[str, Any], parts: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    from scratchnet.training.reached import Generators  # read where it is needed

    modules = [(f"net.{path}".removesuffix("."), module) for path, module in net.named_modules()]
    known = {id(module) for _, module in modules}
    generators = Generators(known | {id(each) for each in net.generators().values()})
    for name, module in modules:
        yield from _held(name, module, {"training"})
        yield from generators.of(name, module)
    for name, part in parts.items():
        if part is None:
            continue
        if isinstance(part, OwnLoader):
            yield from _held(name, part.batches, ())
        if _inherits_its_state(type(part)):
            yield from _held(name, part, part.state_dict())
        if is_ours(getattr(type(part), "state_dict", Stateful.state_dict)):
            yield from generators.of(name, part)
    for name, each in _each(functions):
        yield from generators.of(name, each)
        if not isinstance(each, Module):
            yield from _held(name, each, ())
        elif id(each) not in known:
            for place, buffer in each.named_buffers():
                yield f"{name}.{place}", digest_of({"": to_host(buffer.data)})
            for path, module in each.named_modules():
                yield from _held(f"{name}.{path}".removesuffix("."), module, {"training"})


def _each(given: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield functions and objects with names, also those in lists and dicts.

    Of a method it is the object. Of functools.partial, these are itself and its function.
    """
    if isinstance(given, (Mapping, list, tuple)):
        for key, each in given.items() if isinstance(given, Mapping) else enumerate(given):
            yield from _each(each, f"{name}.{key}".removeprefix("."))
    elif isinstance(given, partial):
        yield name, given
        yield from _each(given.func, name)
    elif given is not None:
        yield name, getattr(given, "__self__", given)


def _inherits_its_state(kind: type) -> bool:
    """Whether a class of the user's leaves `state_dict` to the library's class that it extends."""
    says = getattr(kind, "state_dict", Stateful.state_dict)
    return not is_ours(kind) and is_ours(says) and says is not Stateful.state_dict


def _held(owner: str, part: Any, kept: Any) -> Iterator[tuple[str, str]]:
    """Yield what a part holds, by path."""
    program = {_program(each) for each in (*_own_classes(part), part)} - _NO_PROGRAM
    for name, thing in _attributes(part):
        if name not in kept and name.removeprefix("_") not in kept:
            yield from _comparable(f"{owner}.{name}", thing, program, (id(part),))
    for name, thing in _named_in_code(part):
        yield from _comparable(f"{owner}: {name}", thing, program, (id(part),))


def _attributes(part: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of an object, and those of its class if the user wrote it."""
    for kind in _own_classes(part):
        yield from vars(kind).items()
    yield from getattr(part, "__dict__", {}).items()


def _own_classes(part: Any) -> list[type]:
    kinds = type(part).__mro__
    return [each for each in kinds if not (is_ours(each) or each.__module__ == "builtins")]


def _program(thing: Any) -> str:
    """Return the package that has defined a class or a function, such as `__main__`."""
    return str(getattr(thing, "__module__", "")).partition(".")[0]


def _named_in_code(part: Any) -> Iterator[tuple[str, Any]]:
    """Yield the variables that a function has kept, and the globals that it names.

    For an object, these are those of the functions of its class, if the user wrote it.
    """
    from scratchnet.training.reached import globals_of, kept_by  # read where it is needed

    if isinstance(part, partial):
        yield from enumerate(part.args)
        yield from part.keywords.items()
    methods = [each for kind in _own_classes(part) for each in vars(kind).values()]
    for function in [part, *methods]:
        if isinstance(function, FunctionType) and not is_ours(function):
            yield from kept_by(function)
            yield from globals_of(function)


def _comparable(
    where: str, thing: Any, program: set[str], above: tuple[int, ...]
) -> Iterator[tuple[str, str]]:
    """Yield arrays and numbers as text, also those in lists, dicts and objects of the program.

    `above` are the `id` of the objects that hold this one.
    """
    if isinstance(thing, dict):
        for name, each in thing.items():
            yield from _as_text(f"{where}.{name}", each)
    elif isinstance(thing, (list, tuple, deque)):
        if several := [text for each in thing for _, text in _as_text("", each)]:
            yield where, repr(several)
    elif _program(type(thing)) in program and not isinstance(thing, (Module, FunctionType)):
        if len(above) <= _DEEPEST and id(thing) not in above:
            for name, each in getattr(thing, "__dict__", {}).items():
                yield from _comparable(f"{where}.{name}", each, program, (*above, id(thing)))
    else:
        yield from _as_text(where, thing)


def _as_text(where: str, thing: Any) -> Iterator[tuple[str, str]]:
    if isinstance(thing, (int, float, np.number)):
        yield where, repr(thing)
    elif isinstance(thing, (np.ndarray, active().array_type)):
        yield where, digest_of({"": to_host(thing)})


def chance() -> tuple[Any, str]:
    """Return the state of Python's and NumPy's global random generators, to be compared."""
    import random

    from scratchnet.training.generators import text_of  # read where it is needed

    return random.getstate(), text_of(np.random.get_state(legacy=False))


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector: the sweep frees the graph itself, so it would find nothing.

    On the CPU the collector costs about a twentieth of a step's time. If several networks train at once,
    the first switches it off and the last switches it on again.
    """
    global _pauses, _enabled
    with _pausing:
        if not _pauses:
            _enabled = gc.isenabled()
            gc.disable()
        _pauses += 1
    try:
        yield
    finally:
        with _pausing:
            _pauses -= 1
            if not _pauses and _enabled:
                gc.enable()


def _begin_anew() -> None:
    """Reset the count in a forked child, in which no training run is left."""
    global _pausing, _pauses
    _pausing = allocate_lock()
    if _pauses and _enabled:
        gc.enable()
    _pauses = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
