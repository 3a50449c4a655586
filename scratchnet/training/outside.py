"""What a training run meets outside its state: attributes, global generators, the garbage collector."""

from __future__ import annotations

import gc
import os
from _thread import allocate_lock  # threading.Lock; see core/sweep.py
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import numpy as np

from backends import active, to_host
from scratchnet.core.function import is_ours
from scratchnet.core.stateful import Stateful
from scratchnet.files import digest_of
from scratchnet.layers import Module

_pausing = allocate_lock()
_pauses = 0
_enabled = True  # before the first pause


def attributes(net: Module, loss: Any, **parts: Any) -> dict[str, str]:
    """Return what these hold in attributes that their state does not have, in a comparable form.

    These are arrays and numbers in attributes of the network's modules, the loss and the other parts,
    such as the optimizer, and in lists and dicts there; also in attributes of their classes. For a loss
    that is a function, these are the variables of the functions around it, and global numbers that it
    names. Random generators are found wherever they can be reached from there, for example in a
    transform of the loader or in a function that a module calls.
    """
    from scratchnet.training.reached import Generators  # read where it is needed

    held: dict[str, str] = {}
    modules = [(f"net.{path}".removesuffix("."), module) for path, module in net.named_modules()]
    known = {id(module) for _, module in modules}
    generators = Generators(known | {id(each) for each in net.generators().values()})
    for name, module in modules:
        held |= _held(name, module, {"training"})
        held |= generators.of(name, module)
    for name, part in parts.items():
        if _inherits_its_state(type(part)):
            held |= _held(name, part, part.state_dict())
        if is_ours(getattr(type(part), "state_dict", Stateful.state_dict)):
            held |= generators.of(name, part)
    for name, each in _losses(loss):
        held |= generators.of(name, each)
        if not isinstance(each, Module):
            held |= _held(name, each, ())
        elif id(each) not in known:
            held |= {f"{name}.{place}": digest_of({"": to_host(buffer.data)})
                     for place, buffer in each.named_buffers()}  # fmt: skip
            for path, module in each.named_modules():
                held |= _held(f"{name}.{path}".removesuffix("."), module, {"training"})
    return held


def _losses(loss: Any) -> Iterator[tuple[str, Any]]:
    """Yield the objects and functions that compute the loss, with names."""
    if isinstance(loss, Mapping):
        several = [(f"loss.{name}", each) for name, each in loss.items()]
    elif isinstance(loss, Sequence):
        several = [(f"loss.{number}", each) for number, each in enumerate(loss)]
    else:
        several = [("loss", loss)]
    for name, each in several:
        each = getattr(each, "func", each)  # of functools.partial
        yield name, getattr(each, "__self__", each)  # a method belongs to an object


def _inherits_its_state(kind: type) -> bool:
    """Whether a class of the user's leaves `state_dict` to the library's class that it extends."""
    says = getattr(kind, "state_dict", Stateful.state_dict)
    return not is_ours(kind) and is_ours(says) and says is not Stateful.state_dict


def _held(owner: str, part: Any, kept: Any) -> Iterator[tuple[str, str]]:
    """Yield what a part holds, by path."""
    for name, thing in _attributes(part):
        if name not in kept and name.removeprefix("_") not in kept:
            yield from _comparable(f"{owner}.{name}", thing)
    for name, thing in _named_in_code(part):
        yield from _comparable(f"{owner}: {name}", thing)


def _attributes(part: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of an object, and those of its class if the user wrote it."""
    for kind in _own_classes(part):
        yield from vars(kind).items()
    yield from getattr(part, "__dict__", {}).items()


def _own_classes(part: Any) -> list[type]:
    kinds = type(part).__mro__
    return [each for each in kinds if not (is_ours(each) or each.__module__ == "builtins")]


def _named_in_code(part: Any) -> Iterator[tuple[str, Any]]:
    """Yield the variables around a function, and the global numbers that it names.

    For an object, these are the functions of its class, if the user wrote it.
    """
    from scratchnet.training.reached import closure_of  # read where it is needed

    methods = [each for kind in _own_classes(part) for each in vars(kind).values()]
    for function in [part, *methods]:
        if not isinstance(function, FunctionType) or is_ours(function):
            continue
        yield from closure_of(function)
        for name in function.__code__.co_names:
            thing = function.__globals__.get(name)
            if isinstance(thing, (int, float, np.number)):
                yield name, thing


def _comparable(where: str, thing: Any) -> Iterator[tuple[str, str]]:
    """Yield arrays and numbers as text, also those in a list or a dict."""
    if isinstance(thing, dict):
        for name, each in thing.items():
            yield from _as_text(f"{where}.{name}", each)
    elif isinstance(thing, list):
        if several := [text for each in thing for _, text in _as_text("", each)]:
            yield where, repr(several)
    else:
        yield from _as_text(where, thing)


def _as_text(where: str, thing: Any) -> Iterator[tuple[str, str]]:
    if isinstance(thing, (int, float, np.number)):
        yield where, repr(thing)
    elif isinstance(thing, (np.ndarray, active().array_type)):
        yield where, digest_of({"": to_host(thing)})


def chance() -> tuple[Any, ...]:
    """Return the state of Python's and NumPy's global random generators, to be compared."""
    import random

    state: Any = np.random.get_state(legacy=False)
    bits = state["state"]
    return random.getstate(), bits["key"].tobytes(), bits["pos"], state["has_gauss"], state["gauss"]


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
