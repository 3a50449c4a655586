"""Sums over the devices of several processes: what a backend offers, and the plain way to do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

Array: TypeAlias = Any


class Communicator:
    """Adds up arrays over several processes that have one device each.

    All processes make the same calls in the same order, with arrays of the same shapes and dtypes. After
    a sum, all of them have the same bits. These do depend on the number of processes.

    A backend needs only `sum`. It may also do sums next to other work, between `begin` and `finish`:

        communicator.begin(gradients of the last layers)
        # the backward pass goes on, and uses other arrays
        communicator.begin(gradients of the first layers)
        communicator.finish()

    Attributes:
        rank, size: the number of this process, from 0, and of all.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def sum(self, arrays: Sequence[Array]) -> None:
        """Replace each array by its sum over the processes, in place.

        Raises:
            WrongArrayError: an array is not on the device, or its dtype has no sums.
            DeviceError: the sum failed.
        """
        raise NotImplementedError

    def begin(self, arrays: Sequence[Array]) -> None:
        """Begin a `sum`. Nothing may read or change the arrays before `finish`."""
        self.sum(arrays)

    def finish(self) -> None:
        """Let all later work wait for the sums that have begun. The host does not wait."""

    def close(self) -> None:
        """Free what the sums need. All processes call it. The communicator cannot be used afterwards."""
