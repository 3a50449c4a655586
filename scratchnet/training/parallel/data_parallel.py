"""`data_parallel`: within it, several processes train one network."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from scratchnet.training.parallel.group import Group
from scratchnet.training.parallel.launch import launched

current: data_parallel | None = None
"""The running context of this process."""


class _Alone:
    def Get_rank(self) -> int:  # noqa: N802
        return 0

    def Get_size(self) -> int:  # noqa: N802
        return 1


class data_parallel:  # noqa: N801 - used in a with statement
    """Within it, all processes that `mpiexec` has started train one network together.

        with sn.data_parallel():
            learner.fit(10)

    Args:
        shards: the number of leaves of the tree in which each batch is added up: a power of two. The
            number of processes must divide it. Every such number gives the same bits. None takes the
            number of a resumed checkpoint; for a new training run, the next power of two at or above
            the number of processes.
        timeout: seconds after which a process that does not come ends all of them.

    Attributes:
        rank: the number of this process, from 0.
        size: the number of processes.
    """

    group: Group

    def __init__(self, shards: int | None = None, timeout: float = 60.0) -> None:
        self.shards, self.timeout = shards, timeout

    def __enter__(self) -> Self:
        """Join the other processes."""
        found = launched()
        if found:
            from mpi4py import MPI

            self.group = Group(MPI.COMM_WORLD)
        else:
            self.group = Group(_Alone())
        self.rank, self.size = self.group.rank, self.group.size
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave together."""
