"""The share of a batch: the rows that the running code computes, when a batch is divided.

Data-parallel training divides each batch into shares; see `scratchnet/training/parallel`. Most code need
not know: a Function computes the rows that it is given. Only what depends on the whole batch asks here:
batch normalization adds up the sums of all shares, and a random mask has the numbers of its own rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from backends import Array


class Share(Protocol):
    """Some rows of a batch, and what connects them with the other rows.

    A share without rows computes one row of the batch, as a placeholder that counts nothing. So all
    shares call the same functions, in the same order.

    Attributes:
        first: the position of the first row in the batch.
        rows: the number of rows; 0 for a placeholder.
        total: the number of rows of the batch; 0 if it is not known.
        counts: False for a placeholder.
        weight: a factor of each gradient with which a backward pass begins.
        fraction: the part of the batch that the share computes; a placeholder has that of one row.
        listens: whether a sweep is to call `ready`.
    """

    first: int
    rows: int
    total: int
    counts: bool
    weight: float
    fraction: float
    listens: bool

    def place(self, size: int) -> tuple[int, int]:
        """Return where an axis of this size begins in that of the whole batch, and its whole size."""

    def sum(self, array: Array) -> Array:
        """Return the sum of the arrays that all shares give, of the same shape. It may wait for them."""

    def ready(self, leaf: Any, gradient: Any) -> None:
        """Receive the gradient of a leaf that no other Function of the sweep will add to."""

    def reduce(self, parameters: Sequence[Any]) -> None:
        """Set the gradients of parameters to those of the whole batch, if that was not done yet."""


class Part(Protocol):
    """Which share of every batch this process computes.

    Attributes:
        streams: into how many leaves a batch is cut when each leaf comes from files of its own. It does
            not depend on the number of processes of a resumed training run, which divides it.
    """

    streams: int

    def share(self, total: int) -> Share:
        """Return the share of a batch of this many rows."""

    def reading(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yield what a loader reads."""


share: ContextVar[Share | None] = ContextVar("scratchnet_share", default=None)
"""The share of the running code; None if the batch is whole."""

part: ContextVar[Part | None] = ContextVar("scratchnet_part", default=None)
"""What loaders give of every batch; None if they give whole batches."""


@contextmanager
def whole_batches() -> Iterator[None]:
    """Within it, a batch is not divided."""
    tokens = share.set(None), part.set(None)
    try:
        yield
    finally:
        share.reset(tokens[0])
        part.reset(tokens[1])


def rows_of(mine: Share) -> slice:
    """Return the rows of a share in its batch: at least one, as a placeholder."""
    return slice(mine.first, mine.first + mine.rows) if mine.rows else slice(0, 1)


def first_row(total: int, leaf: int, leaves: int) -> int:
    """Return the first row of a leaf, if a batch of `total` rows is cut into leaves.

    The first leaves are the longer ones; so if there are fewer rows than leaves, the first leaf has one.
    """
    return -(-total * leaf // leaves)
