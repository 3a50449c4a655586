"""Loaders: they hand the samples to the network in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from backends import Array, check, to_device, xp
from scratchnet.errors import DataError, OperandError, SettingError, ShapeError
from scratchnet.graph import Variable

Batch: TypeAlias = tuple[Variable, Variable]

_SHUFFLES = ("batches", "samples", None)


class DataLoader:
    """What training needs of a loader. A subclass sets the attributes and says `__iter__`.

    Attributes:
        mode: "train" or "valid".
        num_samples: in a whole pass.
        num_batches: in a whole pass.
        centred: whether the mean was subtracted, where that matters.
        source: what the samples are, shown beside results.
    """

    mode: str = "train"
    num_samples: int
    num_batches: int
    centred: bool = True
    source: str = ""

    def __iter__(self) -> Iterator[Batch]:
        """One pass: batches of inputs (n, …) and labels (n,), neither needing a gradient."""
        raise NotImplementedError(f"{type(self).__name__} does not say __iter__")

    def in_order(self) -> Iterator[Batch]:
        """One pass for evaluation, which must not disturb the order of training."""
        return iter(self)

    def __len__(self) -> int:
        """The number of batches."""
        return self.num_batches


class ArrayDataLoader(DataLoader):
    """Batches of arrays that lie on the device, whole.

    Args:
        inputs: (samples, …), of the active backend.
        labels: (samples,), integers, of the active backend.
        batch_size: samples a batch; the last one has what is left.
        seed: of the order of each pass.
        shuffle: "batches" hands out the same batches in a new order each pass, as views, as the
            original does; "samples" forms new batches each pass, which copies each once; None
            keeps the order.
        mode: "train" or "valid".

    Raises:
        SettingError: a batch size below 1, or an unknown shuffle.
        ShapeError: inputs and labels of different lengths.
    """

    def __init__(
        self,
        inputs: Array,
        labels: Array,
        batch_size: int,
        seed: int = 231,
        shuffle: str | None = "batches",
        mode: str = "train",
    ) -> None:
        """See the class."""
        check_settings(batch_size, seed, shuffle)
        for name, array in (("inputs", inputs), ("labels", labels)):
            check("ArrayDataLoader", name, array)
        if len(inputs) != len(labels) or labels.ndim != 1:
            raise ShapeError(
                f"ArrayDataLoader: inputs of shape {inputs.shape} and labels of shape "
                f"{labels.shape} do not fit; there must be one label a sample"
            )
        if not len(inputs):
            raise DataError("ArrayDataLoader: no samples; give at least one")
        if labels.dtype.kind not in "iu":
            raise OperandError(f"ArrayDataLoader: labels of {labels.dtype}; they must be integers")
        self.inputs, self.labels = inputs, labels
        self.batch_size, self.seed, self.shuffle, self.mode = batch_size, seed, shuffle, mode
        self.num_samples = len(inputs)
        self.num_batches = -(-self.num_samples // batch_size)
        self._passes = 0
        starts = range(0, self.num_samples, batch_size)
        self._slices = [slice(start, start + batch_size) for start in starts]
        self._batches = [_batch(inputs[part], labels[part]) for part in self._slices]

    def __iter__(self) -> Iterator[Batch]:
        """The next pass. Its order depends on the seed and the number of passes before it."""
        rng = np.random.default_rng([self.seed, self._passes])
        self._passes += 1
        if self.shuffle == "batches":
            return (self._batches[i] for i in rng.permutation(self.num_batches).tolist())
        if self.shuffle == "samples":
            return self._gathered(to_device(rng.permutation(self.num_samples)))
        return self.in_order()

    def in_order(self) -> Iterator[Batch]:
        """The batches as they lie."""
        return iter(self._batches)

    def _gathered(self, order: Array) -> Iterator[Batch]:
        for part in self._slices:
            chosen = order[part]
            yield _batch(xp.take(self.inputs, chosen, axis=0), self.labels[chosen])


def check_settings(batch_size: int, seed: int, shuffle: str | None) -> None:
    """Raise `SettingError` for what no loader can take."""
    if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise SettingError(f"batch_size is {batch_size!r}; it must be a positive integer")
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise SettingError(f"seed is {seed!r}; it must be an integer from 0 on")
    if shuffle not in _SHUFFLES:
        raise SettingError(f'shuffle is {shuffle!r}; it must be "batches", "samples" or None')


def _batch(inputs: Array, labels: Array) -> Batch:
    """Both as Variables that a module may keep without their becoming its parameters."""
    batch = Variable(inputs, requires_grad=False), Variable(labels, requires_grad=False)
    for each in batch:
        each.is_leaf = False
    return batch
