"""The boundary between host and device: crossed by name only, and counted.

On the NumPy backend the two sides are one memory and nothing is copied, but crossings count all
the same: what is proved here of a training step holds on a GPU.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np

from backends.backend import Array
from backends.errors import TransferError
from backends.registry import active, owner


class Transfers(NamedTuple):
    """How often this thread has crossed the device boundary."""

    to_host: int
    to_device: int


class _Counts(threading.local):
    to_host = to_device = 0


_counts = _Counts()
_forbidden: ContextVar[tuple[object, ...]] = ContextVar("scratchnet_transfers_forbidden", default=())


def transfers() -> Transfers:
    """The crossings so far, of this thread: what others do is not counted among them."""
    return Transfers(_counts.to_host, _counts.to_device)


@contextmanager
def forbid_transfers() -> Iterator[None]:
    """Within it, a crossing raises `TransferError`: in this context, as `use` tells, and in no other."""
    region = object()
    _forbidden.set((*_forbidden.get(), region))
    try:
        yield
    finally:
        _forbidden.set(tuple(each for each in _forbidden.get() if each is not region))


def to_host(array: Array) -> np.ndarray:
    """The array as NumPy's; waits for the device. A NumPy array comes back as it is."""
    _check_allowed("to_host")
    _counts.to_host += 1
    backend = owner(array)
    return np.asarray(array) if backend is None else backend.to_host(array)


def to_device(array: Array) -> Array:
    """The array, of whatever library, or the nested list, as the active backend's array."""
    _check_allowed("to_device")
    _counts.to_device += 1
    backend = active()
    if isinstance(array, backend.array_type):
        return array
    source = owner(array)
    return backend.to_device(np.asarray(array) if source is None else source.to_host(array))


def synchronize() -> None:
    """Return when the device has done all work handed to it."""
    active().synchronize()


def _check_allowed(function: str) -> None:
    if _forbidden.get():
        raise TransferError(
            f"backends.{function} was called where transfers are forbidden; "
            "move the array before the region that forbids them"
        )
