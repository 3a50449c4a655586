"""A group of processes that train together: their sums, gathered texts, and how the group ends.

All sums are binary trees over the ranks: ((0 + 1) + (2 + 3)) + …. So their bits do not depend on the MPI
library, and not on how the leaves of a larger tree are dealt to the ranks.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn, TypeVar

import numpy as np

from backends import Array, Communicator, active, xp
from scratchnet.training.parallel.watch import Watch, end_all

T = TypeVar("T")

_HALVED = 1 << 15
"""Bytes from which a sum is computed in halves: less to send, and more messages."""

_PATIENCE = 0.0001
"""Seconds of polling, after which a waiting rank sleeps between two looks.

With four ranks on two busy cores, a sum takes up to four times as long if this is ten times as much.
"""

_PAUSES = 0.00005, 0.001
"""The shortest and the longest such sleep, in seconds; otherwise, a fiftieth of the time waited."""


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
        self._left: list[Any] = []  # given up; MPI may still write into their memory
        self._devices: dict[str, Any] = {}  # the communicator of each backend, or None
        self._beside: Any = None  # a thread, and a group of its own for it
        self._pending: list[Any] = []

    @property
    def devices(self) -> Communicator | None:
        """What adds up arrays of the active backend if they lie on devices; None if on the host.

        The first time, it connects the devices: all ranks ask at the same time.
        """
        backend = active()
        if self.size > 1 and backend.name not in self._devices:

            def share_id(given: bytes | None) -> bytes:
                return self.gather(given or b"", "the connection of the devices")[0]

            self._devices[backend.name] = backend.communicator(self.rank, self.size, share_id)
        return self._devices.get(backend.name)

    @property
    def adds_on_host(self) -> bool:
        """Whether arrays of the active backend are added up by MPI, in the order of a binary tree."""
        return self.devices is None and active().array_type is np.ndarray

    def add(self, arrays: Sequence[Any], what: str) -> None:
        """Add up arrays of the active backend over the ranks, in place."""
        devices = self.devices
        if devices is None:
            self.sum(arrays, what)
        else:
            devices.sum(arrays)

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
        elif (devices := self.devices) is not None:
            devices.begin([flat])
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
        if (devices := self.devices) is not None:
            devices.finish()
        for each in self._pending:
            each.result()
        self._pending.clear()

    def gather(self, text: bytes, what: str) -> list[bytes]:
        """Return what each rank gave, in their order."""
        if self.size == 1:
            return [text]
        from mpi4py import MPI

        heads = np.zeros((self.size, 2), np.int64)
        mine = np.array([len(text), zlib.crc32(what.encode())])
        self.wait([self.comm.Iallgather(mine, heads)], what)
        sizes = heads[:, 0]
        if (others := np.flatnonzero(heads[:, 1] != mine[1])).size:
            self.abort(f"comes to {what}, but rank {others[0]} to something else; all ranks end")
        found = np.empty(int(sizes.sum()), np.uint8)
        places = np.cumsum(sizes) - sizes
        sent = np.frombuffer(text, np.uint8)
        receive = [found, (sizes.tolist(), places.tolist()), MPI.BYTE]
        self.wait([self.comm.Iallgatherv([sent, MPI.BYTE], receive)], what)
        return [
            found[at : at + size].tobytes()
            for at, size in zip(places.tolist(), sizes.tolist(), strict=True)
        ]

    def gather_json(self, value: Any, what: str) -> list[Any]:
        """Return the numbers, text, lists and dicts that each rank gave. Tuples become lists."""
        return [json.loads(each) for each in self.gather(json.dumps(value).encode(), what)]

    def added(self, array: Array, what: str) -> Array:
        """Return the sum of an array of the active backend over the ranks, as an array of its own."""
        total = xp.ascontiguousarray(array).copy()
        self.add([total], what)
        return total

    def any(self, flag: bool, what: str) -> bool:
        """Whether the flag is set on any rank."""
        return self.total([flag], what)[0] > 0

    def total(self, numbers: Sequence[float], what: str) -> list[float]:
        """Return the sums of numbers. All ranks give equally many."""
        found = np.array(numbers, np.float64)
        self.sum([found], what)
        return list(map(float, found))

    def barrier(self, what: str, seconds: float | None = None) -> bool:
        """Wait for all ranks. Return whether all came; False only after `seconds`, if they are given."""
        return self.size == 1 or self.wait([self.comm.Ibarrier()], what, seconds)

    def busy(self, what: str) -> AbstractContextManager[object]:
        """Let the others wait for longer, within a with statement: this rank reads or writes."""
        return self.watch.busy(what) if self.watch else nullcontext()

    def reading(self, batches: Iterable[T]) -> Iterator[T]:
        """Yield what a loader yields, and let the others wait for longer while it reads."""
        iterator = iter(batches)
        while True:
            with self.busy("reads data"):
                batch = next(iterator, None)
            if batch is None:
                return
            yield batch

    def abort(self, line: str, code: int = 1) -> NoReturn:
        """Print a line, and end all processes of the job."""
        end_all(self.comm, line, code)

    def _sum(self, data: np.ndarray, what: str) -> None:
        """Add up one flat array over the ranks, in place.

        The partners of a rank differ from it in one bit, from the lowest to the highest. A large array
        is halved at each step, and each of the two adds up one half; then they send each other the sums.
        """
        what = f"{what} ({data.size} {data.dtype})"
        tag = zlib.crc32(what.encode()) % 32768  # so that other sums never meet this one
        bits = [1 << bit for bit in range(self.size.bit_length() - 1)]
        if data.nbytes < _HALVED or data.size < self.size:
            for bit in bits:
                other = np.empty_like(data)
                self._exchange(self.rank ^ bit, data, other, what, tag)
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
            self._exchange(self.rank ^ bit, data[slice(*theirs)], other, what, tag)
            data[slice(*mine)] += other
            halves.append((bit, mine, theirs))
            low, high = mine
        for bit, mine, theirs in reversed(halves):
            self._exchange(self.rank ^ bit, data[slice(*mine)], data[slice(*theirs)], what, tag)

    def _exchange(
        self, partner: int, sent: np.ndarray, received: np.ndarray, what: str, tag: int
    ) -> None:
        from mpi4py import MPI

        self.wait(
            [
                self.comm.Irecv([received.view(np.uint8), MPI.BYTE], partner, tag),
                self.comm.Isend([sent.view(np.uint8), MPI.BYTE], partner, tag),
            ],
            what,
        )

    def wait(self, requests: list[Any], what: str, seconds: float | None = None) -> bool:
        """Wait until requests are complete. Return whether they are; False only after `seconds`.

        No call of MPI blocks, so that the watch and Ctrl-C work. A process that waits polls for a
        moment, and lets others have the core; then it sleeps between two looks.
        """
        from mpi4py import MPI

        if MPI.Request.Testall(requests):
            return True
        begin = time.monotonic()
        try:
            with self.watch.waiting(what, seconds is not None) if self.watch else nullcontext():
                while not MPI.Request.Testall(requests):
                    waited = time.monotonic() - begin
                    if seconds is not None and waited > seconds:
                        self._left.append(requests)
                        return False
                    if waited < _PATIENCE:
                        _let_others_run()
                    else:
                        time.sleep(min(max(waited / 50, _PAUSES[0]), _PAUSES[1]))
        except BaseException:
            self._left.append(requests)
            raise
        return True


def _let_others_run() -> None:
    """Give the core to another process that wants it."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0)
