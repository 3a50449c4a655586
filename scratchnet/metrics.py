"""Metrics: the loss and accuracy on both sets, after each epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from backends import to_host, xp
from scratchnet.data import DataLoader
from scratchnet.errors import DataError
from scratchnet.function import array_of
from scratchnet.graph import Variable
from scratchnet.layers import Module
from scratchnet.recording import no_grad

LossFunction: TypeAlias = Callable[[Variable, Any], Variable]


class EpochMetrics(NamedTuple):
    """Means over all samples of each set."""

    train_loss: float
    valid_loss: float
    train_accuracy: float
    valid_accuracy: float


class Evaluator:
    """What a Learner calls after each epoch.

    Attributes:
        valid: the validation loader, if it has one.
    """

    valid: DataLoader | None = None

    def evaluate(self, net: Module) -> EpochMetrics:
        """Measure the network."""
        raise NotImplementedError(f"{type(self).__name__} does not say evaluate(net)")


class MetricsCollector(Evaluator):
    """Loss and accuracy of every minibatch of both sets, and their exact means.

    Args:
        train: the training loader.
        valid: the validation loader.
        loss: the loss function, a mean over the batch.

    Attributes:
        train_loss_metrics, valid_loss_metrics, train_accuracy_metrics, valid_accuracy_metrics: a
            value for every minibatch of every epoch.
        epochs: the `EpochMetrics` of every epoch.
    """

    def __init__(self, train: DataLoader, valid: DataLoader, loss: LossFunction) -> None:
        """See the class."""
        self.train, self.valid, self.loss = train, valid, loss
        self.train_loss_metrics: list[float] = []
        self.valid_loss_metrics: list[float] = []
        self.train_accuracy_metrics: list[float] = []
        self.valid_accuracy_metrics: list[float] = []
        self.epochs: list[EpochMetrics] = []

    @property
    def metrics(self) -> tuple[list[float], list[float], list[float], list[float]]:
        """The four series: loss of train and valid, accuracy of train and valid."""
        return (
            self.train_loss_metrics,
            self.valid_loss_metrics,
            self.train_accuracy_metrics,
            self.valid_accuracy_metrics,
        )

    @no_grad()
    def evaluate(self, net: Module) -> EpochMetrics:
        """Measure on the training set, then on the validation set."""
        training = net.training
        net.eval()
        try:
            train = self._pass(net, self.train, self.train_loss_metrics, self.train_accuracy_metrics)
            valid = self._pass(net, self.valid, self.valid_loss_metrics, self.valid_accuracy_metrics)
        finally:
            net.train(training)
        self.epochs.append(EpochMetrics(train[0], valid[0], train[1], valid[1]))
        return self.epochs[-1]

    def _pass(
        self, net: Module, loader: DataLoader | None, losses: list[float], accuracies: list[float]
    ) -> tuple[float, float]:
        """The exact means over one set. One crossing to the host, at the end."""
        assert loader is not None
        found, sizes = [], []
        for x, y in loader.in_order():
            output = net(x)
            hits = output.data.argmax(axis=1) == array_of(y).reshape(-1)
            found.append(xp.stack([self.loss(output, y).data, hits.mean(dtype=output.dtype)]))
            sizes.append(len(x))
        if not found:
            raise DataError(f"the {loader.mode} loader gave no batches to evaluate")
        loss, accuracy = to_host(xp.stack(found)).astype(np.float64).T
        losses += loss.tolist()
        accuracies += accuracy.tolist()
        weights = np.array(sizes) / sum(sizes)
        return float(loss @ weights), float(accuracy @ weights)
