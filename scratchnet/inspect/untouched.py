"""How to look at something and leave no trace."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np

from scratchnet.training.capture.host_state import HostState


@contextmanager
def generators_put_back(**things: Any) -> Iterator[None]:
    """After it, random generators are as before: those of these things, NumPy's own and Python's own."""
    with ExitStack() as after:
        for generator in (*HostState(**things).generators, np.random, random):
            after.callback(_put_back(generator))
        yield


@contextmanager
def attributes_put_back(objects: Iterable[Any]) -> Iterator[None]:
    """After it, these objects have the attributes that they had."""
    kept = [(vars(each), dict(vars(each))) for each in objects]
    try:
        yield
    finally:
        for attributes, former in kept:
            attributes.clear()
            attributes.update(former)


def _put_back(generator: Any) -> Callable[[], object]:
    """What gives a generator of Python's or NumPy's the state that it has now."""
    if hasattr(generator, "getstate"):
        return partial(generator.setstate, generator.getstate())
    if hasattr(generator, "get_state"):
        return partial(generator.set_state, generator.get_state(legacy=False))
    bits = getattr(generator, "bit_generator", generator)
    return partial(setattr, bits, "state", bits.state)
