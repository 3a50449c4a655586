"""Metrics: the loss and accuracy on both data sets, after each epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from backends import to_host, xp
from scratchnet.core.stateful import Stateful
from scratchnet.data import DataLoader
from scratchnet.errors import CheckpointError
from scratchnet.layers import Module
from scratchnet.training.evaluation import Evaluation, LossFunction
from scratchnet.training.history import is_series


class EpochMetrics(NamedTuple):
    """Means over all samples of each data set."""

    train_loss: float
    valid_loss: float
    train_accuracy: float
    valid_accuracy: float


class Evaluator(Stateful):
    """Base class of what a Learner calls after each epoch.

    Attributes:
        valid: the validation loader, if there is one.
        measures: the names of the fields of `EpochMetrics` that it measures. The other fields are
            ignored.
    """

    valid: DataLoader | None = None
    measures: tuple[str, ...] = EpochMetrics._fields

    def evaluate(self, net: Module) -> EpochMetrics:
        """Measure the network."""
        raise NotImplementedError(f"{type(self).__name__} must define evaluate(net)")


class MetricsCollector(Evaluator):
    """Measures loss and accuracy of every minibatch of both data sets, and their exact means.

    Args:
        train: the training loader.
        valid: the validation loader.
        loss: a loss function that is a mean over the batch.
        capture: whether the evaluation of a data set becomes one launch; see `Learner`. A network of two
            linear layers with a ReLU between them and softmax loss has its own kernels, whose figures
            differ by rounding.

    Attributes:
        train_loss_metrics: one value for every minibatch of every epoch.
        valid_loss_metrics: the same for validation.
        train_accuracy_metrics: the same for the training accuracy.
        valid_accuracy_metrics: the same for the validation accuracy.
        epochs: the `EpochMetrics` of every epoch.
    """

    def __init__(
        self,
        train: DataLoader,
        valid: DataLoader,
        loss: LossFunction,
        capture: bool | str = "auto",
    ) -> None:
        self.train, self.valid, self.loss = train, valid, loss
        self.evaluations = [Evaluation(each, loss, capture) for each in (train, valid)]
        self.train_loss_metrics: list[float] = []
        self.valid_loss_metrics: list[float] = []
        self.train_accuracy_metrics: list[float] = []
        self.valid_accuracy_metrics: list[float] = []
        self.epochs: list[EpochMetrics] = []

    @property
    def metrics(self) -> tuple[list[float], list[float], list[float], list[float]]:
        """Return four series: training and validation loss, training and validation accuracy."""
        return (
            self.train_loss_metrics,
            self.valid_loss_metrics,
            self.train_accuracy_metrics,
            self.valid_accuracy_metrics,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all measurements: float64 arrays, one for each series and one for the means."""
        named = zip(EpochMetrics._fields, self.metrics, strict=True)
        series = {f"{name} of batches": np.array(values, np.float64) for name, values in named}
        return {**series, "epochs": np.array(self.epochs, np.float64).reshape(-1, len(series))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace all measurements by these.

        Raises:
            CheckpointError: the state has other entries.
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
        """Measure the training set, then the validation set, with one copy to the host.

        Raises:
            DataError: a loader gives no batches, or not `num_batches` of them.
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
