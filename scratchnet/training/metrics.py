"""Metrics: the loss and accuracy on both sets, after each epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from backends import to_host, xp
from scratchnet.core.stateful import Stateful, is_series
from scratchnet.data import DataLoader
from scratchnet.errors import CheckpointError
from scratchnet.layers import Module
from scratchnet.training.evaluation import Evaluation, LossFunction


class EpochMetrics(NamedTuple):
    """Means over all samples of each set."""

    train_loss: float
    valid_loss: float
    train_accuracy: float
    valid_accuracy: float


class Evaluator(Stateful):
    """What a Learner calls after each epoch.

    Attributes:
        valid: the validation loader, if it has one.
        measures: the names of what it measures, of the fields of `EpochMetrics`; the other fields count
            for nothing.
    """

    valid: DataLoader | None = None
    measures: tuple[str, ...] = EpochMetrics._fields

    def evaluate(self, net: Module) -> EpochMetrics:
        """Measure the network."""
        raise NotImplementedError(f"{type(self).__name__} does not say evaluate(net)")


class MetricsCollector(Evaluator):
    """Loss and accuracy of every minibatch of both sets, and their exact means.

    Args:
        train: the training loader.
        valid: the validation loader.
        loss: the loss function, a mean over the batch.
        capture: whether the evaluation of a set becomes one launch; as `Learner`'s. Two linear layers
            with a ReLU between and softmax loss, whatever trains them, are measured by kernels of
            their own, where the figures differ by rounding.

    Attributes:
        train_loss_metrics: a value for every minibatch of every epoch.
        valid_loss_metrics: likewise.
        train_accuracy_metrics: likewise.
        valid_accuracy_metrics: likewise.
        epochs: the `EpochMetrics` of every epoch.
    """

    def __init__(
        self,
        train: DataLoader,
        valid: DataLoader,
        loss: LossFunction,
        capture: bool | str = "auto",
    ) -> None:
        """See the class."""
        self.train, self.valid, self.loss = train, valid, loss
        self.evaluations = [Evaluation(each, loss, capture) for each in (train, valid)]
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

    def state_dict(self) -> dict[str, Any]:
        """All that was measured: float64 arrays, one for each series and one for the means."""
        named = zip(EpochMetrics._fields, self.metrics, strict=True)
        series = {f"{name} of batches": np.array(values, np.float64) for name, values in named}
        return {**series, "epochs": np.array(self.epochs, np.float64).reshape(-1, len(series))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take these for what was measured so far.

        Raises:
            CheckpointError: there is something else in it.
        """
        fields = EpochMetrics._fields
        names = {*(f"{name} of batches" for name in fields), "epochs"}
        if state.keys() != names or not all(
            is_series(each, axes=2 if name == "epochs" else 1) for name, each in state.items()
        ):
            raise CheckpointError(
                f"its evaluator kept {', '.join(state) or 'nothing'}, and not as series"
            )
        if state["epochs"].shape[1] != len(fields):
            raise CheckpointError(f"its metrics of epochs have shape {state['epochs'].shape}")
        for name, series in zip(fields, self.metrics, strict=True):
            series[:] = state[f"{name} of batches"].tolist()
        self.epochs[:] = [EpochMetrics(*each) for each in state["epochs"].tolist()]

    def evaluate(self, net: Module) -> EpochMetrics:
        """Measure on the training set, then on the validation set: one copy to the host for both.

        Raises:
            DataError: a loader gives no batches, or not as many as it says.
        """
        training = net.training
        net.eval()
        try:
            found = [each.measure(net) for each in self.evaluations]
        finally:
            net.train(training)
        values = to_host(xp.concatenate(found, axis=1)).astype(np.float64)
        train, valid = np.split(values, [found[0].shape[1]], axis=1)
        for series, batches in zip(self.metrics, (train[0], valid[0], train[1], valid[1]), strict=True):
            series += batches.tolist()
        train, valid = (
            each @ evaluation.weights
            for each, evaluation in zip((train, valid), self.evaluations, strict=True)
        )
        metrics = EpochMetrics(*map(float, (train[0], valid[0], train[1], valid[1])))
        self.epochs.append(metrics)
        return metrics
