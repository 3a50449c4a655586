"""The history, and the weights, for TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import time, time_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from scratchnet.errors import SettingError
from scratchnet.files import name_of
from scratchnet.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from pathlib import Path

_BINS = 30


class TensorBoard(Callback):
    """Writes an event file that `tensorboard --logdir LOG_DIR` shows: a scalar an epoch for each figure.

    Needs tensorboardX: `pip install "scratchnet[tensorboard]"`. The scalars have the names of
    `learner.history`, and float32, as TensorBoard has them. Each `fit` writes a file of its own in the
    folder; what other files there have from its first epoch on, such as those of a training that was
    killed and has begun again at its last checkpoint, TensorBoard then leaves out.

    Args:
        log_dir: the folder, made if need be; one a training.
        histogram_freq: after every so many epochs a histogram of each parameter too, which is copied to
            the host for it; 0 writes none.

    Raises:
        SettingError: tensorboardX is not installed, `histogram_freq` is no integer from 0 on, or
            `log_dir` no path. In `fit`: the folder cannot be written to.
    """

    def __init__(self, log_dir: str | Path, histogram_freq: int = 0) -> None:
        """See the class."""
        from importlib.util import find_spec

        if not isinstance(histogram_freq, (int, np.integer)) or histogram_freq < 0:
            raise SettingError(
                f"TensorBoard: histogram_freq is {histogram_freq!r}; it must be an integer from 0 on"
            )
        name_of(log_dir, "TensorBoard")
        if find_spec("tensorboardX") is None:
            raise SettingError(
                'TensorBoard: tensorboardX is not installed; mend: pip install "scratchnet[tensorboard]"'
            )
        self.log_dir, self.histogram_freq = log_dir, histogram_freq
        self._writer: Any = None

    def on_train_begin(self) -> None:
        """Open a file of its own, which supersedes what others have from this epoch on.

        Raises:
            SettingError: the folder cannot be written to.
        """
        # Its SummaryWriter writes in a thread, and hangs where that fails: a full disk must be told.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        # Of two files of one second the later one must come later, as TensorBoard sorts them.
        suffix = f".{time_ns()}-{os.getpid()}"
        with self._told():
            os.makedirs(self.log_dir, exist_ok=True)
            self._writer = EventsWriter(os.path.join(self.log_dir, "events"), suffix)
            self._write(self.learner.epochs, session_log=SessionLog(status=SessionLog.START))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Write the figures, and the histograms if it is their turn.

        Raises:
            SettingError: the disk is full, or the like.
        """
        from tensorboardX.summary import histogram, scalar

        with self._told():
            for name, value in logs.items():
                self._write(epoch, summary=scalar(name, value))
            if self.histogram_freq and (epoch + 1) % self.histogram_freq == 0:
                for name, array in self.learner.net.state_dict().items():
                    if array.size and np.isfinite(array).all():
                        self._write(epoch, summary=histogram(name, array, bins=_BINS))
            self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        writer, self._writer = self._writer, None
        if writer:
            with self._told():
                writer.close()

    def _write(self, epoch: int, **what: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._writer.write_event(Event(wall_time=time(), step=epoch, **what))

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SettingError(f"TensorBoard: {self.log_dir}: cannot be written: {error}") from error
