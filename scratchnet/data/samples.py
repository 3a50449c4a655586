"""Samples become batches: read from a data set, checked, and stacked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.errors import kind_of, one_line
from scratchnet.data.batches import each_array, named_arrays
from scratchnet.errors import DataError, ScratchnetError

if TYPE_CHECKING:
    from threading import Event

PARTS = "inputs", "targets", "weights"

ended: ContextVar[Event | None] = ContextVar("scratchnet_workers_ended", default=None)
"""Set once the batches that a worker reads are no longer wanted."""


class Ended(Exception):  # noqa: N818 - a signal to stop, which is never reported
    """The batches are no longer wanted."""


def load_samples(dataset: Any, indices: np.ndarray) -> tuple[Any, Any, Any]:
    """Read a batch of a data set: by its `batch` if it has one, otherwise sample by sample.

    Args:
        dataset: see `Dataset`.
        indices: (n,), integers: the positions of the samples.

    Returns:
        (inputs, targets, weights), as `collate` returns them.

    Raises:
        DataError: the data set raised an error, which is the cause; or its samples do not fit together
            or hold something other than finite real numbers. The message names the sample.
    """
    if callable(getattr(dataset, "batch", None)):
        try:
            batch = dataset.batch(indices)
        except Exception as error:
            raise _first_fault(dataset, indices, error) from error
        return _checked(f"{type(dataset).__name__}.batch", batch, indices)
    items = []
    for index in indices.tolist():
        _stop_if_ended()
        try:
            items.append(dataset[index])
        except Exception as error:
            raise DataError(f"sample {index}: {reason(error)}") from error
    return collate(items, indices.tolist())


def collate(items: Sequence[Any], indices: Iterable[int] | None = None) -> tuple[Any, Any, Any]:
    """Stack samples into a batch.

    Args:
        items: what `dataset[index]` returned for each sample; at least one.
        indices: the positions of the samples, for messages. None counts from 0.

    Returns:
        (inputs, targets, weights): NumPy arrays with a first axis that counts the samples, or tuples or
        dicts of such arrays, as in the samples; None for a part that the samples do not have. float64
        becomes float32.

    Raises:
        DataError: two samples have different shapes, parts, or names; or one holds something other than
            finite real numbers, has no input, or a negative weight. The message names the sample.
    """
    names = [*range(len(items))] if indices is None else [*indices]
    samples = [parts_of(item, f"sample {name}") for name, item in zip(names, items, strict=True)]
    inputs, targets, weights = (
        _stacked(part, [sample[place] for sample in samples], names) for place, part in enumerate(PARTS)
    )
    return checked_values((inputs, targets, weights), names)


def checked_values(batch: tuple[Any, Any, Any], names: Sequence[int]) -> tuple[Any, Any, Any]:
    """Return a batch on the host with floating weights.

    Args:
        batch: (inputs, targets, weights).
        names: the positions of the samples, for messages.

    Raises:
        DataError: there are no inputs; a number is NaN or infinite; or a weight is negative.
    """
    inputs, targets, weights = batch
    if next(named_arrays("", inputs), None) is None:
        raise DataError(f"sample {names[0]} has no input; return input, or (input, target)")
    for part, structure in zip(PARTS, batch, strict=True):
        for where, array in named_arrays(part, structure):
            if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
                sample, *place = np.argwhere(~finite)[0].tolist()
                raise DataError(
                    f"sample {names[sample]}: {where} has {array[sample, *place]}"
                    f"{f' at {tuple(place)}' if place else ''}; correct the sample, or leave it out"
                )
    if weights is None:
        return batch
    if not isinstance(weights, np.ndarray):
        raise DataError(f"sample {names[0]}: its weight is {_form(weights)}; it must be one number")
    if (weights < 0).any():
        sample = np.argwhere(weights < 0)[0][0]
        raise DataError(f"sample {names[sample]}: its weight is negative; weights count from 0 on")
    return inputs, targets, weights if weights.dtype.kind == "f" else weights.astype(np.float32)


def parts_of(item: Any, where: str) -> tuple[Any, Any, Any]:
    """Return (input, target, weight) of a sample or of a batch.

    Raises:
        DataError: it is a tuple of another length. `where` is the sample, for the message.
    """
    if not isinstance(item, tuple):
        return item, None, None
    if not 1 <= len(item) <= 3:
        raise DataError(
            f"{where} is a tuple of {len(item)}; give (input, target) or (input, target, weight), and "
            "several inputs as a tuple within: ((a, b), target)"
        )
    inputs, targets, weights = (*item, None, None)[:3]
    return inputs, targets, weights


def numbers(where: str, value: Any) -> np.ndarray:
    """Return a value as an array of numbers.

    Raises:
        DataError: it is something else. `where` is its place, for the message.
    """
    try:
        array = np.asarray(masked_as_nan(value))
    except (TypeError, ValueError) as error:  # a device array, or lists of different lengths
        raise DataError(f"{where} is {kind_of(value)}, but no array: {one_line(error)}") from error
    check_numbers(where, array)
    return array


def check_numbers(where: str, array: np.ndarray) -> None:
    """Raise `DataError` unless the array holds real numbers."""
    if array.dtype.kind not in "biuf":
        raise DataError(f"{where} has dtype {array.dtype}; it must hold real numbers")


def masked_as_nan(value: Any) -> Any:
    """Return a masked array with NaN in place of what is masked, and all else as it is."""
    if not np.ma.is_masked(value):
        return value
    return value.astype(value.dtype if value.dtype.kind == "f" else np.float64).filled(np.nan)


def as_float32(array: np.ndarray) -> np.ndarray:
    """Return float64 as float32, any byte order as the machine's, and all else as it is."""
    dtype = np.float32 if array.dtype.char in "dg" else array.dtype.newbyteorder("=")
    with np.errstate(over="ignore"):  # what is too large becomes infinity, which is an error later
        return array.astype(dtype, copy=False)


def _stacked(where: str, values: list[Any], names: list[int]) -> Any:
    """Stack the arrays of each place of a structure. `names` are those of the samples."""
    first = values[0]
    for name, value in zip(names, values, strict=True):
        if _form(value) != _form(first):
            raise DataError(
                f"sample {name}: {where} is {_form(value)}, but that of sample {names[0]} is "
                f"{_form(first)}; give all samples the same parts"
            )
    if first is None:
        return None
    if isinstance(first, dict):
        return {key: _stacked(f"{where}[{key!r}]", [v[key] for v in values], names) for key in first}
    if isinstance(first, tuple):
        return tuple(
            _stacked(f"{where}[{place}]", list(each), names)
            for place, each in enumerate(zip(*values, strict=True))
        )
    arrays = [numbers(f"sample {name}: {where}", v) for name, v in zip(names, values, strict=True)]
    for name, array in zip(names, arrays, strict=True):
        if array.shape != arrays[0].shape:
            raise DataError(
                f"sample {name}: {where} has shape {array.shape}, but that of sample {names[0]} has "
                f"{arrays[0].shape}; give all samples the same shape, by padding, cutting or resizing"
            )
    return as_float32(np.stack(arrays))


def _form(value: Any) -> str:
    """Describe what must be equal for all samples, apart from shapes."""
    if isinstance(value, dict):
        return f"a dict of {', '.join(sorted(map(str, value))) or 'nothing'}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return "None" if value is None else "an array"


def _first_fault(dataset: Any, indices: np.ndarray, error: Exception) -> DataError:
    """Return the error of the first sample that fails when it is read alone."""
    for place, index in enumerate(indices.tolist()):
        _stop_if_ended()
        try:
            dataset.batch(indices[place : place + 1])
        except Exception as alone:
            return DataError(f"sample {index}: {reason(alone)}")
    return DataError(f"{named_samples(indices)}: {reason(error)}")


def _checked(name: str, batch: Any, indices: np.ndarray) -> tuple[Any, Any, Any]:
    """Return what `dataset.batch` gave for these indices as (inputs, targets, weights)."""
    count = len(indices)

    def check(part: str, value: Any) -> np.ndarray:
        array = numbers(f"{name}: {part}", value)
        if array.shape[:1] != (count,):
            raise DataError(
                f"{name}: {part} has shape {array.shape} for {count} indices; the first axis must count "
                "the samples"
            )
        return as_float32(array)

    inputs, targets, weights = (
        each_array(partial(check, part), value)
        for part, value in zip(PARTS, parts_of(batch, name), strict=True)
    )
    return checked_values((inputs, targets, weights), indices.tolist())


def _stop_if_ended() -> None:
    event = ended.get()
    if event is not None and event.is_set():
        raise Ended


def reason(error: BaseException) -> str:
    """Return an error's message in one line, with its type if it is not one of ours."""
    text = one_line(error)
    if isinstance(error, ScratchnetError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def named_samples(indices: np.ndarray) -> str:
    """Name the samples of a batch in a few words."""
    shown = ", ".join(map(str, indices[:4].tolist()))
    return f"samples {shown}{', …' if len(indices) > 4 else ''}"
