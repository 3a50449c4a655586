"""What a training run meets outside its state: attributes, global generators, the garbage collector."""

from __future__ import annotations

import gc
import os
import re
from _thread import allocate_lock  # threading.Lock; see core/sweep.py
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import numpy as np

from scratchnet.core.function import is_ours
from scratchnet.core.stateful import Stateful
from scratchnet.data.loader import OwnLoader
from scratchnet.layers import Module

_CALLBACKS, _FREEZES = "callbacks", ".requires_grad"
_TO_KEEP = {
    "net": "make it an sn.Buffer, or a generator an attribute of the module",
    "loss": "keep it in the network, as an sn.Buffer",
    "learning_rate": "compute it from the step",
    "metrics": "compute it from the outputs and the targets",
    _CALLBACKS: "add it to its state_dict, or set only_writes = True if it changes nothing",
}
_pausing = allocate_lock()
_pauses = 0
_enabled = True  # before the first pause


class Changes:
    """Knows what the parts of a run held at its first epoch, and names what has changed since.

    Each `look` returns what they hold now, as `attributes` does.
    """

    def __init__(self) -> None:
        self._first: dict[str, str] | None = None
        self._told = set[str]()

    def begin(self, look: Callable[[], dict[str, str]], has_callbacks: bool) -> None:
        """Note what is held: all of it at the first epoch, and later that of new callbacks."""
        if self._first is None:
            self._first = look()
        elif has_callbacks:
            new = {name: text for name, text in look().items() if _owner(name) == _CALLBACKS}
            self._first = new | self._first

    def lost(self, look: Callable[[], dict[str, str]]) -> Iterator[tuple[str, str]]:
        """Yield what has changed, and how to keep it; each once."""
        if self._first is None:
            return
        then, now = self._first, look()
        for name in sorted(then.keys() | now.keys()):
            of_an_earlier_fit = name not in now and _owner(name) == _CALLBACKS
            if then.get(name) != now.get(name) and name not in self._told and not of_an_earlier_fit:
                self._told.add(name)
                usual = _TO_KEEP.get(_owner(name), "add it to its state_dict")
                yield name, "set it again after resume" if name.endswith(_FREEZES) else usual


def _owner(path: str) -> str:
    return re.split("[.:]", path)[0]


def attributes(
    net: Module, functions: Mapping[str, Any], parts: Mapping[str, Any], owner: Any
) -> dict[str, str]:
    """Return what these hold and their state does not have, by path, in a comparable form.

    These are the values and generators that `Reached` finds, beginning with the network's modules, the
    functions and the other parts; also which parameters need a gradient. A part whose class defines its
    own `state_dict` says itself what it keeps, and is left out.

    Args:
        net: the network.
        functions: what computes the loss, the learning rate and the like, by name: functions or objects,
            or several of them in a list or a dict.
        parts: the optimizer and others by name; None is left out.
        owner: the object that holds them all. What is reached through it only is left out.
    """
    held: dict[str, str] = {}
    for path, text in _outside(net, functions, parts, owner):
        held[path] = held.get(path, "") + text  # two variables may have one name
    return held


def _outside(
    net: Module, functions: Mapping[str, Any], parts: Mapping[str, Any], owner: Any
) -> Iterator[tuple[str, str]]:
    from scratchnet.training.reached import Reached  # read where it is needed

    modules = dict(net.named_modules())
    kept = modules, dict(net.named_parameters()), dict(net.named_buffers()), net.generators(), parts
    reached = Reached({id(owner), *(id(each) for several in kept for each in several.values())})
    for path, module in modules.items():
        yield from reached.of(f"net.{path}".removesuffix("."), module)
    for path, parameter in net.named_parameters():
        yield f"net.{path}{_FREEZES}", repr(parameter.requires_grad)
    for name, each in _each(functions):
        yield name, (each if isinstance(each, FunctionType) else type(each)).__qualname__
        yield from reached.of(name, each)
    for name, part in parts.items():
        if part is not None and is_ours(getattr(type(part), "state_dict", Stateful.state_dict)):
            yield from reached.of(name, part.batches if isinstance(part, OwnLoader) else part)


def _each(given: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield functions and objects with names, also those in lists and dicts."""
    if isinstance(given, (Mapping, list, tuple)):
        for key, each in given.items() if isinstance(given, Mapping) else enumerate(given):
            yield from _each(each, f"{name}.{key}".removeprefix("."))
    elif given is not None:
        yield name, given


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
