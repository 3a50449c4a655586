"""Which data-parallel training runs now. This is all that a training run of one process needs of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from scratchnet.core.share import whole_batches

if TYPE_CHECKING:
    from scratchnet.training.parallel.group import Group


class Running(Protocol):
    """A `data_parallel`, within its with statement."""

    shards: int | None
    group: Group


current: Running | None = None
"""The one of this process."""

thread: int | None = None
"""The thread that is in the `fit` of a Learner within it."""

together: ContextVar[Group | None] = ContextVar("scratchnet_together", default=None)
"""The group whose processes train together now; None if this process works alone."""


@contextmanager
def alone() -> Iterator[None]:
    """Within it, this process does everything itself, on whole batches."""
    token = together.set(None)
    try:
        with whole_batches():
            yield
    finally:
        together.reset(token)


def agreed(reason: str) -> str:
    """Return the reason of the first process that has one, so that all of them decide alike."""
    group = together.get()
    if group is None:
        return reason
    reasons = [each.decode() for each in group.gather(reason.encode(), "a decision")]
    return next((f"rank {rank}: {each}" for rank, each in enumerate(reasons) if each), "")
