"""The job of several processes: how this process joins the others, and how all of them end."""

from __future__ import annotations

import atexit
import math
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import _exit
from types import TracebackType
from typing import Any, NoReturn

from backends.errors import BackendError, one_line
from scratchnet.errors import ScratchnetError, SettingError
from scratchnet.training.parallel.group import Group
from scratchnet.training.parallel.launch import Launched, check_mpi4py, launched
from scratchnet.training.parallel.watch import Watch, end_all

_SAME = 1.0
"""Seconds within which all processes fail, if it is the same error in all of them."""

_TURN = 3.0
"""Seconds for which a process lets another one end the job."""

_INTERRUPTED = 130  # the exit code after Ctrl-C

_GUARD = """
import os, select, sys
process, seconds, line = sys.argv[1:]
if not select.select([0], [], [], min(float(seconds), 1e8))[0]:
    print(line, file=sys.stderr, flush=True)
    os.kill(int(process), 9)
"""


class Job:
    """This process as one of several. Create it once, in all of them.

    Args:
        place: what the launcher says.
        timeout: seconds within which all processes join.

    Attributes:
        group: all processes, for messages that are no part of training.
        watch: looks for processes that are lost.

    Raises:
        SettingError: mpi4py is not installed, or uses another MPI library than the launcher.
    """

    def __init__(self, place: Launched, timeout: float) -> None:
        MPI = _mpi(place)  # noqa: N806 - mpi4py's name
        with _joining_within(timeout, place):
            if not MPI.Is_initialized():
                MPI.Init_thread()
            world = MPI.COMM_WORLD
            if world.size != place.size:
                raise _other_library(place, MPI)
            if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
                raise SettingError(
                    "data_parallel: MPI was started without threads; do not set mpi4py.rc.threads"
                )
            self._mpi, self._process = MPI, os.getpid()
            self._agreed: BaseException | None = None
            self._world = world.Dup()
            self.watch = Watch(world.Dup(), timeout)
            self.group = Group(self._world, self.watch)
        os._exit = self._exit  # type: ignore[assignment]
        atexit.register(self._at_exit)

    def new_group(self) -> Group:
        """Return a group of all processes, with a communicator that has no messages on their way."""
        comm, request = self._world.Idup()
        self.group.wait([request], "the start of data_parallel")
        return Group(comm, self.watch)

    def agrees(
        self,
        error: BaseException | None,
        what: str = "the end of data_parallel",
        seconds: float | None = None,
    ) -> bool:
        """Return whether all processes end their work with this error, or all without one.

        An error must come in all of them within a second. A process without one waits for the others.
        If they do not agree, the job is to end. Then the lowest rank with an error returns first.
        """
        if error is not None and error is self._agreed:
            return True
        rank = self.group.rank
        mine = "" if error is None else _named(error)
        if error is None:
            self.group.barrier(what, seconds)
        else:
            with self.watch.failing():
                if not self.group.barrier(what, _SAME):
                    if self.watch.fails_below(rank):
                        time.sleep(_TURN)
                    return False
        given = self.group.gather(mine.encode(errors="replace"), "the end")
        if set(given) == {given[0]}:
            self._agreed = error
            return True
        if rank != next(rank for rank, each in enumerate(given) if each):
            time.sleep(_TURN)
        return False

    def end(self, error: BaseException | None) -> NoReturn:
        """Print an error as one line, after its traceback if it is not ours, and end all processes."""
        code = 1
        if isinstance(error, KeyboardInterrupt):
            code = _INTERRUPTED
        elif isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) and 0 < error.code < 256 else 1
        elif error is not None and not isinstance(error, (ScratchnetError, BackendError)):
            traceback.print_exception(error)
        line = "another rank has failed" if error is None else _named(error)
        end_all(self._world, f"{line}; all ranks end", code)

    def is_here(self) -> bool:
        """Whether this is the process that has joined, and no child of it."""
        return os.getpid() == self._process

    def _exit(self, code: int) -> NoReturn:
        """Take the place of `os._exit`: mpiexec of MPICH would end all others, and return 0."""
        if self.is_here():
            end_all(self._world, f"os._exit({code}); all ranks end", code if 0 < code < 256 else 1)
        _exit(code)

    def _at_exit(self) -> None:
        """Wait for the others at the end of the program, as they may still compute."""
        if not self.is_here():
            return
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with suppress(OSError, ValueError):
                stream.flush()
        try:
            if not self.agrees(None, "the end of the program", math.inf):
                self.end(None)
        except KeyboardInterrupt:  # no line: the user pressed Ctrl-C
            self._world.Abort(_INTERRUPTED)
        self.watch.stop()
        os._exit = _exit
        if not self._mpi.Is_finalized():
            self._mpi.Finalize()


_job: Job | None = None
_hooked = False


def join(place: Launched, timeout: float) -> Job:
    """Return the job that this process belongs to; at first it joins."""
    global _job, _hooked
    if not _hooked:
        _hooked, former = True, sys.excepthook

        def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            if not is_shown(error):
                return
            if _job is not None and _job.is_here() and isinstance(error, KeyboardInterrupt):
                _job.end(error)
            former(kind, error, trace)

        sys.excepthook = show
    if _job is None:
        _job = Job(place, timeout)
    _job.watch.timeout = timeout
    return _job


def is_shown(error: BaseException) -> bool:
    """Whether this process shows an error with which its work ends.

    If all ranks have the same error, rank 0 shows it. If a rank is alone with it, the job ends here.
    """
    if _job is not None and _job.is_here():
        if not _job.agrees(error):
            _job.end(error)
        return _job.group.rank == 0
    place = launched()
    if place is None or place.rank == 0:
        return True
    time.sleep(_SAME)  # before this process ends, and the launcher ends the others
    return False


def _mpi(place: Launched) -> Any:
    """Import mpi4py's MPI. It is initialized later, so that a process that does not come is noticed."""
    check_mpi4py(place)
    try:
        import mpi4py

        mpi4py.rc.initialize = False
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise SettingError(
            f"data_parallel: mpi4py cannot load an MPI library: {one_line(error)}; "
            'pip install "scratchnet[mpi]"'
        ) from error
    if place.launcher == "Open MPI" and MPI.Get_library_version().startswith("MPICH"):
        raise _other_library(place, MPI)  # it would end the process at its start
    return MPI


def _other_library(place: Launched, MPI: Any) -> SettingError:  # noqa: N803 - mpi4py's name
    """Return the error that the processes cannot find each other."""
    library = MPI.Get_library_version().split(",")[0].split("\n")[0]
    return SettingError(
        f"data_parallel: {place.launcher} has started {place.size} processes, but mpi4py uses another "
        f"MPI library ({' '.join(library.split())}); start with the mpiexec of that library, which pip "
        'install "scratchnet[mpi]" puts beside Python'
    )


@contextmanager
def _joining_within(timeout: float, place: Launched) -> Iterator[None]:
    """End this process if it does not join the others in time, within a with statement.

    Another process watches it: while MPI starts, it holds Python's lock, and no thread runs.
    """
    line = (
        f"scratchnet: rank {place.rank}: not all {place.size} ranks came to data_parallel within "
        f"{timeout:g} s: one has failed before, or does not call it; all ranks end"
    )
    seconds = timeout + min(0.5 * place.rank, 5)  # so that rank 0 says it
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid()), str(seconds), line],
        stdin=subprocess.PIPE,
    )
    try:
        yield
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait()


def _named(error: BaseException) -> str:
    """Return an error in one line."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, SystemExit):
        return f"sys.exit({error.code!r}) before the end"
    if isinstance(error, (ScratchnetError, BackendError)):
        return one_line(error)
    return one_line(f"{type(error).__name__}: {error}")
