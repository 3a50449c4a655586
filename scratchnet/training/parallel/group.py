"""A group of processes that train together: their sums, gathered texts, and how the group ends.

All sums are binary trees over the ranks: ((0 + 1) + (2 + 3)) + …. So their bits do not depend on the MPI
library, and not on how the leaves of a larger tree are dealt to the ranks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from scratchnet.core.share import whole_batches

together: ContextVar[Group | None] = ContextVar("scratchnet_together", default=None)
"""The group whose processes train together now; None if this process works alone."""

if TYPE_CHECKING:
    from scratchnet.training.parallel.watch import Watch

_HALVED = 1 << 15
"""Bytes from which a sum is computed in halves: less to send, and more messages."""

_PATIENCE = 0.001
"""Seconds of polling after which a waiting rank sleeps between two looks."""


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


class Alone:
    """The communicator of a single process."""

    def Get_rank(self) -> int:  # noqa: N802 - as in mpi4py
        """Return 0."""
        return 0

    def Get_size(self) -> int:  # noqa: N802
        """Return 1."""
        return 1


class Group:
    """The processes of an MPI communicator. Their number is a power of two.

    Args:
        comm: an mpi4py communicator.
        watch: ends the job when a rank has been waited for too long.

    Attributes:
        rank, size: the number of this process, from 0, and of all.
    """

    def __init__(self, comm: Any, watch: Watch | None = None) -> None:
        self.comm, self.watch = comm, watch
        self.rank, self.size = int(comm.Get_rank()), int(comm.Get_size())
        self.devices: Any = None
        self._beside: Any = None  # a thread, and a group of its own for it
        self._pending: list[Any] = []

    @property
    def adds_on_host(self) -> bool:
        """Whether arrays of the active backend are added up by MPI, in the order of a binary tree."""
        return self.devices is None

    def add(self, arrays: Sequence[Any], what: str) -> None:
        """Add up arrays of the active backend over the ranks, in place."""
        if self.devices is None:
            self.sum(arrays, what)
        elif self.size > 1:
            self.devices.sum(arrays)

    def sum(self, arrays: Sequence[np.ndarray], what: str) -> None:
        """Add up arrays over the ranks, in place; every rank has the sum.

        Args:
            arrays: contiguous host arrays, of the same shapes and dtypes on all ranks.
            what: what is added, for the message if a rank does not come.
        """
        if self.size == 1 or not arrays:
            return
        parts: dict[str, list[np.ndarray]] = {}
        for each in arrays:
            parts.setdefault(each.dtype.str, []).append(each)
        for several in parts.values():
            if len(several) == 1:
                self._sum(several[0].reshape(-1), what)
                continue
            flat = np.concatenate([each.reshape(-1) for each in several])
            self._sum(flat, what)
            place = 0
            for each in several:
                each[...] = flat[place : place + each.size].reshape(each.shape)
                place += each.size

    def begin(self, flat: Any, what: str, at_once: bool) -> None:
        """Begin to add up a flat array over the ranks, in place. It is ready after `finish`.

        Args:
            flat: an array of the active backend.
            what: what is added, for messages.
            at_once: whether to wait for the sum here, because there is nothing else to do.
        """
        if self.size == 1:
            return
        if at_once:
            self.add([flat], what)
        elif self.devices is not None:
            self.devices.begin([flat])
        else:
            if self._beside is None:
                from concurrent.futures import ThreadPoolExecutor

                self._beside = (
                    ThreadPoolExecutor(1, "scratchnet sums"),
                    Group(self.comm.Dup(), self.watch),
                )
            thread, other = self._beside
            self._pending.append(thread.submit(other.sum, [flat], what))

    def finish(self) -> None:
        """Wait for all sums that have begun."""
        if self.devices is not None:
            self.devices.finish()
        for each in self._pending:
            each.result()
        self._pending.clear()

    def gather(self, text: bytes, what: str) -> list[bytes]:
        """Return what each rank gave, in their order."""
        if self.size == 1:
            return [text]
        from mpi4py import MPI

        sizes = np.zeros(self.size, np.int64)
        self._wait([self.comm.Iallgather(np.array([len(text)]), sizes)], what)
        found = np.empty(int(sizes.sum()), np.uint8)
        places = np.cumsum(sizes) - sizes
        sent = np.frombuffer(text, np.uint8)
        receive = [found, (sizes.tolist(), places.tolist()), MPI.BYTE]
        self._wait([self.comm.Iallgatherv([sent, MPI.BYTE], receive)], what)
        return [
            found[at : at + size].tobytes()
            for at, size in zip(places.tolist(), sizes.tolist(), strict=True)
        ]

    def any(self, flag: bool, what: str) -> bool:
        """Whether the flag is set on any rank."""
        return self.total([flag], what)[0] > 0

    def total(self, numbers: Sequence[float], what: str) -> list[float]:
        """Return the sums of numbers. All ranks give equally many."""
        found = np.array(numbers, np.float64)
        self.sum([found], what)
        return list(map(float, found))

    def of_first(self, numbers: Sequence[float], what: str) -> list[float]:
        """Return the numbers that rank 0 gave. All ranks give equally many."""
        return self.total(numbers if self.rank == 0 else [0] * len(numbers), what)

    def barrier(self, what: str, seconds: float | None = None) -> bool:
        """Wait for all ranks. Return whether all came; False only after `seconds`, if they are given."""
        return self.size == 1 or self._wait([self.comm.Ibarrier()], what, seconds=seconds)

    def abort(self, line: str, code: int = 1) -> NoReturn:
        """Print a line, and end all processes of the job."""
        print(f"scratchnet: rank {self.rank}: {line}", file=sys.stderr, flush=True)
        self.comm.Abort(code)
        raise SystemExit(code)  # Abort does not return

    def _sum(self, data: np.ndarray, what: str) -> None:
        """Add up one flat array over the ranks, in place.

        The partners of a rank differ from it in one bit, from the lowest to the highest. A large array
        is halved at each step, and each of the two adds up one half; then they send each other the sums.
        """
        bits = [1 << bit for bit in range(self.size.bit_length() - 1)]
        if data.nbytes < _HALVED or data.size < self.size:
            for bit in bits:
                other = np.empty_like(data)
                self._exchange(self.rank ^ bit, data, other, what)
                data += other
            return
        low, high = 0, data.size
        halves = []
        for bit in bits:
            middle = (low + high) // 2
            mine, theirs = (low, middle), (middle, high)
            if self.rank & bit:
                mine, theirs = theirs, mine
            other = np.empty(mine[1] - mine[0], data.dtype)
            self._exchange(self.rank ^ bit, data[slice(*theirs)], other, what)
            data[slice(*mine)] += other
            halves.append((bit, mine, theirs))
            low, high = mine
        for bit, mine, theirs in reversed(halves):
            self._exchange(self.rank ^ bit, data[slice(*mine)], data[slice(*theirs)], what)

    def _exchange(self, partner: int, sent: np.ndarray, received: np.ndarray, what: str) -> None:
        from mpi4py import MPI

        requests = [
            self.comm.Irecv([received.view(np.uint8), MPI.BYTE], partner),
            self.comm.Isend([sent.view(np.uint8), MPI.BYTE], partner),
        ]
        self._wait(requests, what, partner)

    def _wait(
        self, requests: list[Any], what: str, partner: int | None = None, seconds: float | None = None
    ) -> bool:
        """Wait until requests are complete. Return whether they are; False only after `seconds`."""
        from mpi4py import MPI

        done: Callable[[], bool] = lambda: MPI.Request.Testall(requests)  # noqa: E731
        if done():
            return True
        begin = time.monotonic()
        waiting = None if self.watch is None else self.watch.waiting(what, partner)
        while not done():
            now = time.monotonic()
            if seconds is not None and now - begin > seconds:
                return False
            if waiting is not None and seconds is None:
                waiting.check(self)
            time.sleep(0 if now - begin < _PATIENCE else 0.0002)
        if waiting is not None:
            waiting.end()
        return True
