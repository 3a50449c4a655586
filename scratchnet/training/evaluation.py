"""Measure the loss and the metrics of a data set in one pass, batch by batch or as one launch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from backends import Array, active, to_host, xp
from scratchnet import metrics
from scratchnet.core.function import array_of
from scratchnet.core.modes import no_grad
from scratchnet.data.arrays import ArrayDataLoader
from scratchnet.data.batches import Batch, Structure, as_batch, by_place, each_array, outputs_of, size_of
from scratchnet.data.loader import DataLoader
from scratchnet.errors import DataError, OperandError
from scratchnet.layers import Module
from scratchnet.training.capture.fused import TwoLayerNetwork, two_layers
from scratchnet.training.capture.replay import UNSTEADY, Replay, Whole
from scratchnet.training.objective import LossFunction, counted, on_device, one_loss, single_losses
from scratchnet.training.running import together

if TYPE_CHECKING:
    from scratchnet.training.parallel.group import Group

Metric: TypeAlias = Callable[[Any, Any], Any]


class Evaluation:
    """Measures a network on one data set, in the loader's own order.

    A metric with `mean_over_samples = True` is measured for each batch, on the device. Any other metric
    gets the outputs and the targets of all samples at once, as NumPy arrays.

    Args:
        loader: the loader of the data set.
        loss: a loss function that is a mean over the batch; see `Learner`.
        capture: see `Learner`.
        metrics: functions of outputs and targets, by name.

    Attributes:
        replay: how the pass runs.
        series: the loss and the metrics that are means over samples, by name: one value for each batch
            of the last measurement.
        figures: the loss and all metrics of the whole data set, by name.
    """

    def __init__(
        self,
        loader: DataLoader,
        loss: LossFunction,
        capture: bool | str,
        metrics: Mapping[str, Metric],
    ) -> None:
        self.loader, self.loss = loader, on_device(loss)
        self._names = "loss", *metrics
        self._means, self._of_all = dict[str, Metric](), dict[str, Metric]()
        for name, each in metrics.items():
            kind = self._means if getattr(each, "mean_over_samples", False) else self._of_all
            kind[name] = each
        self.replay: Replay[list[Array] | Array] = Replay(
            f"the evaluation of the {loader.mode} set", capture
        )
        self.series: dict[str, list[float]] = {}
        self.figures: dict[str, float] = {}
        self._sizes = np.zeros(0)
        self._losses = 1  # how many
        self._counting = list[int]()  # the losses and metrics that do not divide by the size
        self._shape: Structure = None  # the outputs and targets of a batch
        self._network: TwoLayerNetwork | None = None

    def begin(self, net: Module) -> list[Array]:
        """Run the network. Return arrays on the device, which `finish` needs on the host.

        Raises:
            DataError: the loader gives no batches, or not as many as it says.
        """
        loader = self.loader
        if self.replay.wanted and not loader.lies_still:
            self.replay.refuse(UNSTEADY)
        things = {
            "net": net, "loss": self.loss, "loader": loader, "metrics": self._means,
            "processes": together.get(),
        }  # fmt: skip
        found = self.replay(partial(self._steps, net), self._whole, things)
        return found if isinstance(found, list) else [found]

    def finish(self, found: np.ndarray, outputs: list[np.ndarray]) -> None:
        """Compute `series` and `figures` from the arrays of `begin`, on the host."""
        figures = self._losses + len(self._means)
        rows, counts = np.split(found.astype(np.float64), [figures])
        weights = np.tile(self._sizes, (figures, 1))
        weights[self._counting] = counts
        if not weights.any(axis=1).all():
            raise DataError(f"the {self.loader.mode} loader has no label or sample that counts")
        losses = rows[: self._losses].sum(axis=0)
        series = zip(("loss", *self._means), (losses, *rows[self._losses :]), strict=True)
        self.series = {name: row.tolist() for name, row in series}
        rows = np.where(weights == 0, 0, rows)  # NaN for a batch that counts nothing
        wholes = [float(a @ b / b.sum()) for a, b in zip(rows, weights, strict=True)]
        measured = {"loss": sum(wholes[: self._losses])}
        measured |= zip(self._means, wholes[self._losses :], strict=True)
        if self._of_all:
            parts = iter(outputs)
            whole = each_array(lambda _: next(parts), self._shape)
            measured |= {name: _number(name, each(*whole)) for name, each in self._of_all.items()}
        self.figures = {name: measured[name] for name in self._names}

    def measure(self, net: Module) -> dict[str, float]:
        """Return the loss and the metrics of a network in evaluation mode."""
        with evaluating(net):
            found, *outputs = map(to_host, self.begin(net))
        self.finish(found, outputs)
        return self.figures

    def _steps(self, net: Module) -> list[Array] | Array:
        found, expected = None, self.loader.num_evaluated
        sizes: list[int] = []
        outputs: list[Structure] = []
        group = together.get()
        rank, ranks = (0, 1) if group is None else (group.rank, group.size)
        batches = self._batches(rank, ranks)
        for batch in batches if group is None else group.reading(batches):
            inputs, targets, *weights = as_batch(batch)
            # Only a recorded graph shows what the network computes.
            looking = found is None and self.replay.wanted
            with nullcontext() if looking else no_grad():
                output = structured(outputs_of(net, inputs))
                singles = single_losses(self.loss, output, targets)
                losses = [one_loss(*each, *weights) for each in singles]
            if looking:
                loss = sum(losses[1:], losses[0])
                self.replay.see(loss)
                self._network = two_layers(loss, inputs, targets)
            plain = each_array(array_of, output), each_array(array_of, targets)
            means = [_scalar(name, metric(*plain)) for name, metric in self._means.items()]
            counters = []
            if found is None or self._counting:
                counters = [partial(counted, each, target, *weights) for each, _, target in singles]
                counters += [partial(_counted, metric, plain[1]) for metric in self._means.values()]
            if found is None:
                self._losses = len(losses)
                self._counting = [place for place, each in enumerate(counters) if each() is not None]
                rows = len(losses) + len(means) + len(self._counting)
                found = (xp.empty if group is None else xp.zeros)((rows, expected), np.float64)
            if (place := rank + len(sizes) * ranks) < expected:
                column = found[:, place]
                counts = [counters[place]() for place in self._counting]
                figures = [each.data for each in losses] + means + counts
                for row, figure in enumerate(figures):
                    column[row] = figure
            if self._of_all:
                outputs.append(plain)
            sizes.append(size_of(inputs))
        if rank >= expected:
            sizes = []
        number = len(sizes) if group is None else group.total([len(sizes)], "an evaluation")[0]
        if found is None or number != expected:
            raise DataError(
                f"the {self.loader.mode} loader gave {number:.0f} batches to evaluate, and its "
                f"num_batches is {expected}"
            )
        self._sizes = np.zeros(expected)
        self._sizes[rank::ranks] = sizes
        if group is not None:
            group.sum([self._sizes], "an evaluation")
        whole = [found, *self._joined(outputs, group)]
        if group is not None:
            group.add(whole, "an evaluation")
        return whole if self._of_all else found

    def _batches(self, rank: int, ranks: int) -> Iterator[Batch]:
        """Yield the batches of a rank; if there is none for it, the first one as a placeholder."""
        if rank < max(self.loader.num_evaluated, 1):
            return self.loader.dealt(rank, ranks)
        return islice(self.loader.in_order(), 1)

    def _joined(self, outputs: list[Structure], group: Group | None) -> list[Array]:
        """Return the outputs and the targets of all batches, one array for each place.

        The rows of other ranks are 0.

        Raises:
            DataError: batches have different shapes, on this rank or another.
        """
        if not self._of_all:
            return []
        self._shape = outputs[0]
        several = by_place(outputs)
        shapes = [sorted({part.shape[1:] for part in each}) for each in several]
        rank, ranks = 0, 1
        if group is not None:
            rank, ranks = group.rank, group.size
            given = group.gather_json(shapes, "the shapes of an evaluation")
            shapes = [[*map(tuple, chain(*each))] for each in zip(*given, strict=True)]
        for each in shapes:
            if len(found := set(each)) > 1:
                raise DataError(
                    "a metric of the whole data set needs outputs and targets of one shape, and batches "
                    f"have {' and '.join(map(str, sorted(found)))}; pad them, or declare it a "
                    "mean_over_samples"
                )
        ends = np.cumsum(self._sizes).astype(int)
        places = [slice(end - int(size), end) for end, size in zip(ends, self._sizes, strict=True)]
        return [_concatenated(each, places[rank::ranks], int(ends[-1])) for each in several]

    def _whole(self) -> Whole | None:
        data, network = self.loader, self._network
        if together.get() is not None:
            return None
        if network is None or not isinstance(data, ArrayDataLoader) or not data.plain:
            return None
        if list(self._means.values()) != [metrics.accuracy] or self._of_all:
            return None
        if not active().fuses(data.inputs, data.targets, network.arrays):
            return None
        inputs, labels, size = data.inputs, data.targets, data.batch_size
        return Whole(
            lambda arrays: active().two_layer_evaluation(inputs, labels, size, arrays), network.arrays
        )


@contextmanager
def evaluating(net: Module) -> Iterator[None]:
    """Set a network to evaluation mode, and back to its mode at the end."""
    training = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(training)


def structured(given: Any) -> Any:
    """Return a list as a tuple, and anything else as it is."""
    return tuple(given) if isinstance(given, list) else given


def _concatenated(parts: tuple[Array, ...], places: list[slice], rows: int) -> Array:
    """Return an array with parts at their places, with copies alone, which can be captured."""
    whole = xp.zeros((rows, *parts[0].shape[1:]), parts[0].dtype)
    for part, place in zip(parts, places, strict=False):
        whole[place] = part
    return whole


def _scalar(name: str, value: Any) -> Any:
    """Return what a metric of one batch has returned, if it is one number."""
    value = array_of(value)
    if isinstance(value, (int, float)) or getattr(value, "size", 0) == 1:
        return value
    shape = getattr(value, "shape", None)
    what = type(value).__name__ if shape is None else f"an array of shape {shape}"
    raise OperandError(f"the metric {name!r} returned {what}; it must return one number")


def _counted(metric: Metric, targets: Any) -> Any:
    """Return what the mean of a metric was divided by; None for the number of samples."""
    count = getattr(metric, "counted", None)  # ours have it; see `Metric.counted`
    return None if count is None else count(targets)


def _number(name: str, value: Any) -> float:
    """Return what a metric of all samples has returned, as a number."""
    try:
        return float(to_host(array_of(value)) if isinstance(value, active().array_type) else value)
    except (TypeError, ValueError) as error:
        raise OperandError(
            f"the metric {name!r} returned {type(value).__name__}; it must return one number"
        ) from error
