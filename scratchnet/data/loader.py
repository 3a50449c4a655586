"""Loaders: they give the samples to the network in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from backends import Array, active, check, to_device, to_host, xp
from scratchnet.core.stateful import Stateful
from scratchnet.errors import CheckpointError, DataError, OperandError, SettingError, ShapeError
from scratchnet.files import digest_of
from scratchnet.variable import Variable

Batch: TypeAlias = tuple[Variable, Variable]

_SHUFFLES = ("batches", "samples", None)


class DataLoader(Stateful):
    """Base class of loaders. A subclass sets the attributes and defines `__iter__`.

    Attributes:
        mode: "train" or "valid".
        num_samples: the number of samples in a pass.
        num_batches: the number of batches in a pass.
        centred: whether the mean was subtracted, if that matters.
        source: the name of the data, shown with results.
    """

    mode: str = "train"
    num_samples: int
    num_batches: int
    centred: bool = True
    source: str = ""

    def __iter__(self) -> Iterator[Batch]:
        """Yield one pass: batches of inputs (n, …) and labels (n,). Neither needs a gradient."""
        raise NotImplementedError(f"{type(self).__name__} must define __iter__")

    def in_order(self) -> Iterator[Batch]:
        """Yield one pass for evaluation. It must not change the order of training."""
        return iter(self)

    def rest(self, done: int) -> Iterator[Batch]:
        """Yield the rest of the last pass, after this many batches."""
        raise NotImplementedError(f"{type(self).__name__} must define rest(done)")

    @property
    def lies_still(self) -> bool:
        """Whether all batches are views of arrays that stay where they are."""
        return False

    def resident(self) -> ResidentPass:
        """Return passes at fixed addresses, for capture. Defined if `lies_still`."""
        raise NotImplementedError(f"{type(self).__name__} must define resident()")

    def __len__(self) -> int:
        """Return the number of batches."""
        return self.num_batches


class ArrayDataLoader(DataLoader):
    """Batches of arrays that are completely on the device.

    Args:
        inputs: (samples, …), an array of the active backend. It is not copied, unless it is not
            contiguous.
        labels: (samples,), integers, an array of the active backend. Not copied either.
        batch_size: the number of samples per batch. The last batch may be shorter, and comes last.
        seed: for the order of each pass.
        shuffle: "batches" yields the same batches in a new order in each pass, as views, as the original
            does. "samples" forms new batches in each pass, which copies each sample once. None keeps the
            order.
        mode: "train" or "valid".

    Raises:
        SettingError: the batch size is below 1, or the shuffle is unknown.
        ShapeError: inputs and labels have different lengths.
        DataError: there are no samples.
        OperandError: the labels are not integers.
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
        self._inputs, self._labels = xp.ascontiguousarray(inputs), xp.ascontiguousarray(labels)
        self.batch_size, self.seed, self.shuffle, self.mode = batch_size, seed, shuffle, mode
        self.num_samples = len(inputs)
        self.num_batches = -(-self.num_samples // batch_size)
        self._passes = 0
        self._fingerprint = ""
        self._batches = _batches(self.inputs, self.labels, batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the next pass. Its order depends on the seed and on the number of earlier passes."""
        order = self.next_order()
        if order is None:
            return self.in_order()
        if self.shuffle == "batches":
            return (self._batches[i] for i in order.tolist())
        return self._gathered(to_device(order))

    def in_order(self) -> Iterator[Batch]:
        """Yield the batches in the order of the arrays."""
        return iter(self._batches)

    def rest(self, done: int) -> Iterator[Batch]:
        """Yield the rest of the last pass, after this many batches."""
        self._passes -= 1
        return islice(iter(self), done, None)

    def fingerprint(self) -> str:
        """Return a SHA-256 of the samples and labels, as they are at the first call."""
        if not self._fingerprint:
            arrays = {"inputs": to_host(self.inputs), "labels": to_host(self.labels)}
            self._fingerprint = digest_of(arrays)
        return self._fingerprint

    def state_dict(self) -> dict[str, Any]:
        """Return the number of started passes, and what their orders and batches depend on."""
        return {"passes": self._passes, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after this number of passes.

        Raises:
            CheckpointError: the state is of other data, or of other batches.
        """
        for name, mine in self._identity().items():
            if state.get(name) != mine and name != "source":
                theirs, here = (
                    f"{each or 'data of no name'} with {name} {str(value)[:12]}"
                    for each, value in ((state.get("source"), state.get(name)), (self.source, mine))
                )
                raise CheckpointError(
                    f"its {self.mode} data are {theirs}, these are {here}; give those it was made with"
                )
        passes = state.get("passes")
        if type(passes) is not int or passes < 0:
            raise CheckpointError(f"its number of passes is {passes!r}")
        self._passes = passes

    def _identity(self) -> dict[str, Any]:
        return {
            "source": self.source, "samples": self.num_samples, "batch size": int(self.batch_size),
            "shuffle": self.shuffle, "seed": int(self.seed), "fingerprint": self.fingerprint(),
        }  # fmt: skip

    def next_order(self) -> np.ndarray | None:
        """Return the order of the next pass, of batches or of samples; None without a shuffle."""
        rng = np.random.default_rng([self.seed, self._passes])
        self._passes += 1
        if self.shuffle == "samples":
            return rng.permutation(self.num_samples)
        if self.shuffle == "batches":
            full = self.num_samples // self.batch_size  # the short batch, if any, comes last
            return np.append(rng.permutation(full), np.arange(full, self.num_batches))
        return None

    @property
    def inputs(self) -> Array:
        """(samples, …), on the device. Change it only in place."""
        return self._inputs

    @inputs.setter
    def inputs(self, inputs: Array) -> None:
        self._keep("inputs", inputs, self._inputs)

    @property
    def labels(self) -> Array:
        """(samples,), on the device. Change it only in place."""
        return self._labels

    @labels.setter
    def labels(self, labels: Array) -> None:
        self._keep("labels", labels, self._labels)

    def _keep(self, name: str, given: Array, kept: Array) -> None:
        """Allow `loader.inputs *= 2`, which assigns the array that it has changed."""
        if given is not kept:
            raise DataError(
                f"ArrayDataLoader: its batches are views of {name}, which cannot be replaced; change "
                f"them in place, loader.{name}[...] = …, or make another loader"
            )

    @property
    def lies_still(self) -> bool:
        """True, unless a subclass yields its own batches."""
        own, plain = type(self), ArrayDataLoader
        return own.__iter__ is plain.__iter__ and own.in_order is plain.in_order

    def resident(self) -> ResidentPass:
        """Return its passes, in separate arrays."""
        return ResidentPass(self)

    def _gathered(self, order: Array) -> Iterator[Batch]:
        for start in range(0, self.num_samples, self.batch_size):
            chosen = order[start : start + self.batch_size]
            yield _batch(xp.take(self.inputs, chosen, axis=0), self.labels[chosen])


class ResidentPass:
    """A loader's pass, gathered each time into arrays at fixed addresses.

    Args:
        loader: the loader of the samples. It keeps its own arrays, so the samples are on the device
            twice, unless the loader does not shuffle.

    Attributes:
        inputs, labels: the samples in the order of the pass.
        batches: views of them.
    """

    def __init__(self, loader: ArrayDataLoader) -> None:
        self.loader = loader
        moves = loader.shuffle is not None
        self.inputs = loader.inputs.copy() if moves else loader.inputs
        self.labels = loader.labels.copy() if moves else loader.labels
        self.batches = _batches(self.inputs, self.labels, loader.batch_size)
        self._size = loader.batch_size if loader.shuffle == "batches" else 1
        self._order: Array | None = None

    def draw(self) -> None:
        """Draw the order of the next pass, and copy it to the device."""
        order = self.loader.next_order()
        self._order = (
            None if order is None else to_device(order[: self.loader.num_samples // self._size])
        )

    def gather(self) -> None:
        """Gather the samples in the order that was drawn."""
        if self._order is None:
            return
        full, size = len(self._order), self._size
        pairs = (self.loader.inputs, self.inputs), (self.loader.labels, self.labels)
        for source, target in pairs:
            rows, end = (full, size, *source.shape[1:]), full * size
            active().take_rows(source[:end].reshape(rows), self._order, target[:end].reshape(rows))
            target[end:] = source[end:]  # the short batch, which comes last in every pass


def check_settings(batch_size: int, seed: int, shuffle: str | None) -> None:
    """Raise `SettingError` if a setting is invalid for every loader."""
    if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise SettingError(f"batch_size is {batch_size!r}; it must be a positive integer")
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise SettingError(f"seed is {seed!r}; it must be an integer from 0 on")
    if shuffle not in _SHUFFLES:
        raise SettingError(f'shuffle is {shuffle!r}; it must be "batches", "samples" or None')


def _batches(inputs: Array, labels: Array, batch_size: int) -> list[Batch]:
    parts = [slice(start, start + batch_size) for start in range(0, len(inputs), batch_size)]
    return [_batch(inputs[part], labels[part]) for part in parts]


def _batch(inputs: Array, labels: Array) -> Batch:
    """Return both as Variables that a module may keep. They do not become its parameters."""
    batch = Variable(inputs, requires_grad=False), Variable(labels, requires_grad=False)
    for each in batch:
        each.is_leaf = False
    return batch
