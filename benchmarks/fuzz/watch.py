"""Watch one read of a file: what it returns or raises, what memory it takes, what else it does."""

from __future__ import annotations

import os
import signal
import sys
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.memory import memory
from scratchnet.errors import ScratchnetError

SECONDS = 10
"""The seconds for an input. An alarm then ends it."""
ALLOWANCE = 32 << 20
TIMES_CONTENT = 8
"""The memory for an input: a fixed part, and this many times its unpacked content."""

GOOD = ("read", "refused")

_OF_PROCESSES = (
    "ctypes.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "os.system",
    "pickle.", "pty.", "shelve.", "socket.", "subprocess.", "urllib.", "webbrowser.",
)  # fmt: skip
_OF_FILES = (
    "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink",
    "os.truncate", "shutil.",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class ForbiddenError(BaseException):
    """A reader did something that no reader of data may do. It is not done."""


class Seen(NamedTuple):
    """What came of a read."""

    outcome: str
    """ "read", "refused", or the name of a fault."""
    told: str = ""
    value: Any = None
    """What the reader returned."""


class _Watch:
    """The one audit hook, which cannot be removed again. It watches only inside of `watched`."""

    installed = on = False
    writable: str | None = None
    seen = ""


def observed(read: Callable[[], Any], paths: Sequence[Path], size: int) -> Seen:
    """Read files, and return what came of it.

    Args:
        read: reads the files.
        paths: the files, one of which an error must name.
        size: the unpacked bytes of their content, which explain memory.
    """
    tracemalloc.reset_peak()
    _most_resident()
    before, resident = tracemalloc.get_traced_memory()[0], _most_resident()
    value, error = None, None
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            value = read()
        except ScratchnetError as caught:
            error = str(caught)
        except BaseException as caught:
            return Seen("other exception", f"{type(caught).__name__}: {caught}; {_place(caught)}")
    peak = max(tracemalloc.get_traced_memory()[1] - before, _most_resident() - resident)
    if peak > ALLOWANCE + TIMES_CONTENT * size:
        return Seen("memory", f"{peak:,} bytes for a content of {size:,}")
    if warned:
        return Seen("warning", str(warned[0].message))
    if error is None:
        return Seen("read", value=value)
    if not error.isprintable():
        return Seen("not one line", repr(error))
    if not any(str(path) in error for path in paths):
        return Seen("no file named", error)
    return Seen("refused", error)


@contextmanager
def watched(writable: Path | None = None) -> Iterator[None]:
    """Forbid everything that no reader of data may do, such as running code or writing a file.

    What was done is a `ForbiddenError`, also if the reader has caught the one that stopped it.

    Args:
        writable: the folder into which the reader may write; None if it may not write.
    """
    if not _Watch.installed:
        sys.addaudithook(_hook)
        _Watch.installed = True
    _Watch.writable = None if writable is None else os.path.realpath(writable)
    _Watch.seen, _Watch.on = "", True
    try:
        yield
    finally:
        _Watch.on = False
        if _Watch.seen:
            raise ForbiddenError(_Watch.seen)


@contextmanager
def limited(seconds: float = SECONDS) -> Iterator[None]:
    """Raise `TimeoutError` in what takes longer."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"it took more than {seconds} seconds")

    former = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def _hook(event: str, facts: tuple[Any, ...]) -> None:
    if _Watch.on and _is_forbidden(event, facts):
        _Watch.seen = _Watch.seen or f"{event}{facts!r}"[:200]
        raise ForbiddenError(_Watch.seen)


def _is_forbidden(event: str, facts: tuple[Any, ...]) -> bool:
    if event in ("exec", "import", "code.__new__"):
        return True
    if event == "compile":  # `ast.parse` runs nothing; NumPy reads the header of .npy with it
        return sys._getframe(2).f_code.co_filename != sys.modules["ast"].__file__
    if event == "open":
        path, _, flags = facts
        return bool(flags & _WRITING) and not isinstance(path, int) and not _may_write(path)
    if event.startswith(_OF_FILES):
        return not all(_may_write(each) for each in facts if isinstance(each, (str, bytes, os.PathLike)))
    return event.startswith(_OF_PROCESSES)


def _may_write(path: Any) -> bool:
    inside = os.path.realpath(os.fsdecode(path))
    return _Watch.writable is not None and inside.startswith(_Watch.writable + os.sep)


def _place(error: BaseException) -> str:
    """Return the innermost line that raised it."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""


def _most_resident() -> int:
    """Return the largest memory since the last call; 0 if the system does not report it."""
    try:
        most = memory("VmHWM")
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0
    return most
