"""The bar of `ProgressBar`, drawn by rich. It is imported when it is shown, because rich is large."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from math import ceil
from time import perf_counter
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.segment import Segment, Segments
from rich.table import Column
from rich.text import Text

from backends import Array, active

if TYPE_CHECKING:
    from scratchnet.training.training import Training

_DRAWINGS_A_SECOND = 5
_ECHO = 4
"""Columns that stay free for two ^C, which would otherwise move the cursor to the next line."""
_WIDE = 72
"""The number of columns from which words are written in full."""


class Bar:
    """Reads the progress of a learner whenever rich's thread draws it.

    Args:
        learner: the learner that trains.
        until: the number of epochs at the end of `fit`.
        console: the terminal.
        transient: whether the bar disappears at the end.
    """

    def __init__(self, learner: Training, until: int, console: Console, transient: bool = True) -> None:
        self._learner, self._console = learner, console
        self._backend = active()  # here, because another thread reads it
        self._losses: list[Array] = []
        self._counted, self._sum = 0, 0.0
        self._loss: float | None = None
        self._begun = perf_counter()
        wide = console.width >= _WIDE
        bar = BarColumn(bar_width=None, table_column=Column(ratio=1))
        columns = _Epochs(wide), bar, _Figures(self, wide)
        self._progress = Progress(*columns, console=console, expand=True)
        self._row = self._progress.add_task("", total=until)
        self._live = Live(
            get_renderable=self._rendered,
            console=console,
            transient=transient,
            refresh_per_second=_DRAWINGS_A_SECOND,
        )

    def start(self) -> None:
        """Show the bar. The cursor stays visible, because a killed process could not show it again."""
        self._live.start(refresh=True)
        self._console.show_cursor(True)

    def stop(self) -> None:
        """Draw the bar for the last time, or remove it."""
        self._live.stop()

    def begin_epoch(self) -> None:
        """Note that the pass begins."""
        self._begun = perf_counter()

    def parts(self) -> Iterable[RenderableType]:
        """Return what is drawn, from top to bottom. Called for each drawing."""
        self._progress.update(self._row, completed=self._done())
        yield Constrain(self._progress.get_renderable(), self._console.width - _ECHO)

    def loss(self) -> float | None:
        """Return the mean loss of the running pass, or the loss of the last epoch."""
        losses = self._learner.losses
        if losses is not self._losses:
            self._losses, self._counted, self._sum = losses, 0, 0.0
        new = [self._backend.at_hand(each) for each in losses[self._counted :]]
        if new and None not in new:
            self._counted += len(new)
            self._sum += sum(each for each in new if each is not None)
            self._loss = self._sum / self._counted
        elif new or self._loss is None:
            self._loss = next(iter(self._learner.history.get("train_loss", ())[-1:]), None)
        return self._loss

    def images_a_second(self) -> float | None:
        """Return the samples per second of the running pass, or of the last epoch."""
        train = self._learner.train
        if not getattr(train, "num_samples", 0):  # a loader of the user's may not say it
            return None
        if self._counted and self._learner.losses:
            return train.num_samples * self._counted / len(train) / (perf_counter() - self._begun)
        durations = self._learner.history["duration"][-1:]
        return train.num_samples / durations[0] if durations else None

    def _rendered(self) -> RenderableType:
        """Compute it once for each drawing, because each printed line draws the bar again."""
        return Segments(list(Segment.simplify(self._console.render(Group(*self.parts())))))

    def _done(self) -> float:
        learner = self._learner
        return learner.epochs + (learner.batches_done + len(learner.losses)) / len(learner.train)


class _Epochs(ProgressColumn):
    def __init__(self, wide: bool) -> None:
        super().__init__(Column(no_wrap=True))
        self._word = "epoch " if wide else ""

    def render(self, task: Task) -> Text:
        return Text(f"{self._word}{int(task.completed)}/{task.total:.0f}")


class _Figures(ProgressColumn):
    def __init__(self, bar: Bar, wide: bool) -> None:
        super().__init__(Column(no_wrap=True))
        self._bar, self._wide = bar, wide

    def render(self, task: Task) -> Text:
        loss, rate, left = self._bar.loss(), self._bar.images_a_second(), task.time_remaining
        told = []
        if loss is not None:
            told.append(f"loss {loss:.4f}" if self._wide else f"{loss:.4f}")
        if rate is not None:
            short = f"{rate / 1000:.0f}k/s" if rate >= 1000 else f"{rate:.0f}/s"
            told.append(f"{rate:,.0f} samples/s" if self._wide else short)
        if left is not None:
            told.append(f"{timedelta(seconds=ceil(left))}" + (" left" if self._wide else ""))
        return Text("  ".join(told) if self._wide else " ".join(told))
