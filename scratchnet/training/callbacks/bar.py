"""The bar of `ProgressBar`: what rich draws. Imported where it is shown, for rich is large."""

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
"""Columns left free for two ^C, which else move the cursor to a line on which rich does not know it."""
_WIDE = 72
"""Columns from which on the words are written out."""


class Bar:
    """Looks at the learner whenever it is drawn, by rich's thread.

    Args:
        learner: whose training it is.
        until: the number of epochs at its end.
        console: the terminal.
        transient: whether it leaves nothing behind.
    """

    def __init__(self, learner: Training, until: int, console: Console, transient: bool = True) -> None:
        """See the class."""
        self._learner, self._console = learner, console
        self._backend = active()  # here, for another thread will ask
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
        """Show it, and the cursor with it, for whatever ends the process must leave one behind."""
        self._live.start(refresh=True)
        self._console.show_cursor(True)

    def stop(self) -> None:
        """Draw it for the last time, or take it away."""
        self._live.stop()

    def begin_epoch(self) -> None:
        """The pass begins."""
        self._begun = perf_counter()

    def parts(self) -> Iterable[RenderableType]:
        """What is drawn, from above; called at each drawing."""
        self._progress.update(self._row, completed=self._done())
        yield Constrain(self._progress.get_renderable(), self._console.width - _ECHO)

    def loss(self) -> float | None:
        """The mean of the running pass, or what is known of the last epoch."""
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
        """Of the running pass, or of the last epoch."""
        train = self._learner.train
        if self._counted and self._learner.losses:
            return train.num_samples * self._counted / len(train) / (perf_counter() - self._begun)
        durations = self._learner.history["duration"][-1:]
        return train.num_samples / durations[0] if durations else None

    def _rendered(self) -> RenderableType:
        """Once a drawing, for each line that is printed meanwhile shows it again."""
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
            told.append(f"{rate:,.0f} images/s" if self._wide else f"{rate / 1000:.0f}k/s")
        if left is not None:
            told.append(f"{timedelta(seconds=ceil(left))}" + (" left" if self._wide else ""))
        return Text("  ".join(told) if self._wide else " ".join(told))
