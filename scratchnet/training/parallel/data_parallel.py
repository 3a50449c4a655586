"""`data_parallel`: within it, several processes train one network."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any, Self

from scratchnet.core.share import part, share
from scratchnet.errors import SettingError
from scratchnet.files import set_busy, set_writes_here
from scratchnet.training import running
from scratchnet.training.parallel.group import Alone, Group
from scratchnet.training.parallel.job import Job, join
from scratchnet.training.parallel.launch import launched
from scratchnet.training.parallel.rows import OwnLoop, OwnRows
from scratchnet.training.parallel.shards import MOST_SHARDS, is_shards, shards_for
from scratchnet.training.parallel.threads import threads_divided
from scratchnet.training.parallel.warned import Warned


class data_parallel:  # noqa: N801 - used in a with statement
    """Within it, all processes that `mpiexec` has started train one network together.

        with sn.data_parallel() as ranks:
            learner.fit(10)

    Every process runs the same program, and computes a share of each batch. Rank 0 alone prints, draws
    and writes files. BLAS gets a share of the machine's cores in each process, unless a variable such as
    OPENBLAS_NUM_THREADS is set. Without a launcher nothing changes, and no MPI is needed.

    If a process fails, all processes end, with an exit code that is not 0 and one line that names the
    rank and the cause. If all fail with the same error, rank 0 shows it as a single process would. Rank
    0 also shows the warnings of the other ranks, at the end of the with statement.

    Args:
        shards: the number of leaves of the tree in which each batch is added up: a power of two up to
            4096. The number of processes must divide it. Every such number gives the same bits. None
            takes the number of an earlier part of the training run, which checkpoints keep; for a new
            one, the next power of two at or above the number of processes. Another number changes the
            last digits.
        timeout: seconds after which a process that does not come ends all of them. The others wait
            longer while it reads data or writes a file.

    Attributes:
        rank: the number of this process, from 0.
        size: the number of processes.
        local_rank: the number of this process on its machine, from 0.
        group: the processes. Its `sum`, `gather`, `any` and `barrier` connect them.

    Raises:
        SettingError: an argument is outside its range; or, in the with statement, there is a running one
            already, the number of processes does not fit, the processes have different arguments, or
            they cannot join.
    """

    group: Group

    def __init__(self, shards: int | None = None, timeout: float = 60.0) -> None:
        self.shards, self.timeout = _shards(shards), _seconds(timeout)
        place = launched()
        self.rank, self.size, self.local_rank = place[1:] if place else (0, 1, 0)
        self._job: Job | None = None
        self._tokens: Any = None

    def __enter__(self) -> Self:
        """Join the other processes."""
        if running.current is not None:
            raise SettingError("data_parallel: it is already running; leave its with statement first")
        place = launched()
        if place is None:
            self.group = Group(Alone())
        else:
            self._job = job = join(place, self.timeout)
            self.group = job.new_group()
            self.rank, self.size = self.group.rank, self.group.size
            set_writes_here(self.rank == 0)  # also after the with statement
            self._check()
            threads_divided(self.group, self.size)  # also after the with statement
            self._warned = Warned(self.rank)
            set_busy(self.group.busy)
            if self.size > 1:
                self._tokens = part.set(OwnLoop(self.group)), share.set(OwnRows(self.group))
        running.current = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave together, or end all processes."""
        running.current = None
        set_busy()
        if self._tokens:
            part.reset(self._tokens[0])
            share.reset(self._tokens[1])
            self._tokens = None
        if self._job is None or not self._job.is_here():
            return
        try:
            self._warned.stop()
            if not self._job.agrees(error):
                self._warned.show()
                self._job.end(error)
            self._warned.gather(self._job.group)
        finally:
            self._job = None

    def _check(self) -> None:
        """Check the number of processes, and that all have the same arguments."""
        if self.size & (self.size - 1):
            below = 1 << (self.size.bit_length() - 1)
            raise SettingError(
                f"data_parallel: {self.size} processes; their number must be a power of two: start "
                f"{below} or {2 * below}"
            )
        mine = f"shards={self.shards}, timeout={self.timeout:g}"
        given = self.group.gather(mine.encode(), "the start of data_parallel")
        for rank, each in enumerate(given):
            if each != given[0]:
                raise SettingError(
                    f"data_parallel: rank {rank} has {each.decode()}, but rank 0 has "
                    f"{given[0].decode()}; give the same to all"
                )
        shards_for(self.size, self.shards, None)


def _shards(given: Any) -> int | None:
    if given is None:
        return None
    if not is_shards(given):
        raise SettingError(
            f"data_parallel: shards is {given!r}; it must be a power of two up to {MOST_SHARDS}, or None"
        )
    return int(given)


def _seconds(given: Any) -> float:
    try:
        seconds = math.nan if isinstance(given, (bool, str)) else float(given)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise SettingError(
            f"data_parallel: timeout is {given!r}; it must be a positive number of seconds"
        )
    return seconds
