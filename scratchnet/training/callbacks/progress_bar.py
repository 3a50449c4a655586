"""Progress of a training run in a terminal."""

from __future__ import annotations

import sys
from threading import Lock
from typing import TYPE_CHECKING

from scratchnet.training.callbacks.callback import Callback
from scratchnet.training.parallel.launch import is_far_from_user

if TYPE_CHECKING:
    from rich.console import Console

    from scratchnet.training.callbacks.bar import Bar

_free = Lock()
"""For the terminal: two callbacks would draw over each other."""


class ProgressBar(Callback):
    """In a terminal, a bar: finished epochs, the running loss, samples per second, and the time left.

    In a pipe, in a notebook, or with TERM=dumb it shows nothing. The lines that `report` prints are the
    same with and without it.

    A separate thread draws it five times per second and reads the progress. So no step does work for it,
    and nothing waits for the device. The running loss is the mean over the finished batches of the
    epoch. If reading a loss would wait for the device, the bar shows loss and speed of the last epoch.
    While one bar is shown, another shows nothing.
    """

    only_writes = True

    def __init__(self) -> None:
        self._bar: Bar | None = None

    def on_train_begin(self) -> None:
        """Show it."""
        console = _terminal()
        bar = self._drawn_on(console) if console else None
        if bar and _free.acquire(blocking=False):
            self._bar = bar
            bar.start()

    def on_epoch_begin(self, epoch: int) -> None:
        """Start to measure the speed."""
        if self._bar:
            self._bar.begin_epoch()

    def close(self) -> None:
        """Remove it."""
        bar, self._bar = self._bar, None
        if bar:
            try:
                bar.stop()
            finally:
                _free.release()

    def _drawn_on(self, console: Console) -> Bar:
        from scratchnet.training.callbacks.bar import Bar

        return Bar(self.learner, self.until, console)


def _terminal() -> Console | None:
    """Return standard output as a terminal to draw on; None for a pipe, a notebook or TERM=dumb."""
    try:
        if not sys.stdout.isatty():
            return None
    except (AttributeError, ValueError, OSError):  # it is None, has no isatty, or is closed
        return None
    if is_far_from_user():  # Open MPI gives rank 0 a terminal, also if it sends the output to a file
        return None
    from rich.console import Console

    console = Console()
    if 0 in (console.width, console.height):  # of COLUMNS=0 or LINES=0, which mean that it is not known
        from shutil import get_terminal_size

        console = Console(width=get_terminal_size().columns, height=get_terminal_size().lines)
    return console if console.is_terminal and not console.is_dumb_terminal else None
