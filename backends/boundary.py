"""The boundary between host and device. Every copy across it has a name and is counted.

On the NumPy backend both sides are the same memory, and nothing is copied. The calls are counted all the
same, so a test on NumPy shows what a training step does on a GPU.
"""

from __future__ import annotations

from _thread import _local  # threading.local; see setting.py
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np

from backends.errors import TransferError
from backends.plain.library import Array
from backends.registry import active, owner


class Transfers(NamedTuple):
    """The number of copies between host and device in this thread."""

    to_host: int
    to_device: int


class _Counts(_local):
    to_host = to_device = 0


_counts = _Counts()
_forbidden: ContextVar[tuple[object, ...]] = ContextVar("scratchnet_transfers_forbidden", default=())


def transfers() -> Transfers:
    """Return the number of copies so far in this thread."""
    return Transfers(_counts.to_host, _counts.to_device)


@contextmanager
def forbid_transfers() -> Iterator[None]:
    """Within it, in this context only, a copy between host and device raises `TransferError`."""
    region = object()
    _forbidden.set((*_forbidden.get(), region))
    try:
        yield
    finally:
        _forbidden.set(tuple(each for each in _forbidden.get() if each is not region))


def to_host(array: Array) -> np.ndarray:
    """Return the array as a NumPy array. Waits for the device. A NumPy array is returned as it is."""
    _check_allowed("to_host")
    _counts.to_host += 1
    backend = owner(array)
    return np.asarray(array) if backend is None else backend.to_host(array)


def to_device(array: Array) -> Array:
    """Return an array of any library, or a nested list, as an array of the active backend."""
    _check_allowed("to_device")
    _counts.to_device += 1
    backend = active()
    if isinstance(array, backend.array_type):
        return array
    source = owner(array)
    return backend.to_device(np.asarray(array) if source is None else source.to_host(array))


def copier() -> Callable[[np.ndarray], Callable[[], Array]]:
    """Return `Backend.copier` of the active backend. Each copy counts once it is asked for."""
    begin = active().copier()

    def begin_counted(array: np.ndarray) -> Callable[[], Array]:
        _check_allowed("copier")
        arrived = begin(array)

        def counted() -> Array:
            _counts.to_device += 1
            return arrived()

        return counted

    return begin_counted


def synchronize() -> None:
    """Wait until the device has finished all work."""
    active().synchronize()


def _check_allowed(function: str) -> None:
    if _forbidden.get():
        raise TransferError(
            f"backends.{function} was called where transfers are forbidden; "
            "move the array before the region that forbids them"
        )
