"""The part of a Learner that callbacks and checkpoints use."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from backends import Array
from scratchnet.core.stateful import Stateful
from scratchnet.data.loader import DataLoader
from scratchnet.layers import Module
from scratchnet.optimizers import Optimizer
from scratchnet.training.history import History
from scratchnet.training.metrics import Evaluator
from scratchnet.training.objective import LossFunction


class Training(Protocol):
    """A `Learner` as callbacks and checkpoints see it. `Learner` explains these attributes."""

    train: DataLoader
    net: Module
    optimizer: Optimizer
    loss: LossFunction
    evaluator: Evaluator | None
    history: History
    epochs: int
    batches_done: int
    seconds: float
    losses: list[Array]
    draws_globally: bool
    accumulate: int
    clip_grad_norm: float | None
    clip_grad_value: float | None
    first_settings: dict[str, Any]
    shards: int | None

    @property
    def callbacks(self) -> Stateful:
        """The callbacks of its `fit`."""

    def stop(self) -> None:
        """Let `fit` return after the current batch."""

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write a checkpoint."""
