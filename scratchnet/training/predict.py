"""Run a network on a data set, and read what its outputs mean."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from backends import Array, check, to_host, xp
from scratchnet.core.function import array_of
from scratchnet.core.modes import no_grad
from scratchnet.data.batches import (
    Structure,
    as_batch,
    by_place,
    constant,
    each_array,
    named_arrays,
    outputs_of,
    size_of,
)
from scratchnet.data.loader import DataLoader, as_loader
from scratchnet.data.pictures import has_pictures
from scratchnet.errors import DataError, NonFiniteLossError, OperandError
from scratchnet.layers import Module
from scratchnet.training.evaluation import evaluating, structured
from scratchnet.training.predictions import Predictions
from scratchnet.training.running import alone
from scratchnet.training.tasks import meaning_of
from scratchnet.variable import Variable

_AT_ONCE = 1000


def predict(net: Module, data: Any, loss: Any = None, task: str | None = None) -> Any:
    """Run the network on a data set, batch by batch, in evaluation mode and without a graph.

    The loss decides what the outputs mean: classes for `softmax_loss`, `nll_loss` and `kl_divergence`;
    yes or no, or one label for each output, for the binary losses; numbers for others. Without a loss,
    integer targets (n,) with several outputs per sample are classes, and all other outputs are numbers.
    Where there is neither a loss nor a target, several outputs per sample are taken for classes: give
    the loss or the task if they are not.

    Args:
        net: the network.
        data: a loader, which is read in its own order; or inputs (n, …), arrays of the active backend,
            prepared as in training, or a tuple or a dict of them. Then the targets are not known.
        loss: the loss that it was trained with; see `Learner`.
        task: "classification", "binary", "multilabel" or "regression". None follows the loss.

    Returns:
        The `Predictions` on the host, or a tuple or a dict of them for several outputs. The results are
        copied at once, and so are the targets.

    Raises:
        OperandError: `net` is not a Module, or the loss is text.
        DataError: there are no samples, or the outputs of two batches have different shapes.
        NonFiniteLossError: the network returns NaN for a sample.
        LabelError: a label is not a class.
        SettingError: the task is unknown.
    """
    if not isinstance(net, Module):
        raise OperandError(f"predict: net is a {type(net).__name__}; the order is net, data")
    if isinstance(loss, str):
        raise OperandError(
            f"predict: loss is {loss!r}; give a loss function, or name the task: task={loss!r}"
        )
    found: list[Structure] = []
    targets: list[Structure] = []
    loader = _loader(data)
    with evaluating(net), no_grad(), alone():
        for inputs, target in _batches(data, loader):
            found.append(each_array(array_of, structured(outputs_of(net, inputs))))
            targets.append(each_array(array_of, structured(target)))
    if not found:
        raise DataError("predict: no samples; give at least one")
    thing = "image" if has_pictures(loader) else "sample"
    names = getattr(loader, "class_names", None)
    known = None if targets[0] is None else _joined(targets)
    return _read(_joined(found), known, structured(loss), task, names, thing)


def _read(
    outputs: Structure, targets: Structure, loss: Any, task: str | None, names: Any, thing: str
) -> Any:
    """Return the predictions of each output, with its own targets and loss; the names are for one."""
    if isinstance(outputs, dict):
        return {
            key: _read(each, _part(targets, key), _part(loss, key), task, None, thing)
            for key, each in outputs.items()
        }
    if isinstance(outputs, tuple):
        return tuple(
            _read(each, _part(targets, key), _part(loss, key), task, None, thing)
            for key, each in enumerate(outputs)
        )
    if isinstance(targets, (dict, tuple)):
        targets = None  # only a loss of the user's own knows how they belong together
    unknown = ~(np.isfinite(outputs) | np.isneginf(outputs)).reshape(len(outputs), -1).all(axis=1)
    if unknown.any():
        what = "NaN" if np.isnan(outputs).any() else "infinity"
        raise NonFiniteLossError(
            f"predict: the network gives {what} for {thing} {int(unknown.argmax())}; train it "
            "again, with a lower learning rate"
        )
    meaning = meaning_of(outputs, targets, loss, task)
    return Predictions(outputs, targets, names, meaning.task, meaning.form, meaning.ignored, thing)


def _loader(data: Any) -> DataLoader | None:
    """Return a loader; None for arrays.

    Raises:
        WrongArrayError: an array does not belong to the active backend.
    """
    if isinstance(data, DataLoader):
        return data
    batches = isinstance(data, list) and bool(data) and isinstance(data[0], tuple)
    own = hasattr(data, "__iter__") and not hasattr(data, "dtype") and not hasattr(data, "columns")
    if batches or (own and not isinstance(data, (list, tuple, dict, str, bytes, Variable))):
        return as_loader(data)
    for name, array in named_arrays("data", each_array(array_of, data)):
        check("predict", name, array)
    return None


def _batches(data: Any, loader: DataLoader | None) -> Iterator[tuple[Any, Any]]:
    if loader is not None:
        for batch in loader.in_order():
            inputs, targets, *_ = as_batch(batch)
            yield inputs, targets
        return
    arrays = each_array(array_of, data)
    for start in range(0, size_of(arrays), _AT_ONCE):
        yield each_array(partial(_rows, start), arrays), None


def _rows(start: int, array: Array) -> Variable:
    return constant(array[start : start + _AT_ONCE])


def _part(structure: Any, key: Any) -> Any:
    """Return the part of a structure that belongs to one output; None if there is none."""
    try:
        return structure[key] if isinstance(structure, (dict, tuple)) else None
    except (KeyError, IndexError):
        return None


def _joined(batches: list[Structure]) -> Structure:
    """Return the arrays of all batches in one structure, on the host: one copy for each place."""
    whole = map(_concatenated, by_place(batches))
    return each_array(lambda _: next(whole), batches[0])


def _concatenated(parts: tuple[Array, ...]) -> np.ndarray:
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        told = " and ".join(map(str, sorted(shapes)))
        raise DataError(f"predict: the samples of two batches have the shapes {told}; pad them to one")
    return to_host(xp.concatenate(parts))
