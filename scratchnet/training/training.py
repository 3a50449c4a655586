"""What a callback or a checkpoint sees of the learner that it belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from backends import Array
from scratchnet.core.stateful import Stateful
from scratchnet.data import DataLoader
from scratchnet.layers import Module
from scratchnet.optimizers import Optimizer
from scratchnet.training.history import History
from scratchnet.training.metrics import Evaluator


class Training(Protocol):
    """A `Learner`, seen from below. Its docstring explains these attributes and methods."""

    train: DataLoader
    net: Module
    optimizer: Optimizer
    evaluator: Evaluator | None
    history: History
    epochs: int
    batches_done: int
    seconds: float
    losses: list[Array]

    @property
    def callbacks(self) -> Stateful:
        """Those of its `fit`."""

    def stop(self) -> None:
        """Let `fit` return after the current batch."""

    def save(self, path: str | Path) -> None:
        """Write a checkpoint."""
