"""Restore what a look at a network changes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np

from scratchnet.core.random import Philox


@contextmanager
def generators_put_back(generators: Iterable[Any]) -> Iterator[None]:
    """Restore random generators at the end: these, NumPy's global one and Python's."""
    with ExitStack() as after:
        for generator in (*generators, np.random, random):
            after.callback(_put_back(generator))
        yield


@contextmanager
def attributes_put_back(objects: Iterable[Any]) -> Iterator[None]:
    """Restore the attributes of these objects at the end."""
    kept = [(vars(each), dict(vars(each))) for each in objects]
    try:
        yield
    finally:
        for attributes, former in kept:
            attributes.clear()
            attributes.update(former)


def generators_in(objects: Iterable[Any]) -> list[Any]:
    """Return the random generators in the attributes of these objects."""
    kinds = np.random.Generator, Philox, random.Random
    return [each for thing in objects for each in vars(thing).values() if isinstance(each, kinds)]


def _put_back(generator: Any) -> Callable[[], object]:
    """Return a function that restores the present state of a generator of Python or NumPy."""
    if hasattr(generator, "getstate"):
        return partial(generator.setstate, generator.getstate())
    if hasattr(generator, "get_state"):
        return partial(generator.set_state, generator.get_state(legacy=False))
    bits = generator.bit_generator
    return partial(setattr, bits, "state", bits.state)
