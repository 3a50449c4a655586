"""What a batch is: inputs, targets and weights, where inputs and targets are one array or several.

Several arrays are a tuple or a dict. A network gets them as `net(*inputs)` or `net(**inputs)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np

from backends import active, to_device
from backends.errors import kind_of, one_line
from scratchnet.core.share import Part, rows_of, share
from scratchnet.errors import DataError, OperandError
from scratchnet.variable import Variable

Structure: TypeAlias = Any
"""One array, or a tuple or a dict of arrays, or None."""

Batch: TypeAlias = tuple[Any, ...]
"""(inputs, targets) or (inputs, targets, weights): Variables without gradient, or structures of them."""


def each_array(function: Callable[[Any], Any], structure: Structure) -> Structure:
    """Return the structure with `function(array)` in place of each array. None stays None."""
    if structure is None:
        return None
    if isinstance(structure, dict):
        return {name: each_array(function, part) for name, part in structure.items()}
    if isinstance(structure, tuple):
        return tuple(each_array(function, part) for part in structure)
    return function(structure)


def named_arrays(name: str, structure: Structure) -> Iterator[tuple[str, Any]]:
    """Yield each array with its place: `inputs`, `inputs[0]`, `inputs['age']`."""
    if isinstance(structure, (dict, tuple)):
        items = structure.items() if isinstance(structure, dict) else enumerate(structure)
        for key, part in items:
            yield from named_arrays(f"{name}[{key!r}]", part)
    elif structure is not None:
        yield name, structure


def by_place(structures: Iterable[Structure]) -> list[tuple[Any, ...]]:
    """Return the arrays that stand at each place of several structures of one form."""
    each_one = []
    for structure in structures:
        arrays: list[Any] = []
        each_array(arrays.append, structure)
        each_one.append(arrays)
    return list(zip(*each_one, strict=True))


def size_of(structure: Structure) -> int:
    """Return the number of samples: the length of the first array."""
    return next((len(array) for _, array in named_arrays("", structure)), 0)


def constant(array: Any) -> Variable:
    """Return a Variable that a module may keep. It does not become the module's parameter."""
    variable = Variable(array, requires_grad=False)
    variable.is_leaf = False
    return variable


def as_batch(given: Any) -> Batch:
    """Return what a loader has yielded as a batch on the device.

    Args:
        given: (inputs, targets) or (inputs, targets, weights), of Variables, or arrays of the device or
            the host.

    Raises:
        OperandError: it is something else.
    """
    if not isinstance(given, (tuple, list)) or not 2 <= len(given) <= 3:
        size = f" of {len(given)}" if isinstance(given, (tuple, list)) else ""
        raise OperandError(
            f"a loader yielded a {type(given).__name__}{size}; it must yield (inputs, targets) or "
            "(inputs, targets, weights), with None for targets that are not there"
        )
    given = given[:2] if len(given) == 3 and given[2] is None else given
    return tuple(each_array(_on_device, part) for part in given)


def copy_ahead(begin: Callable[[np.ndarray], Callable[[], Any]], given: Batch) -> Callable[[], Batch]:
    """Begin to copy a batch of host arrays to the device. Return a function that returns the batch.

    Args:
        begin: see `backends.boundary.copier`.
        given: (inputs, targets, weights) on the host.
    """
    begun = [each_array(begin, part) for part in given]
    return lambda: as_batch([each_array(lambda arrived: constant(arrived()), part) for part in begun])


def in_shares(mine: Part, batches: Iterable[Batch], totals: Iterable[int]) -> Iterator[Batch]:
    """Yield batches that have this process's rows, and note for the caller which rows they are.

    Args:
        mine: which rows of every batch these are.
        batches: those rows of each batch.
        totals: the number of rows of each whole batch.
    """
    former = share.get()
    for batch, total in zip(mine.reading(batches), totals, strict=False):
        share.set(mine.share(total))
        yield batch
    share.set(former)


def cut(mine: Part, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Cut this process's rows out of whole batches, as `in_shares` yields them."""
    former = share.get()
    for batch in mine.reading(batches):
        share.set(one := mine.share(size_of(batch[0])))
        yield rows_in(batch, rows_of(one))
    share.set(former)


def rows_in(batch: Batch, rows: slice) -> Batch:
    """Return some rows of a batch, as views.

    Raises:
        DataError: an array has another number of rows than the first.
    """
    size = size_of(batch[0])
    for part, structure in zip(("inputs", "targets", "weights"), batch, strict=False):
        for name, array in named_arrays(part, structure):
            if array.shape[:1] != (size,):
                raise DataError(
                    f"data_parallel: {name} of shape {array.shape} in a batch of {size} samples cannot "
                    "be divided; give one row for each sample, or keep the array in the network"
                )
    return tuple(each_array(lambda given: constant(given.data[rows]), each) for each in batch)


def outputs_of(net: Callable[..., Any], inputs: Structure) -> Any:
    """Return what the network computes from the inputs of a batch."""
    if isinstance(inputs, dict):
        return net(**inputs)
    return net(*inputs) if isinstance(inputs, tuple) else net(inputs)


def _on_device(given: Any) -> Variable:
    if isinstance(given, Variable):
        return given
    if not isinstance(given, active().array_type):
        try:
            array = np.asarray(given)
        except ValueError as error:
            raise OperandError(
                f"a loader yielded {kind_of(given)} that is no array: {one_line(error)}"
            ) from error
        given = to_device(native(array))
    return constant(native(given))


def native(array: Any) -> Any:
    """Return an array in the byte order of this machine."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
