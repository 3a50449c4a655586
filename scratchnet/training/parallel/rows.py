"""The rows of a batch that a process computes: in a Learner, and in a loop of the user's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from backends import Array
from scratchnet.core.function import array_of
from scratchnet.core.share import first_row
from scratchnet.data.batches import Batch
from scratchnet.training.parallel.buckets import Buckets
from scratchnet.training.parallel.group import Group

OVER_A_BATCH = "sums over a batch"
"""What is added up, for messages."""


class Rows:
    """Some rows of a batch; see `Share`."""

    weight, listens = 1.0, False

    def __init__(self, first: int, rows: int, total: int) -> None:
        self.first, self.rows, self.total = first, rows, total
        self.counts = rows > 0
        self.fraction = max(rows, 1) / max(total, 1)

    def place(self, size: int) -> tuple[int, int]:
        """Return where an axis begins in that of the whole batch, and its whole size.

        An axis of a multiple of the rows has each row several times, such as the steps of a sequence.
        Any other axis does not count the rows, and all shares have it alike.
        """
        each, other = divmod(size, max(self.rows, 1))
        first = self.first if self.rows else 0
        return (0, 0) if other else (first * each, self.total * each)

    def sum(self, array: Array) -> Array:
        """Return the array: while a loader reads, nothing is added up."""
        return array

    def ready(self, leaf: Any, gradient: Any) -> None:
        """Do nothing: all gradients are added up at the end."""

    def reduce(self, parameters: Sequence[Any]) -> None:
        """Do nothing: the team does this."""


class OwnRows(Rows):
    """The rows of this process in a loop of the user's own, whose loss is the mean over these rows.

    `optimizer.step` and the functions that clip gradients take the mean of the gradients of all
    processes, which are weighted by their rows. The mean of gradients that are such a mean already is
    the same again. So gradients may be changed after it, or added to.

    Args:
        group: the processes.
        rows: the first row, the number of rows, and that of the batch; zeros if they are not known.
            Then all processes count the same.
    """

    def __init__(self, group: Group, *rows: int) -> None:
        super().__init__(*(rows or (0, 0, 0)))
        self._group = group
        self.weight = self.rows * group.size / self.total if self.total else 1.0
        self.fraction = self.fraction if self.total else 1 / group.size
        self.counts = self.weight > 0
        self._reduced: dict[int, Any] = {}

    def place(self, size: int) -> tuple[int, int]:
        """Return where an axis begins in that of the whole batch; see `Rows`."""
        if self.total:
            return super().place(size)
        return self._group.rank * size, self._group.size * size

    def sum(self, array: Array) -> Array:
        """Return the sum of the arrays of all processes."""
        return self._group.added(array, OVER_A_BATCH)

    def reduce(self, parameters: Sequence[Any]) -> None:
        """Set the gradients to the means over all processes, except those that are such means."""
        new = [each for each in parameters if self._reduced.get(id(each), self) is not each.grad]
        if not new:
            return
        own = [None if each.grad is None else array_of(each.grad) for each in new]
        present = np.array([each is not None for each in own], np.float64)
        self._group.sum([present], "the gradients")
        sums = Buckets(self._group, new).sums(own)
        for parameter, total, there in zip(new, sums, present, strict=True):
            total *= 1 / self._group.size  # exact
            parameter.grad = self._reduced[id(parameter)] = total if there else None


class OwnLoop:
    """Gives loaders the rows of this process, in a loop of the user's own; see `Part`."""

    def __init__(self, group: Group) -> None:
        self.group, self.streams = group, group.size

    def share(self, total: int) -> OwnRows:
        """Return the rows of this process in a batch."""
        rank, size = self.group.rank, self.group.size
        first, end = (first_row(total, each, size) for each in (rank, rank + 1))
        return OwnRows(self.group, first, end - first, total)

    def reading(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield what a loader reads; meanwhile the others wait for longer."""
        return self.group.reading(batches)
