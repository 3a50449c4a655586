"""What a training run meets outside its state: attributes, global generators, the garbage collector."""

from __future__ import annotations

import gc
import os
from _thread import allocate_lock  # threading.Lock; see core/sweep.py
from collections.abc import Iterator
from contextlib import contextmanager
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

    These are arrays, numbers and generators in attributes of the network's modules, the loss and the
    other parts, such as the optimizer, and in lists and dicts there.
    """
    held: dict[str, str] = {}
    for path, module in net.named_modules():
        held |= _held(f"net.{path}".removesuffix("."), module, {"training"}, generators=False)
    for name, part in parts.items():
        if _inherits_its_state(type(part)):
            held |= _held(name, part, part.state_dict())
    loss = getattr(loss, "__self__", loss)  # a method belongs to an object
    if not isinstance(loss, Module):
        held |= _held("loss", loss, ())
    return held


def _inherits_its_state(kind: type) -> bool:
    """Whether a class of the user's leaves `state_dict` to the library's class that it extends."""
    says = getattr(kind, "state_dict", Stateful.state_dict)
    return not is_ours(kind) and is_ours(says) and says is not Stateful.state_dict


def _held(owner: str, part: Any, kept: Any, generators: bool = True) -> Iterator[tuple[str, str]]:
    """Yield the attributes by path; `generators` says whether those that stand alone count."""
    import random

    for name, thing in getattr(part, "__dict__", {}).items():
        if name in kept or name.removeprefix("_") in kept:
            continue
        several = list(enumerate(thing)) if isinstance(thing, list) else None
        several = list(thing.items()) if isinstance(thing, dict) else several
        for place, each in [("", thing)] if several is None else several:
            where = f"{owner}.{name}" + ("" if several is None else f".{place}")
            if isinstance(each, (int, float, np.number)):
                yield where, repr(each)
            elif isinstance(each, (np.ndarray, active().array_type)):
                yield where, digest_of({where: to_host(each)})
            elif isinstance(each, random.Random):
                yield where, repr(each.getstate())
            elif isinstance(each, np.random.Generator) and (generators or several is not None):
                yield where, repr(each.bit_generator.state)


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
