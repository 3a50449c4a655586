"""The history and the weights for TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Mapping
from socket import gethostname
from time import time, time_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from scratchnet.errors import SettingError
from scratchnet.files import name_of, writing
from scratchnet.layers.arguments import size
from scratchnet.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from pathlib import Path

_BINS = 30


class TensorBoard(Callback):
    """Writes an event file for `tensorboard --logdir LOG_DIR`: one scalar per figure and epoch.

    It needs tensorboardX: `pip install "scratchnet[tensorboard]"`. The scalars have the names of
    `learner.history`, in float32. Each `fit` writes a new file in the folder. TensorBoard then ignores
    what other files have from its first epoch on, for example those of a killed run that was resumed.

    Args:
        log_dir: the folder, which is created if needed. Use one per training run.
        histogram_freq: the number of epochs between two histograms of each parameter, which copy it to
            the host; 0 writes none.

    Raises:
        SettingError: tensorboardX is not installed, `histogram_freq` is not an integer from 0 on, or
            `log_dir` is not a path. In `fit`: the folder cannot be written to.
    """

    only_writes = True

    def __init__(self, log_dir: str | Path, histogram_freq: int = 0) -> None:
        from importlib.util import find_spec

        self.histogram_freq = size("TensorBoard", "histogram_freq", histogram_freq, 0)
        name_of(log_dir, "TensorBoard")
        if find_spec("tensorboardX") is None:
            raise SettingError(
                'TensorBoard: tensorboardX is not installed; fix: pip install "scratchnet[tensorboard]"'
            )
        self.log_dir = log_dir
        self._writer: Any = None

    def on_train_begin(self) -> None:
        """Open a new file, which replaces what other files have from this epoch on.

        Raises:
            SettingError: the folder cannot be written to.
        """
        # If a write fails, SummaryWriter hangs in its thread, and EventsWriter leaves the file open.
        from tensorboardX.proto.event_pb2 import SessionLog
        from tensorboardX.record_writer import RecordWriter

        # Of two files of one second, the later one must sort later, as TensorBoard sorts them.
        name = f"events.out.tfevents.{int(time())}.{gethostname()}.{time_ns()}-{os.getpid()}"
        with writing(f"TensorBoard: {self.log_dir}"):
            os.makedirs(self.log_dir, exist_ok=True)
            self._writer = RecordWriter(os.path.join(self.log_dir, name))
            self._write(0, file_version="brain.Event:2")
            self._write(self.learner.epochs, session_log=SessionLog(status=SessionLog.START))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Write the figures, and the histograms in their epochs.

        Raises:
            SettingError: they cannot be written, for example because the disk is full.
        """
        from tensorboardX.proto.summary_pb2 import Summary
        from tensorboardX.summary import histogram

        with writing(f"TensorBoard: {self.log_dir}"):
            for name, value in logs.items():
                # Not by `summary.scalar`, which would change a name such as "f1 (macro)".
                self._write(epoch, summary=Summary(value=[{"tag": name, "simple_value": value}]))
            if self.histogram_freq and (epoch + 1) % self.histogram_freq == 0:
                for name, array in self.learner.net.state_dict().items():
                    if array.size and np.isfinite(array).all():
                        self._write(epoch, summary=histogram(name, array, bins=_BINS))
            self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        writer, self._writer = self._writer, None
        if writer:
            with writing(f"TensorBoard: {self.log_dir}"):
                writer.close()

    def _write(self, epoch: int, **what: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._writer.write(Event(wall_time=time(), step=epoch, **what).SerializeToString())
