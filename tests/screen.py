"""A command on a terminal of some size: what it shows there, and what it has written."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from typing import NamedTuple

from needed import needs


class Shown(NamedTuple):
    code: int
    written: bytes
    lines: list[str]
    """Of the screen and what has left it upwards, from the top, without trailing blanks."""
    cursor_hidden: bool
    on_screen: list[str]


def show(*arguments, columns=80, rows=24, interrupt_at=None, by=None, environment=None):
    """Run `scratchnet` so; the key Ctrl-C, or the signal, when it has written `interrupt_at`."""
    pyte = needs("pyte")
    if "--live" in arguments:
        needs("uniplot")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    process = subprocess.Popen(
        [sys.executable, "-m", "scratchnet", *map(str, arguments)],
        env=kept | {"PYTHONPATH": path, "TERM": "xterm-256color"} | (environment or {}),
        preexec_fn=lambda: (signal.signal(signal.SIGINT, signal.SIG_DFL), os.login_tty(theirs)),
        pass_fds=[theirs],
    )  # fmt: skip
    os.close(theirs)
    screen = pyte.HistoryScreen(columns, rows, history=1000, ratio=0.5)
    stream = pyte.ByteStream(screen)
    written = b""
    try:
        while part := os.read(ours, 4096):
            written += part
            stream.feed(part)
            if interrupt_at and interrupt_at in written:
                interrupt_at = None
                if by:
                    process.send_signal(by)
                else:
                    os.write(ours, b"\x03")  # the terminal echoes it
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    code = process.wait(60)
    above = ["".join(line[x].data for x in range(columns)) for line in screen.history.top]
    lines = [line.rstrip() for line in [*above, *screen.display]]
    return Shown(code, written, lines, screen.cursor.hidden, [line.rstrip() for line in screen.display])
