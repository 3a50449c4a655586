"""The boundary between host and device: crossed by name only, and counted.

On the NumPy backend the two sides are one memory and nothing is copied, but crossings count all
the same: what is proved here of a training step holds on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np

from backends.backend import Array
from backends.errors import TransferError
from backends.registry import active, owner


class Transfers(NamedTuple):
    """How often this process has crossed the device boundary."""

    to_host: int
    to_device: int


_counts = [0, 0]
_forbidden: ContextVar[bool] = ContextVar("scratchnet_transfers_forbidden", default=False)


def transfers() -> Transfers:
    """The crossings so far."""
    return Transfers(*_counts)


@contextmanager
def forbid_transfers() -> Iterator[None]:
    """Within it, a crossing raises `TransferError`."""
    token = _forbidden.set(True)
    try:
        yield
    finally:
        _forbidden.reset(token)


def to_host(array: Array) -> np.ndarray:
    """The array as NumPy's; waits for the device. A NumPy array comes back as it is."""
    _cross(0, "to_host")
    backend = owner(array)
    return np.asarray(array) if backend is None else backend.to_host(array)


def to_device(array: Array) -> Array:
    """The array, of whatever library, or the nested list, as the active backend's array."""
    _cross(1, "to_device")
    backend = active()
    if isinstance(array, backend.array_type):
        return array
    source = owner(array)
    return backend.to_device(np.asarray(array) if source is None else source.to_host(array))


def synchronize() -> None:
    """Return when the device has done all work handed to it."""
    active().synchronize()


def _cross(direction: int, function: str) -> None:
    if _forbidden.get():
        raise TransferError(
            f"backends.{function} was called where transfers are forbidden; "
            "move the array before the region that forbids them"
        )
    _counts[direction] += 1
