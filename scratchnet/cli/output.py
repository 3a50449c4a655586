"""How the commands print."""

import os
import signal
import sys
import threading
from contextlib import suppress

from backends.errors import printable


class Interrupted(Exception):  # noqa: N818 - it is not an error
    """Ctrl-C, with a message that says what was saved."""


class Ended(Exception):  # noqa: N818 - it is not an error
    """The ranks have ended with this exit code, and have said why."""

    def __init__(self, code: int) -> None:
        self.code = code


def prepare() -> None:
    """Let standard output escape characters that its encoding does not have, such as ф in ASCII.

    COLUMNS=0 and LINES=0 mean that the size is not known. Rich would print nothing in 0 columns.
    """
    for name in ("COLUMNS", "LINES"):
        if os.environ.get(name, "").strip("0 ") == "":
            os.environ.pop(name, None)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # as Python itself does for standard error


def say(line: str, and_go_on: bool = False) -> None:
    """Print a line on standard output at once, also in a pipe.

    A character that would not stay in the line, such as an escape in a file's name, becomes a question
    mark. In data-parallel training, only rank 0 prints.

    Args:
        line: the line.
        and_go_on: whether the command continues if the line cannot be printed, because its reader has
            gone away or the disk is full. It then still has other results to write.

    Raises:
        OSError: the output cannot be written. A BrokenPipeError means that its reader has gone away.
    """
    from scratchnet.files import writes_here  # imported here, because it needs NumPy

    if not writes_here():
        return
    # The tab is that of an epoch's line. Without tabs, this line fits into 80 columns.
    tab = " " if sys.stdout and sys.stdout.isatty() else "\t"
    try:
        print(tab.join(map(printable, line.split("\t"))), flush=True)
    except OSError as error:
        if not and_go_on:
            raise
        _silence()
        if not isinstance(error, BrokenPipeError):
            say_beside(f"output: {error.strerror}; going on without it")


def say_beside(line: str) -> None:
    """Print a line on standard error. If that is not possible, do nothing."""
    if sys.stderr:  # print would take standard output instead
        with suppress(OSError):
            print(f"scratchnet: {printable(line)}", file=sys.stderr, flush=True)


def ignore_ctrl_c() -> None:
    """Ignore Ctrl-C until the command ends, which it does now."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def end_unread() -> int:
    """End the process by SIGPIPE and without a message, as other programs do if their reader goes away.

    Returns:
        The exit code, where there is no such signal.
    """
    _silence()
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    return 0


def _silence() -> None:
    """Let everything that is printed from now on disappear, also what is still in the buffer."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
