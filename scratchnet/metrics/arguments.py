"""The outputs and targets of a metric: their kinds, their shapes, and what they mean together."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from backends import Array, LabelError, check
from backends.registry import load, owner
from scratchnet.core.function import array_of
from scratchnet.errors import OperandError, ShapeError


class Pair(NamedTuple):
    """Outputs and targets, arrays of one library.

    Attributes:
        backend: the backend whose arrays they are. Its `xp` is the library.
        outputs: floating.
        targets: booleans, integers or floating.
    """

    backend: Any
    outputs: Array
    targets: Array

    def refuse(self, name: str, known: Array, fix: str) -> None:
        """Raise `LabelError` with the first target that is not known, unless this waits for a device."""
        place = self.backend.first_false(known)
        if place is not None:
            raise LabelError(f"{name}: target {self.targets.reshape(-1)[place]} {fix}")


class Labelled(NamedTuple):
    """Outputs for classes, and the labels.

    Attributes:
        xp: the library of the arrays.
        outputs: (n, classes), floating.
        labels: (n,), int64. Where a label does not count, or is no class, it is `classes`.
        counted: (n,), booleans; None if all labels count.
    """

    xp: Any
    outputs: Array
    labels: Array
    counted: Array | None

    def mean(self, values: Array) -> Any:
        """Return the mean of the values (n,) that count: float64; NaN if none counts."""
        if self.counted is None:
            return values.mean(dtype=np.float64)
        total = self.counted.sum(dtype=np.float64)
        whole = self.xp.where(self.counted, values, 0).sum(dtype=np.float64)
        return self.xp.where(total == 0, self.xp.nan, whole / self.xp.maximum(total, 1))[()]


def pair(name: str, outputs: Any, targets: Any) -> Pair:
    """Return outputs and targets as arrays of one library.

    Args:
        name: the metric, for messages.
        outputs: a Variable, an array, or what NumPy makes an array of.
        targets: the same.

    Raises:
        OperandError: they do not hold real numbers.
        WrongArrayError: one is a NumPy array and one an array of a device.
        ShapeError: there are no samples.
    """
    outputs, targets = _array(name, "outputs", outputs), _array(name, "targets", targets)
    homes = [owner(each) or load("numpy") for each in (outputs, targets)]
    if homes[0] is not homes[1]:
        check(name, "outputs", outputs)
        check(name, "targets", targets)
    if 0 in outputs.shape:
        raise ShapeError(f"{name}: outputs of shape {outputs.shape} are empty; give at least one sample")
    if outputs.dtype.kind != "f":
        outputs = outputs.astype(np.float64)
    return Pair(homes[0], outputs, targets)


def elementwise(name: str, outputs: Any, targets: Any, instead: str = "") -> Pair:
    """Return outputs and targets with one target for each output, in the outputs' shape.

    A target of (n,) fits outputs of (n, 1), and the other way round.

    Args:
        name: the metric, for messages.
        outputs: real numbers.
        targets: real numbers.
        instead: the metric to recommend for labels of classes; empty if there is none.

    Raises:
        ShapeError: the shapes do not fit.
    """
    found = pair(name, outputs, targets)
    shape, given = found.outputs.shape, found.targets.shape
    if _without_ones(shape) == _without_ones(given):
        return found._replace(targets=found.targets.reshape(shape))
    if instead and given in (shape[:-1], (*shape[:-1], 1)):
        fix = f"for one label per sample use {instead}"
    else:
        fix = "give one target for each output, by reshape"
    raise ShapeError(f"{name}: outputs of shape {shape} and targets of shape {given} differ; {fix}")


def is_elementwise(outputs: Array, targets: Array) -> bool:
    """Return whether there is one target for each output."""
    return _without_ones(outputs.shape) == _without_ones(targets.shape)


def labelled(
    name: str, outputs: Any, targets: Any, ignore_index: int | None, soft: bool = False
) -> Labelled:
    """Return outputs (..., classes) and integer targets (...) or (..., 1) as rows and labels.

    Args:
        name: the metric, for messages.
        outputs: floating.
        targets: integers; or, if `soft`, also probabilities of the outputs' shape. Then the label is the
            class with the largest.
        ignore_index: a label whose rows do not count.
        soft: whether probabilities will do.

    Raises:
        ShapeError: the shapes do not fit.
        OperandError: the targets are not integers.
        LabelError: a label is not a class, unless this waits for a device.
    """
    found = pair(name, outputs, targets)
    xp, outputs, targets = found.backend.xp, found.outputs, found.targets
    shape, given = outputs.shape, targets.shape
    if soft and targets.dtype.kind == "f" and given == shape and shape[-1] > 1:
        targets = targets.argmax(-1)
    elif not shape or shape[-1] == 1 or given not in (shape[:-1], (*shape[:-1], 1)):
        raise ShapeError(_misfit(name, shape, given))
    if targets.dtype.kind not in "biu":
        raise OperandError(
            f"{name}: targets of {targets.dtype}; labels of classes are integers: convert them with "
            ".astype('int64')"
        )
    classes = shape[-1]
    labels = targets.reshape(-1).astype(np.int64, copy=False)
    counted = None if ignore_index is None else labels != ignore_index
    known = (labels >= 0) & (labels < classes)
    fix = f"is not one of the {classes} classes, 0 to {classes - 1}; see ignore_index"
    found._replace(targets=labels).refuse(name, known if counted is None else known | ~counted, fix)
    return Labelled(xp, outputs.reshape(-1, classes), xp.where(known, labels, classes), counted)


def _misfit(name: str, shape: tuple[int, ...], given: tuple[int, ...]) -> str:
    line = f"{name}: outputs of shape {shape} and targets of shape {given} do not fit"
    if _without_ones(shape) != _without_ones(given):
        return f"{line}; give outputs (..., classes) and integer targets (...)"
    if len(shape) < 2 or shape[-1] == 1:
        return f"{line}: there is one output per sample; use binary_accuracy, or outputs for each class"
    return f"{line}: for several labels at once use multilabel_accuracy; of one-hot rows take argmax(-1)"


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape without the last axes, if they have one place each."""
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def check_single(name: str, what: str, given: Any) -> None:
    """Raise `OperandError` for a tuple or a dict of arrays, which NumPy would make one array of."""
    several = isinstance(given, tuple) and any(owner(array_of(each)) for each in given)
    if several or isinstance(given, dict):
        first = next(iter(given), "") if isinstance(given, dict) else 0
        raise OperandError(
            f"{name}: {what} are a {type(given).__name__} of {len(given)} arrays; measure one of them: "
            f"lambda outputs, targets: {name}(outputs[{first!r}], targets[{first!r}])"
        )


def _array(name: str, what: str, given: Any) -> Array:
    array = array_of(given)
    try:
        if not owner(array):
            check_single(name, what, given)
            array = np.asarray(array)
    except ValueError as error:  # lists of different lengths
        raise OperandError(f"{name}: {what} are not an array of numbers: {error}") from error
    if array.dtype.kind not in "biuf":
        raise OperandError(f"{name}: {what} of {array.dtype}; they must be numbers")
    return array
