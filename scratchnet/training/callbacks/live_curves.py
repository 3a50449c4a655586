"""The history as curves in a terminal, during training."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from scratchnet.errors import NotDrawnWarning, SettingError
from scratchnet.training.callbacks.progress_bar import ProgressBar
from scratchnet.training.history import kinds_of

if TYPE_CHECKING:
    from rich.console import Console

    from scratchnet.training.callbacks.bar import Bar


class LiveCurves(ProgressBar):
    """Draws what is measured, for all epochs so far, and the bar of `ProgressBar` below.

    Each figure, such as the loss, has a panel with a curve for training and one for validation. Panels
    fit a terminal from 30 columns and 11 lines on. If there is not enough room for all figures, those
    that come first in the history are drawn. The panels stay after the end of training, also after
    an error. The lines that `report` prints appear above. They are drawn at most five times per second.
    With NO_COLOR, or in a terminal without colors, the curves differ by their characters.

    Warns:
        NotDrawnWarning: nothing is drawn, because standard output is a pipe or a notebook, TERM is dumb,
            or another bar is shown.

    Raises:
        SettingError: uniplot is not installed. In `fit`, before training: no figure is measured that it
            could draw.
    """

    def __init__(self) -> None:
        from importlib.util import find_spec

        if find_spec("uniplot") is None:
            raise SettingError("LiveCurves: uniplot is not installed; fix: pip install uniplot")
        super().__init__()

    def check(self) -> None:
        """Check that there is something to draw.

        Raises:
            SettingError: nothing is measured.
        """
        if not kinds_of(self.learner.history):
            raise SettingError("LiveCurves: nothing is measured; give Learner an evaluator")

    def on_train_begin(self) -> None:
        """Show them."""
        super().on_train_begin()
        if not self._bar:
            warnings.warn(
                "the curves are not drawn: standard output is not a terminal that supports drawing, "
                "or it has a bar already",
                NotDrawnWarning,
                stacklevel=4,
            )

    def _drawn_on(self, console: Console) -> Bar:
        from scratchnet.training.callbacks.curves import Curves

        return Curves(self.learner, self.until, console)
