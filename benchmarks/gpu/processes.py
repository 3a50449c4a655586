"""Run a command with a time limit, and leave none of its child processes running.

A process that keeps running on a GPU's machine would disturb every later measurement. A process group is
not enough, because a test may start a new session. So this process becomes the reaper of its
descendants: the kernel makes it the parent of every orphan, and it finds all of them by their parents.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from types import FrameType

_SET_CHILD_SUBREAPER = 36
_SET_DEATH_SIGNAL = 1
_POLL_SECONDS = 0.1
_ENDING = signal.SIGTERM, signal.SIGHUP, signal.SIGINT


class Ending:
    """Whether this run was asked to end, by Ctrl-C, SIGTERM or SIGHUP. The first one counts.

    The handler only notes the signal, and the working code checks for it. An exception from the handler
    could come anywhere, even during the clean-up.

    Attributes:
        code: the exit code, 128 plus the number of the signal; 0 if no signal has come.
    """

    def __init__(self) -> None:
        """Note signals from now on, except for those that are ignored, as with nohup."""
        self.code = 0
        for name in _ENDING:
            if signal.getsignal(name) is not signal.SIG_IGN:
                signal.signal(name, self._note)

    def __bool__(self) -> bool:
        """Whether the run was asked to end."""
        return self.code > 0

    def _note(self, number: int, _: FrameType | None) -> None:
        self.code = self.code or 128 + number


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends first. Linux only."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def run(
    command: Sequence[str],
    limit: float,
    log: Path,
    environment: Mapping[str, str],
    meanwhile: Callable[[], None],
    ending: Ending,
) -> tuple[str, str]:
    """Run a command, and leave none of its descendants alive.

    Args:
        command: the program and its arguments.
        limit: the seconds that it may take.
        log: a file for its output.
        environment: its environment variables.
        meanwhile: called several times per second, and once more at the end.
        ending: called several times per second. If it returns True, the command is killed.

    Returns:
        "done" if its exit code was 0, "failed", or "ended" if this run was asked to end; and the reason.
    """
    deadline, outcome, why = monotonic() + limit, "done", ""
    others = descendants(os.getpid())
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            preexec_fn=_die_with_the_parent,
        )  # fmt: skip
    try:
        while process.poll() is None and not why:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)
            meanwhile()
            if ending:
                break
            if monotonic() > deadline:
                outcome, why = "failed", f"not done after {limit:g} s"
        if process.returncode != 0 and ending:
            outcome, why = "ended", "the run was ended before it was done"
        elif process.returncode and not why:
            outcome, why = "failed", f"exit code {process.returncode}; see {log.name}"
    finally:
        process.kill()
        process.wait()
        kill_descendants(others)
    meanwhile()
    return outcome, why


def kill_descendants(others: Collection[int]) -> None:
    """Kill everything that this process and its descendants have started, until nothing is left.

    `others` existed before, and are not touched: a shell starts such a child for `> >(tee log)`. It
    gives up after ten seconds, because a process that waits in a driver cannot be killed.
    """
    deadline = monotonic() + 10
    while (found := descendants(os.getpid(), others)) and monotonic() < deadline:
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        with suppress(ChildProcessError):  # the next round finds those that have just become ours
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        sleep(0.01)


def descendants(ancestor: int, others: Collection[int] = ()) -> list[int]:
    """Return the descendants of this process, without `others` and their children.

    Dead processes that were not waited for are among them.
    """
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended in the meantime
            fields = status.read_text(errors="replace").rpartition(") ")[2].split()
            children.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found = [child for child in children.get(ancestor, ()) if child not in others]
    for process in found:  # the list grows during the loop
        found += children.get(process, ())
    return found


def _die_with_the_parent() -> None:
    """In the child: die if the parent is killed, because it can then clean up nothing."""
    _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if sys.platform != "linux":
        raise OSError("the benchmark of a GPU runs on Linux alone")
    if _LIBC.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else ctypes.CDLL(None)
