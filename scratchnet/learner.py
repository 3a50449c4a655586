"""The loop: forward, loss, backward, step, for every minibatch of every epoch."""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter

import numpy as np

from backends import Array, synchronize, to_host, xp
from scratchnet.data import DataLoader
from scratchnet.data.loader import Batch
from scratchnet.errors import NonFiniteLossError, OperandError, SettingError, UncentredDataWarning
from scratchnet.layers import Module
from scratchnet.metrics import EpochMetrics, Evaluator, LossFunction
from scratchnet.optimizers import Optimizer


class Learner:
    """Trains a network.

    Args:
        train: the training loader.
        net: the network.
        optimizer: holds the network's parameters.
        loss: of the network's output and the labels.
        evaluator: called after each epoch; None measures nothing but the time.

    Attributes:
        epochs: the number of epochs trained so far.
        history: lists under train_loss, valid_loss, train_accuracy, valid_accuracy and duration
            (seconds of the training pass alone), an entry an epoch.

    Warns:
        UncentredDataWarning: the evaluator's validation data were not centred.

    Raises:
        OperandError: an argument is of another kind.
    """

    def __init__(
        self,
        train: DataLoader,
        net: Module,
        optimizer: Optimizer,
        loss: LossFunction,
        evaluator: Evaluator | None = None,
    ) -> None:
        """See the class."""
        given = train, net, optimizer, evaluator or Evaluator()
        for each, kind in zip(given, (Iterable, Module, Optimizer, Evaluator), strict=True):
            if not isinstance(each, kind):
                raise OperandError(
                    f"Learner: {type(each).__name__} given, {kind.__name__} expected; the order is "
                    "train, net, optimizer, loss, evaluator"
                )
        self.train, self.net, self.optimizer = train, net, optimizer
        self.loss, self.evaluator = loss, evaluator
        self.epochs = 0
        self.history: dict[str, list[float]] = {name: [] for name in EpochMetrics._fields}
        self.history["duration"] = []
        valid = evaluator.valid if evaluator else None
        if valid is not None and not valid.centred:
            warnings.warn(
                "the validation data are not centred and the training data are: call "
                "valid.zero_center(train.mean_image)",
                UncentredDataWarning,
                stacklevel=2,
            )

    def fit(self, epochs: int, report: Callable[[str], object] | None = print) -> dict[str, list[float]]:
        """Train for so many epochs more.

        Args:
            epochs: how many.
            report: called with a line after each epoch; None keeps silent.

        Returns:
            `history`, with all epochs so far.

        Raises:
            NonFiniteLossError: the loss became infinite or NaN.
            SettingError: a negative number of epochs.
        """
        if not isinstance(epochs, (int, np.integer)) or epochs < 0:
            raise SettingError(f"fit: epochs is {epochs!r}; it must be an integer from 0 on")
        for _ in range(epochs):
            duration = self._epoch()
            metrics = self.evaluator.evaluate(self.net) if self.evaluator else None
            self.history["duration"].append(duration)
            for name, value in (metrics._asdict() if metrics else {}).items():
                self.history[name].append(value)
            if report:
                report(_line(self.epochs, duration, metrics))
            if metrics and not all(map(math.isfinite, metrics)):
                raise NonFiniteLossError(
                    f"the loss after epoch {self.epochs} is {metrics.train_loss} on the training "
                    f"set and {metrics.valid_loss} on the validation set; lower the learning rate"
                )
            self.epochs += 1
        return self.history

    def _epoch(self) -> float:
        """One training pass; returns its seconds. Nothing in it waits for the device."""
        self.net.train()
        batches = iter(self.train)
        synchronize()
        start = perf_counter()
        losses = self.train_on(batches)
        synchronize()
        duration = perf_counter() - start
        self._check(losses)
        return duration

    def train_on(self, batches: Iterable[Batch]) -> list[Array]:
        """The step of each batch: forward, loss, backward, update; returns the losses, 0-d arrays."""
        losses = []
        with _collector_paused():
            for x, y in batches:
                self.optimizer.zero_grad()
                loss = self.loss(self.net(x), y)
                loss.backward()
                self.optimizer.step()
                losses.append(loss.data)
        return losses

    def _check(self, losses: list[Array]) -> None:
        """Raise at the first loss that is not finite, once the pass is over."""
        if not losses:
            return
        finite = np.isfinite(to_host(xp.stack(losses)))
        if not finite.all():
            batch = int(np.argmin(finite))
            raise NonFiniteLossError(
                f"the loss became {float(to_host(losses[batch]))} at epoch {self.epochs}, batch "
                f"{batch} of {len(losses)}; lower the learning rate, or look at that batch's data"
            )


@contextmanager
def _collector_paused() -> Iterator[None]:
    """The sweep frees the graph as it goes: the collector of cycles would search it in vain.

    It costs a step about a twentieth of its time on the CPU.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _line(epoch: int, duration: float, metrics: EpochMetrics | None) -> str:
    """The original's line: validation before training."""
    ms = duration * 1000
    line = f"epoch: {epoch:2d} duration: {ms:4.{1 if ms < 10 else 0}f}ms"
    if metrics is None:
        return line
    return (
        f"{line} loss: {metrics.valid_loss:1.4f} / {metrics.train_loss:1.4f}\t"
        f"accuracy: {metrics.valid_accuracy:1.4f} / {metrics.train_accuracy:1.4f}"
    )
