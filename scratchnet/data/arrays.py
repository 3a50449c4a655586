"""Batches of arrays that are completely on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from backends import Array, active, to_device, to_host, xp
from scratchnet.core.share import Part, part, rows_of, share
from scratchnet.data.applied import Applied
from scratchnet.data.batches import Batch, Structure, constant, cut, each_array, named_arrays
from scratchnet.data.intake import Intake, check_lengths, checked_names, checked_weights
from scratchnet.data.loader import DataLoader
from scratchnet.errors import DataError
from scratchnet.files import digest_of
from scratchnet.variable import Variable

_AT_ONCE = 1 << 20  # numbers, which limits the memory for their products


class ArrayDataLoader(DataLoader):
    """Batches of arrays that are completely on the device.

        loader = sn.ArrayDataLoader(x, y, 32)
        for inputs, targets in loader:
            ...

    Arrays, lists, and tables or columns of a data frame may be given for inputs and targets; several of
    them as a tuple or a dict, which a network gets as `net(*inputs)` or `net(**inputs)`. Arrays of the
    active backend are not copied, unless they are not contiguous or change their dtype.

    Args:
        inputs: (samples, …). Integers of a data frame become float32.
        targets: (samples, …), or None.
        batch_size: the number of samples per batch. The last batch may be shorter, and comes last.
        shuffle: True draws every sample anew in each pass, which copies each sample once. "batches"
            yields the same batches in a new order, as views, as the original does. False keeps the
            order.
        seed: for the order of each pass, and for random transforms.
        drop_last: whether training leaves out a last batch that is shorter. Evaluation never does.
        weights: (samples,), how much each sample counts, from 0 on. The loss of a batch is then the
            weighted mean of its samples' losses, divided by the sum of their weights.
        class_names: the name of each class, for targets that are labels.
        transform: a function of a batch's inputs on the device; see `sn.transforms`. Random transforms
            act only in training.
        target_transform: the same for targets.
        dtype: of floating inputs, targets and weights. None turns float64 into float32, with a warning.
        mode: "train" or "valid".

    Attributes:
        inputs, targets, weights: the arrays on the device. Change them only in place.

    Warns:
        PrecisionWarning: float64 has become float32.

    Raises:
        SettingError: a setting is out of its range.
        ShapeError: two arrays have different lengths, or samples have different shapes.
        DataError: there are no samples; an array has NaN or infinity; a label has no name.
        OperandError: an array does not hold numbers.
    """

    def __init__(
        self,
        inputs: Any,
        targets: Any = None,
        batch_size: int = 32,
        *,
        shuffle: bool | str | None = True,
        seed: int = 231,
        drop_last: bool = False,
        weights: Any = None,
        class_names: Iterable[str] | None = None,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        dtype: Any = None,
        mode: str = "train",
    ) -> None:
        name = type(self).__name__
        intake = Intake(name, dtype)
        self._inputs = intake.take("inputs", inputs, features=True)
        self._targets = intake.take("targets", targets)
        self._weights = intake.take("weights", weights)
        samples = check_lengths(
            name, {"inputs": self._inputs, "targets": self._targets, "weights": self._weights}
        )
        self._begin(samples, batch_size, seed, shuffle, drop_last, mode)
        self._weights = checked_weights(name, self._weights)
        if class_names is not None:  # a subclass may have set them
            self.class_names = checked_names(name, class_names, self._targets)
        self._applied = Applied(transform, target_transform, seed)
        intake.say()
        self._fingerprint, self._sums = "", b""
        self._batches = self.views(self.parts)

    @property
    def parts(self) -> tuple[Structure, ...]:
        """(inputs, targets), and weights if there are any."""
        weights = () if self._weights is None else (self._weights,)
        return (self._inputs, self._targets, *weights)

    def views(self, parts: tuple[Structure, ...]) -> list[Batch]:
        """Return the batches of such arrays, as views."""
        size = self.batch_size
        slices = [slice(start, start + size) for start in range(0, self.num_samples, size)]
        return [each_array(_rows_in(part), parts) for part in slices]

    def next_order(self) -> np.ndarray | None:
        """Begin a pass. Return the order of its batches or its samples; None if it does not change."""
        orders = self._orders()
        order = orders.next()
        self._applied.begin(orders.passes)
        return order

    def transformed(self, batch: Batch, number: int) -> Batch:
        """Return a training batch as the transforms change it. `number` counts them in the pass."""
        return self._applied(batch, number) if self._applied.anything else batch

    def in_order(self) -> Iterator[Batch]:
        """Yield the batches in the order of the arrays, without random transforms."""
        if not self._applied.anything:
            return iter(self._batches)
        return map(self._applied.in_evaluation, self._batches)

    def _pass(self, order: np.ndarray | None, done: int) -> Iterator[Batch]:
        orders, mine = self._orders(), part.get()
        if order is not None and orders.by_sample:
            batches = self._gathered(to_device(order), done, mine)
        else:
            numbers = range(self.num_batches) if order is None else order.tolist()
            batches = (self._batches[number] for number in numbers[done:])
            batches = batches if mine is None else cut(mine, batches)
        return self._applied.in_pass(orders.passes, batches, done)

    def fingerprint(self) -> str:
        """Return a SHA-256 of the samples, as they are now.

        It is computed again only if sums over the samples' bytes have changed. This takes a tenth of the
        time, and a change of the samples that keeps all these sums does not happen by accident.
        """
        arrays = {"inputs": self._inputs, "labels": self._targets}  # names of version 0.1
        if self._weights is not None:
            arrays["weights"] = self._weights
        named = [pair for name, part in arrays.items() for pair in named_arrays(name, part)]
        sums = b"".join(to_host(each).tobytes() for _, array in named for each in _sums(array))
        if sums != self._sums:
            self._fingerprint = digest_of({name: to_host(array) for name, array in named})
            self._sums = sums
        return self._fingerprint

    @property
    def inputs(self) -> Structure:
        """(samples, …), on the device. Change it only in place."""
        return self._inputs

    @inputs.setter
    def inputs(self, inputs: Structure) -> None:
        self._keep("inputs", inputs, self._inputs)

    @property
    def targets(self) -> Structure:
        """(samples, …), on the device. Change it only in place."""
        return self._targets

    @targets.setter
    def targets(self, targets: Structure) -> None:
        self._keep("targets", targets, self._targets)

    @property
    def labels(self) -> Structure:
        """The targets, under the name that classification has for them."""
        return self._targets

    @labels.setter
    def labels(self, labels: Structure) -> None:
        self._keep("labels", labels, self._targets)

    @property
    def weights(self) -> Array | None:
        """(samples,), on the device; None if all samples count the same."""
        return self._weights

    def _keep(self, name: str, given: Structure, kept: Structure) -> None:
        """Allow `loader.inputs *= 2`, which assigns the array that it has changed."""
        if given is not kept:
            raise DataError(
                f"ArrayDataLoader: its batches are views of {name}, which cannot be replaced; change "
                f"them in place, loader.{name}[...] = …, or make another loader"
            )

    @property
    def lies_still(self) -> bool:
        """True, unless a subclass yields its own batches, or a transform cannot be captured."""
        own, plain = type(self), ArrayDataLoader
        whole = own.__iter__ is plain.__iter__ and own.in_order is plain.in_order
        return whole and self._applied.capturable

    @property
    def plain(self) -> bool:
        """Whether a batch is one array of inputs and one of targets, as they lie."""
        single = isinstance(self._inputs, active().array_type)
        labels = isinstance(self._targets, active().array_type)
        return single and labels and self._weights is None and not self._applied.anything

    def resident(self) -> ResidentPass:
        """Return its passes, in separate arrays."""
        return ResidentPass(self)

    def _gathered(self, order: Array, done: int, mine: Part | None) -> Iterator[Batch]:
        size, former = self.batch_size, share.get()
        for start in range(done * size, self.num_batches * size, size):
            places = order[start : start + size]
            if mine is not None:
                share.set(one := mine.share(len(places)))
                places = places[rows_of(one)]
            yield each_array(_rows_at(places), self.parts)
        share.set(former)


class ResidentPass:
    """A loader's pass, gathered each time into arrays at fixed addresses.

    Args:
        loader: the loader of the samples. It keeps its own arrays, so the samples are on the device
            twice, unless the loader does not shuffle.

    Attributes:
        parts: (inputs, targets) or (inputs, targets, weights) in the order of the pass.
        num_batches: the number of batches.
    """

    def __init__(self, loader: ArrayDataLoader) -> None:
        self.loader, self.num_batches = loader, len(loader)
        moves = bool(loader.shuffle)
        self.parts = each_array(lambda array: array.copy() if moves else array, loader.parts)
        self._views = loader.views(self.parts)[: self.num_batches]
        self._size = loader.batch_size if loader.shuffle == "batches" else 1
        self._order: Array | None = None

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches: views, transformed as the loader does it."""
        mine = part.get()
        views = self._views if mine is None else cut(mine, self._views)
        return map(self.loader.transformed, views, range(self.num_batches))

    def draw(self) -> None:
        """Draw the order of the next pass, and copy it to the device."""
        order = self.loader.next_order()
        if order is not None:
            order = to_device(order[: self.loader.num_samples // self._size])
        self._order = order

    def gather(self) -> None:
        """Gather the samples in the order that was drawn."""
        if self._order is None:
            return
        full, size = len(self._order), self._size
        pairs = zip(named_arrays("", self.loader.parts), named_arrays("", self.parts), strict=True)
        for (_, source), (_, target) in pairs:
            rows, end = (full, size, *source.shape[1:]), full * size
            active().take_rows(source[:end].reshape(rows), self._order, target[:end].reshape(rows))
            target[end:] = source[end:]  # the short batch, which comes last in every pass


def _sums(array: Array) -> Iterator[Array]:
    """Yield a sum of each sample's bytes, as whole numbers, in which each place counts differently.

    Plain sums would not notice that samples of one-hot targets have changed places.
    """
    rows = array.reshape(len(array), -1) if array.size else array.reshape(len(array), 0)
    wide = next(each for each in (8, 4, 2, 1) if rows.shape[1] * rows.itemsize % each == 0)
    words = xp.ascontiguousarray(rows).view(f"u{wide}")
    width = words.shape[1]
    factors = to_device(np.random.default_rng(width).integers(2**64, size=width, dtype=np.uint64) | 1)
    step = max(1, _AT_ONCE // max(1, width))
    for start in range(0, len(words), step):
        yield (words[start : start + step] * factors).sum(axis=1, dtype="u8")


def _rows_in(part: slice) -> Callable[[Array], Variable]:
    return lambda array: constant(array[part])


def _rows_at(places: Array) -> Callable[[Array], Variable]:
    return lambda array: constant(xp.take(array, places, axis=0))
