"""Run a command in a terminal of some size: what it shows there, and what it has written."""

import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from contextlib import suppress
from typing import NamedTuple

from needed import needs
from processes import LIMIT, LimitReached, started

COMMAND = [sys.executable, "-m", "scratchnet"]


class Shown(NamedTuple):
    code: int
    written: bytes
    lines: list[str]
    """Return the screen and the lines above it, from the top, without trailing blanks."""
    cursor_hidden: bool
    on_screen: list[str]


def show(
    *arguments, columns=80, rows=24, interrupt_at=None, by=None, environment=None, limit=LIMIT
):  # fmt: skip
    """Run `scratchnet` in a terminal. Send Ctrl-C, or the signal, when it has written `interrupt_at`."""
    pyte = needs("pyte")
    if "--live" in arguments:
        needs("uniplot")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    screen = pyte.HistoryScreen(columns, rows, history=1000, ratio=0.5)
    stream = pyte.ByteStream(screen)
    written = b""
    try:
        with started(
            *COMMAND, *map(str, arguments), limit=limit,
            environment={"COLUMNS": None, "LINES": None, "TERM": "xterm-256color"} | (environment or {}),
            stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=_take_the_terminal,
        ) as process:  # fmt: skip
            os.close(theirs)
            with suppress(OSError):  # the other end is closed
                while part := os.read(ours, 4096):
                    written += part
                    stream.feed(part)
                    if interrupt_at and interrupt_at in written:
                        interrupt_at = None
                        if by:
                            process.send_signal(by)
                        else:
                            os.write(ours, b"\x03")  # the terminal echoes it
            code = process.wait()
    except LimitReached as error:
        error.add_note("On the screen:\n" + "\n".join(screen.display))
        raise
    finally:
        os.close(ours)
    above = ["".join(line[x].data for x in range(columns)) for line in screen.history.top]
    lines = [line.rstrip() for line in [*above, *screen.display]]
    return Shown(code, written, lines, screen.cursor.hidden, [line.rstrip() for line in screen.display])


def _take_the_terminal():
    """In the child: make the terminal its own, so that Ctrl-C reaches it."""
    for each in (signal.SIGINT, signal.SIGHUP):  # in the background, or below nohup, they are ignored
        signal.signal(each, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
