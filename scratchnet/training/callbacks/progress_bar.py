"""How far a training has come, on a terminal."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from scratchnet.training.callbacks.callback import Callback
from scratchnet.training.callbacks.terminal import terminal

if TYPE_CHECKING:
    from rich.console import Console

    from scratchnet.training.callbacks.bar import Bar

_free = Lock()
"""Of the terminal: two that draw there at once would draw over each other."""


class ProgressBar(Callback):
    """On a terminal a bar: epochs done, the running loss, images a second, and the time left.

    In a pipe, a notebook, or with TERM=dumb it shows nothing: the lines that `report` prints are the
    same with it and without.

    It is drawn five times a second by a thread of its own, which reads how far the training has come, so
    that nothing is done for it in a step, and nothing waits for the device. The running loss is the mean
    over the batches of the epoch so far. Where a loss lies on a device, and reading it would wait for
    that, loss and speed are those of the last epoch. While one is shown, another shows nothing.
    """

    def __init__(self) -> None:
        """See the class."""
        self._bar: Bar | None = None

    def on_train_begin(self) -> None:
        """Show it."""
        console = terminal()
        bar = self._drawn_on(console) if console else None
        if bar and _free.acquire(blocking=False):
            self._bar = bar
            bar.start()

    def on_epoch_begin(self, epoch: int) -> None:
        """From now on its speed is measured."""
        if self._bar:
            self._bar.begin_epoch()

    def close(self) -> None:
        """Take it away."""
        bar, self._bar = self._bar, None
        if bar:
            try:
                bar.stop()
            finally:
                _free.release()

    def _drawn_on(self, console: Console) -> Bar:
        from scratchnet.training.callbacks.bar import Bar

        return Bar(self.learner, self.until, console)
