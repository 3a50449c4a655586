"""Gradients are added up over the processes in buckets, from the last parameter to the first.

Backward finishes the gradients of the last layers first. So a large network's first buckets are on their
way while backward still computes the others.

Source: Li et al., PyTorch Distributed: Experiences on Accelerating Data Parallel Training, 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backends import Array, xp
from scratchnet.training.parallel.group import Group
from scratchnet.variable import Variable

BUCKET = 25_000_000
"""Bytes from which a bucket is full."""


class Buckets:
    """Adds up the gradients of some parameters over a group.

    Args:
        group: the processes.
        parameters: the Variables, the same on all processes.
    """

    def __init__(self, group: Group, parameters: Sequence[Variable]) -> None:
        self.group, self.parameters = group, parameters
        self._buckets: list[list[int]] = []
        self._of: dict[int, int] = {}  # the bucket of each place
        full: dict[str, int] = {}
        for place in reversed(range(len(parameters))):
            data = parameters[place].data
            number = full.get(data.dtype.str, -1)
            if number < 0 or self._bytes(number) >= BUCKET:
                full[data.dtype.str] = number = len(self._buckets)
                self._buckets.append([])
            self._buckets[number].append(place)
            self._of[place] = number
        self._begun: dict[int, Array] = {}
        self._arrived: dict[int, Array | None] = {}

    @property
    def several(self) -> bool:
        """Whether it pays to begin before all gradients are there."""
        return self.group.size > 1 and len(self._buckets) > 1

    def arrive(self, place: int, gradient: Array | None) -> None:
        """Take the gradient of this process for a parameter. Begin the sum of a bucket that is full."""
        self._arrived[place] = gradient
        number = self._of[place]
        if all(each in self._arrived for each in self._buckets[number]):
            self._begin(number)

    def sums(self, own: Sequence[Array | None]) -> list[Array]:
        """Return the sum of each gradient over all processes, in the memory order of its parameter.

        Args:
            own: the gradients of this process, those that have arrived too; None counts as zero.
        """
        for place, gradient in enumerate(own):
            if self._of[place] not in self._begun:
                self._arrived.setdefault(place, gradient)
        for number in range(len(self._buckets)):
            if number not in self._begun:
                self._begin(number)
        self.group.finish()
        found: list[Any] = [None] * len(self.parameters)
        for number, places in enumerate(self._buckets):
            flat, begin = self._begun[number], 0
            for place in places:
                data = self.parameters[place].data
                part = flat[begin : begin + data.size]
                found[place] = part.reshape(data.shape, order=_order(data))
                begin += data.size
        self._begun, self._arrived = {}, {}
        return found

    def _begin(self, number: int) -> None:
        places = self._buckets[number]
        parts = [self._flat(place, self._arrived[place]) for place in places]
        flat = self._begun[number] = parts[0].copy() if len(parts) == 1 else xp.concatenate(parts)
        del parts
        self._arrived |= dict.fromkeys(places)  # else the sweep would copy them, as they are held twice
        self.group.begin(flat, "the gradients", at_once=len(self._buckets) == 1)

    def _flat(self, place: int, gradient: Array | None) -> Array:
        data = self.parameters[place].data
        if gradient is None:
            return xp.zeros(data.size, data.dtype)
        return gradient.ravel(order=_order(data))

    def _bytes(self, number: int) -> int:
        return sum(self.parameters[place].data.nbytes for place in self._buckets[number])


def _order(data: Array) -> str:
    """Return the order in which an array lies in memory; an update is slow in another one."""
    return "F" if data.flags.f_contiguous and not data.flags.c_contiguous else "C"
