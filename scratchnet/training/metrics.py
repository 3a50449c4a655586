"""Metrics: what is measured on both data sets after each epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

import numpy as np

from backends import to_host, xp
from scratchnet import metrics
from scratchnet.core.function import array_of
from scratchnet.core.share import whole_batches
from scratchnet.core.stateful import Stateful
from scratchnet.data.arrays import ArrayDataLoader
from scratchnet.data.batches import as_batch
from scratchnet.data.loader import DataLoader, as_loader
from scratchnet.data.samples import parts_of
from scratchnet.errors import CheckpointError, OperandError, SettingError
from scratchnet.layers import Module
from scratchnet.losses.kinds import OF_TWO, opened
from scratchnet.training.evaluation import Evaluation, Metric, evaluating
from scratchnet.training.history import is_series
from scratchnet.training.objective import LossFunction
from scratchnet.training.tasks import is_soft
from scratchnet.variable import Variable

_SETS = ("train", "valid")
_ORIGINAL = ("train_loss", "valid_loss", "train_accuracy", "valid_accuracy")
Metrics = Mapping[str, Metric | str] | Iterable[Metric | str]


class EpochMetrics(dict[str, float]):
    """The figures of an epoch by name, such as `train_loss`. `metrics.train_loss` works too.

    Args:
        figures: a dict, or the figures of a classifier in the order of the original: train_loss,
            valid_loss, train_accuracy, valid_accuracy.
        named: figures by name.
    """

    def __init__(self, *figures: Any, **named: float) -> None:
        if len(figures) == len(_ORIGINAL):
            figures = (dict(zip(_ORIGINAL, figures, strict=True)),)
        super().__init__(*figures, **named)

    def __getattr__(self, name: str) -> float:
        """Return a figure."""
        try:
            return self[name]
        except KeyError:
            known = ", ".join(self)
            raise AttributeError(f"{name} was not measured; there are {known}") from None


class Evaluator(Stateful):
    """Base class of what a Learner calls after each epoch.

    Attributes:
        valid: the validation loader, if there is one.
        measures: the names of the figures that `evaluate` returns.
        directions: whether a larger figure is better, by name. A name that is not there is judged by
            itself: an accuracy should grow, a loss should shrink.
    """

    valid: DataLoader | None = None
    measures: tuple[str, ...] = _ORIGINAL
    directions: Mapping[str, bool] = {}

    def evaluate(self, net: Module) -> Mapping[str, float]:
        """Measure the network, and return the figures by name."""
        raise NotImplementedError(f"{type(self).__name__} must define evaluate(net)")


class MetricsCollector(Evaluator):
    """Measures the loss and the metrics of both data sets after each epoch, over all samples.

        f1 = sn.metrics.f1(average="macro")
        sn.MetricsCollector(train, valid, sn.softmax_loss, metrics={"f1": f1})

    Args:
        train: the training loader; None measures only validation.
        valid: the validation loader; None measures only training.
        loss: the loss; see `Learner`. A loss of the data set is the mean of its batches, each by its
            number of samples, or by their weights.
        capture: whether the evaluation of a data set becomes one launch; see `Learner`. A network of two
            linear layers with a ReLU between them and softmax loss has its own kernels, whose figures
            differ by rounding.
        metrics: functions of (outputs, targets) that return a number, by name; or names that
            `sn.metrics` knows; or a list of these. None follows the loss: "accuracy" for losses of
            classes, and nothing for other losses, or if the targets of a binary loss lie between 0 and
            1, such as the pixels of an autoencoder. A function with `mean_over_samples = True` is called
            for each batch, on the device. Any other gets the outputs and the targets of the whole data
            set, as NumPy arrays. `sn.metrics.from_sklearn` adapts scikit-learn's functions.

    Attributes:
        series: one value for every minibatch of every epoch, by the names `train_loss`, `valid_loss`,
            …, of the loss and the metrics that are means over samples.
        epochs: the `EpochMetrics` of every epoch.
        metrics: the series as a tuple, in the same order.
        train_loss_metrics, valid_loss_metrics, …: each series by its name.

    Raises:
        SettingError: a metric has an unknown name, or there is no data set.
        OperandError: a metric is not a function.
    """

    def __init__(
        self,
        train: Any,
        valid: Any,
        loss: LossFunction,
        capture: bool | str = "auto",
        metrics: Metrics | None = None,
    ) -> None:
        self.train, self.valid = (None if e is None else as_loader(e) for e in (train, valid))
        given = {
            name: each
            for name, each in zip(_SETS, (self.train, self.valid), strict=True)
            if each is not None
        }
        if not given:
            raise SettingError("MetricsCollector: there is no loader; give train, valid or both")
        functions = functions_of(metrics, loss, *given.values())
        self.loss, self.functions = loss, functions
        self._sets = tuple(given)
        self.evaluations = [Evaluation(each, loss, capture, functions) for each in given.values()]
        figures = ("loss", *functions)
        self.measures = tuple(f"{which}_{name}" for name in figures for which in given)
        known = {name: getattr(each, "larger_is_better", None) for name, each in functions.items()}
        directions = {"loss": False} | {name: up for name, up in known.items() if up is not None}
        self.directions = {f"{which}_{n}": up for n, up in directions.items() for which in given}
        means = ["loss", *(n for n, e in functions.items() if getattr(e, "mean_over_samples", False))]
        self.series: dict[str, list[float]] = {f"{which}_{n}": [] for n in means for which in given}
        self.epochs: list[EpochMetrics] = []

    @property
    def metrics(self) -> tuple[list[float], ...]:
        """Return the series: training and validation loss, then those of each metric."""
        return tuple(self.series.values())

    def __getattr__(self, name: str) -> list[float]:
        """Return a series by the name that the original has for it, such as `train_loss_metrics`."""
        series: dict[str, list[float]] = self.__dict__.get("series", {})
        if name.removesuffix("_metrics") in series and name.endswith("_metrics"):
            return series[name.removesuffix("_metrics")]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def state_dict(self) -> dict[str, Any]:
        """Return all measurements: float64 arrays, one for each series and one for the epochs."""
        series = {f"{name} of batches": np.array(each, np.float64) for name, each in self.series.items()}
        table = [*map(itemgetter(*self.measures), self.epochs)]
        return {**series, "epochs": np.array(table, np.float64).reshape(-1, len(self.measures))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace all measurements by these.

        Raises:
            CheckpointError: the state has other entries.
        """
        names = {*(f"{name} of batches" for name in self.series), "epochs"}
        if state.keys() != names or not all(
            is_series(each, axes=2 if name == "epochs" else 1) for name, each in state.items()
        ):
            raise CheckpointError(
                f"its evaluator kept {', '.join(state) or 'nothing'}, and not as series; this one "
                f"measures {', '.join(self.measures)}"
            )
        if state["epochs"].shape[1] != len(self.measures):
            raise CheckpointError(f"its metrics of epochs have shape {state['epochs'].shape}")
        for name, series in self.series.items():
            series[:] = state[f"{name} of batches"].tolist()
        rows = (dict(zip(self.measures, row, strict=True)) for row in state["epochs"].tolist())
        self.epochs[:] = map(EpochMetrics, rows)

    def evaluate(self, net: Module) -> EpochMetrics:
        """Measure the training set, then the validation set.

        Raises:
            DataError: a loader gives no batches, or not as many as it says.
        """
        with evaluating(net), whole_batches():
            begun = [each.begin(net) for each in self.evaluations]
            # One copy to the host for both.
            rows = to_host(xp.concatenate([found.reshape(-1) for found, *_ in begun]))
        for evaluation, (found, *outputs) in zip(self.evaluations, begun, strict=True):
            mine, rows = np.split(rows, [found.size])
            evaluation.finish(mine.reshape(found.shape), list(map(to_host, outputs)))
        measured = dict(zip(self._sets, self.evaluations, strict=True))
        metrics = EpochMetrics()
        for measure in self.measures:
            which, _, name = measure.partition("_")
            evaluation = measured[which]
            metrics[measure] = evaluation.figures[name]
            if measure in self.series:
                self.series[measure] += evaluation.series[name]
        self.epochs.append(metrics)
        return metrics


def functions_of(given: Metrics | None, loss: LossFunction, *loaders: DataLoader) -> dict[str, Metric]:
    """Return the functions of metrics by name. If none are given, they follow the loss and the targets.

    Raises:
        SettingError: a name is unknown, or twice there.
        OperandError: something is neither a name nor a function.
    """
    if given is None:
        of_two = opened(loss)[0] in OF_TWO
        soft = of_two and any(is_soft(_first_targets(each)) for each in loaders)
        return {} if soft else dict(metrics.for_loss(loss))
    if isinstance(given, str) or callable(given):
        given = [given]
    if not isinstance(given, Iterable):
        raise OperandError(
            f"metrics: a {type(given).__name__} given; give names and functions, as a list or a dict"
        )
    pairs: Iterable[tuple[Any, Any]]
    pairs = given.items() if isinstance(given, Mapping) else [(_name(each), each) for each in given]
    found: dict[str, Metric] = {}
    for name, each in pairs:
        if not isinstance(name, str) or not name or name == "loss":
            raise SettingError(f"metrics: the name {name!r} cannot be used; give another text")
        if name in found:
            raise SettingError(f"metrics: {name} is there twice; give a dict with two names")
        if not isinstance(each, str) and not callable(each):
            raise OperandError(
                f"metrics: {name} is a {type(each).__name__}; give a function of (outputs, targets), or "
                "a name such as 'accuracy'"
            )
        if (getattr(opened(each)[0], "__module__", None) or "").startswith("sklearn."):
            raise OperandError(
                f"metrics: {name} is a function of scikit-learn, which takes the targets first; give "
                f"sn.metrics.from_sklearn({_name(opened(each)[0])})"
            )
        if isinstance(each, str):
            found[name] = metrics.named(each, loss)
        else:
            found[name] = metrics.suited(each, loss)
    return found


def _first_targets(loader: DataLoader) -> np.ndarray | None:
    """Return the targets of a few samples, if they are at hand and one array."""
    if isinstance(loader, ArrayDataLoader) or isinstance(getattr(loader, "batches", None), list):
        targets = next(map(as_batch, loader.in_order()), (None, None))[1]
        return to_host(targets.data) if isinstance(targets, Variable) else None
    if not hasattr(loader, "dataset"):
        return None
    targets = array_of(parts_of(loader.dataset[0], "sample 0")[1])
    return None if targets is None or isinstance(targets, (tuple, dict)) else np.asarray(targets)


def _name(metric: Any) -> str:
    """Return the name of a metric in a list."""
    if isinstance(metric, str):
        return metric
    name = getattr(metric, "__name__", "")
    if not name or name == "<lambda>":
        raise SettingError('metrics: a function without a name; give a dict, {"name": function}')
    return str(name)
