"""The watch of a process: it tells the others what this process does, and ends the job when one is lost.

A thread sends the state of its process to all others at each tick, on a communicator of its own. So the
watch also works while the main thread computes, or waits for a device. When a process has waited for
longer than the time limit, the last states show why: a process that sends none is stopped or gone, one
computes and does not come, or they wait for each other.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from os import _exit  # `job` replaces that of `os`
from threading import Event, Thread
from typing import Any, NamedTuple, NoReturn, TextIO

from backends.errors import one_line
from scratchnet.training.parallel.launch import LAUNCHER

_BYTES = 160
"""The bytes of a state that is sent. They suffice for a file's name; a longer one is cut."""

_READ = 1.0
"""Seconds within which what a process has written is to be read, before it ends all."""

_SILENT = 3.5
"""Ticks after which a process that sends no state is stopped or gone."""


class State(NamedTuple):
    """What a process does.

    Attributes:
        kind: "computes"; "is busy": the others wait longer; "waits" for the others; "ends", and waits
            for the others without a time limit, as they may still compute; or "fails".
        what: what it waits for, or what it is busy with.
    """

    kind: str
    what: str = ""


class _Other:
    """Another process: its last state, and when it was received."""

    def __init__(self, comm: Any, rank: int) -> None:
        self.comm, self.rank, self.state, self.heard = comm, rank, State("computes"), 0.0
        self.sending: Any = None
        self._receive()

    def _receive(self) -> None:
        self.bytes = bytearray(_BYTES)
        self.receiving = self.comm.Irecv(self.bytes, self.rank)

    def look(self, now: float) -> None:
        """Take the states that have come."""
        while self.receiving.Test():
            kind, _, what = self.bytes.decode(errors="replace").rstrip("\0").partition("\n")
            self.state, self.heard = State(kind, what), now
            self._receive()

    def send(self, state: bytes) -> None:
        """Send a state, unless the last one is still on its way."""
        if self.sending is None or self.sending.Test():
            self.sending = self.comm.Isend(state, self.rank)

    def forget(self) -> None:
        """End the messages that are on their way."""
        for request in filter(None, [self.receiving, self.sending]):
            request.Cancel()
            request.Free()


class Watch:
    """Watches the processes of a job, from when they have joined to their end.

    Args:
        comm: an mpi4py communicator for the watch alone.
        timeout: seconds after which a process that is waited for ends the job.
    """

    def __init__(self, comm: Any, timeout: float) -> None:
        self._comm, self.timeout = comm, timeout
        self._state = self._seen = State("computes")
        self._others = [_Other(comm, rank) for rank in range(comm.size) if rank != comm.rank]
        # The watch has a clock of its own, which stands still while this process is stopped.
        self._now = self._since = self._excused = 0.0
        self._looked = time.monotonic()
        self._parent, self._starter = os.getppid(), os.environ.get(LAUNCHER, "").partition(":")[0]
        self._wake, self._stopping = Event(), False
        self._thread = Thread(target=self._run, name="scratchnet watch", daemon=True)
        self._thread.start()

    @contextmanager
    def _doing(self, state: State) -> Iterator[None]:
        former = self._state
        if former.kind != "fails":
            self._state = state
        try:
            yield
        finally:
            self._state = former

    def waiting(self, what: str, patient: bool = False) -> Any:
        """Say that this process waits for the others, within a with statement.

        Args:
            what: what it waits for.
            patient: wait for as long as the others compute, and end the job only if one is lost.
        """
        return self._doing(State("ends" if patient else "waits", what))

    def busy(self, what: str) -> Any:
        """Let the others wait for longer, within a with statement: this process reads or writes a file.

        Args:
            what: what it does, such as "writes model.safetensors".
        """
        return self._doing(State("is busy", what))

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Say that this process fails, within a with statement."""
        with self._doing(State("fails")):
            self._wake.set()
            yield

    def fails_below(self, rank: int) -> bool:
        """Whether a lower rank fails too, as far as this process knows."""
        return any(each.rank < rank and each.state.kind == "fails" for each in self._others)

    def stop(self) -> None:
        """End the watch. All processes do so at the same time."""
        self._stopping = True
        self._wake.set()
        self._thread.join()
        for each in self._others:
            each.forget()

    @property
    def _tick(self) -> float:
        return min(1.0, self.timeout / 4)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._look()
                self._wake.wait(0.1 if self._state.kind == "fails" else self._tick)
                self._wake.clear()
        except Exception as error:  # of MPI: a connection is lost
            end_all(self._comm, f"cannot reach the other ranks: {one_line(error)}; all ranks end")

    def _look(self) -> None:
        now = time.monotonic()
        self._now += min(now - self._looked, 2 * self._tick)
        self._looked = now
        state = self._state
        if state is not self._seen:
            self._seen, self._since = state, self._now
        content = "\n".join(state).encode(errors="replace")[:_BYTES].ljust(_BYTES, b"\0")
        for each in self._others:
            each.send(content)
            each.look(self._now)
            if each.state.kind == "is busy" and not self._is_silent(each):
                self._excused = self._now
        self._check_parents()
        if state.kind in ("waits", "ends"):
            self._check(state)

    def _is_silent(self, other: _Other) -> bool:
        return self._now - other.heard > _SILENT * self._tick

    def _check(self, state: State) -> None:
        """End the job if this process has waited for too long. Of several, the lowest does so."""
        waited = self._now - max(self._since, self._excused)
        present = [each for each in self._others if not self._is_silent(each)]
        others_speak = any(
            each.rank < self._comm.rank and each.state.kind in ("waits", "ends", "fails")
            for each in present
        )
        if waited <= self.timeout + (self._tick + 0.5 if others_speak else 0):
            return
        lost = [each for each in self._others if each not in present]
        working = [each for each in present if each.state.kind not in ("waits", "ends")]
        if lost:
            seconds = self._now - min(each.heard for each in lost)
            silent = f"no sign of life from {_ranks(lost)} for {seconds:.0f} s"
            why = f"{silent}: it is stopped, or its machine is lost"
        elif state.kind == "ends":
            return
        elif working:
            why = f"{_ranks(working)} computes and does not come; a larger timeout waits longer"
        else:
            places = {self._comm.rank: state.what} | {each.rank: each.state.what for each in present}
            why = "they wait for each other: " + ", ".join(
                f"rank {rank} for {what}" for rank, what in sorted(places.items())
            )
        end_all(self._comm, f"has waited {waited:.0f} s for {state.what}: {why}; all ranks end")

    def _check_parents(self) -> None:
        """End this process if the launcher has ended: then no one is left to end it."""
        gone = os.getppid() != self._parent
        if self._starter and not gone and os.name != "nt":  # there, it would end that process
            try:
                os.kill(int(self._starter), 0)
            except ProcessLookupError:
                gone = True
            except OSError:
                pass
        if gone:
            if self._comm.rank == 0:
                say(0, "the launcher has ended; all ranks end")
            _exit(1)


def _ranks(several: Sequence[_Other]) -> str:
    numbers = ", ".join(str(each.rank) for each in several[:8]) + (", …" if len(several) > 8 else "")
    return f"rank {numbers}"


def say(rank: int, line: str) -> None:
    """Print a line of this rank on standard error."""
    # `--ranks` looks for the line on standard error. The bar would move it to standard output.
    stream = sys.__stderr__ if LAUNCHER in os.environ else sys.stderr
    with suppress(OSError, ValueError):  # the launcher may be gone, and with it the other end of a pipe
        if stream:
            stream.write(f"scratchnet: rank {rank}: {line}\n")  # at once, with its end
            stream.flush()


def _wait_until_read(stream: TextIO) -> None:
    """Wait until the other end of a pipe has read all. On a busy machine, mpiexec may end before."""
    try:
        from fcntl import ioctl
        from termios import FIONREAD
    except ModuleNotFoundError:  # not on Windows
        return
    with suppress(OSError, ValueError):
        pipe, end = stream.fileno(), time.monotonic() + _READ
        if stat.S_ISFIFO(os.fstat(pipe).st_mode):
            while any(ioctl(pipe, FIONREAD, bytes(4))) and time.monotonic() < end:
                time.sleep(0.005)


def end_all(comm: Any, line: str, code: int = 1) -> NoReturn:
    """Print a line of this rank, and end all processes of the job with an exit code that is not 0."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    say(comm.rank, line)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        _wait_until_read(stream)
    comm.Abort(code)
    _exit(code)  # Abort does not return
