"""Softmax, its logarithm, and the cross-entropy loss that uses them.

Each formula subtracts the maximum before the exponential. The result is the same, and nothing overflows.
For the formulas, see Bishop, Pattern Recognition and Machine Learning, section 4.3.4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from backends import Array, active, xp
from scratchnet.core.function import Function, Operand, Sample, T, array_of
from scratchnet.errors import OperandError, ShapeError
from scratchnet.functions.comparison import where
from scratchnet.functions.elementwise import at_least_float32, exp
from scratchnet.functions.reduction import Reduction, sum
from scratchnet.functions.shape import Axis, axes_of, in_float32

SAMPLES: Sequence[Sample] = (
    ([(3,)], {}),
    ([(2, 3)], {"axis": 0}),
    ([(2, 3, 4)], {"axis": 1}),
    ([()], {}),
    ([(0, 2)], {}),
    ([(2, 0)], {}),
)


class Softmax(Function):
    """exp(x) / Σ exp(x) along an axis."""

    rule = "∂L/∂x = y · (grad − Σ(grad · y)), Σ along the axis"
    operations = (5, 4)
    samples = SAMPLES

    def __init__(self, axis: int = -1) -> None:
        """Set the axis along which the result sums to 1."""
        self.axis = axis

    def forward(self, x: Array) -> Array:
        """Positive values that sum to 1 along the axis."""
        _check_floating("Softmax", x)
        (axis,) = axes_of("Softmax", self.axis, x, one=True) or (None,)
        wide = at_least_float32(x)
        e = xp.exp(_shifted(wide, axis))
        y = (e / e.sum(axis=axis, keepdims=True)).astype(x.dtype, copy=False)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """Return y · (grad - Σ(grad · y))."""
        return in_float32(lambda g, s: s * (g - sum(g * s, self.axis, keepdims=True)), grad, y)


class LogSoftmax(Function):
    """log(softmax(x)) along an axis, more accurate than the two functions in turn."""

    rule = "∂L/∂x = grad − softmax(x) · Σ(grad), Σ along the axis"
    operations = (5, 4)
    samples = SAMPLES

    def __init__(self, axis: int = -1) -> None:
        """Set the axis along which the exponentials of the result sum to 1."""
        self.axis = axis

    def forward(self, x: Array) -> Array:
        """Return x - log(Σ exp(x))."""
        _check_floating("LogSoftmax", x)
        (axis,) = axes_of("LogSoftmax", self.axis, x, one=True) or (None,)
        if not x.size:
            self.keep(x)
            return x
        wide = at_least_float32(x)
        shifted = _shifted(wide, axis)
        y = shifted - xp.log(xp.exp(shifted).sum(axis=axis, keepdims=True))
        y = y.astype(x.dtype, copy=False)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """Return grad - softmax(x) · Σ grad."""
        return in_float32(lambda g, s: g - exp(s) * sum(g, self.axis, keepdims=True), grad, y)


class SoftmaxCrossEntropy(Function):
    """The mean cross-entropy between softmax(logits) and the labels, in one kernel."""

    rule = "∂L/∂logits = grad · (softmax(logits) − one_hot(labels)) / n, of n rows"
    operations = (6, 0, 0)
    samples = ([(2, 3), [0, 2]], {}), ([(3, 1), [[0], [0], [0]]], {})
    constants = ("gradient",)

    def forward(self, logits: Array, labels: Array) -> Array:
        """Map logits (n, classes) and labels (n,) or (n, 1) to a 0-d loss, and compute its gradient."""
        self.keep(logits, labels)
        of_rows = labels_for(logits, labels)
        kernel, dtype = active().softmax_cross_entropy, logits.dtype
        if dtype.char != "e":
            loss, self.gradient = kernel(logits, of_rows)
            return loss
        loss, gradient = kernel(at_least_float32(logits), of_rows)
        self.gradient = gradient.astype(dtype)
        return loss.astype(dtype)

    def backward(self, grad: Any, logits: Any, labels: Any) -> tuple[Any, None]:
        """Multiply grad by (softmax - one-hot) / n."""
        if not isinstance(grad, Operand):
            return self.gradient * grad, None
        rows, classes = logits.shape
        one_hot = array_of(labels).reshape(-1, 1) == xp.arange(classes)
        return (softmax(logits, axis=1) - one_hot.astype(logits.dtype)) * (grad * (1 / rows)), None


class LogSumExp(Reduction):
    """log(Σ exp(x)) over some or all axes, without overflow."""

    rule = "∂L/∂x = grad · softmax(x) over the axes"
    operations = (4, 5)

    def forward(self, x: Array) -> Array:
        """The logarithm of the sum; −∞ if there are no elements to sum."""
        _check_floating("LogSumExp", x)
        axes = self.axes(x)
        wide = at_least_float32(x)
        highest = _maximum(wide, axes)
        highest = xp.where(xp.isinf(highest), 0, highest)
        with np.errstate(divide="ignore"):
            y = xp.log(xp.exp(wide - highest).sum(axis=axes, keepdims=True)) + highest
        y = y.astype(x.dtype, copy=False)
        y = y if self.keepdims else y.reshape(tuple(n for i, n in enumerate(x.shape) if i not in axes))
        self.keep(x)
        return y

    def backward(self, grad: Any, x: Any) -> Any:
        """Multiply grad by the softmax. With the rounded result, exp(x - y) would lose digits."""
        return in_float32(self._rule, grad, x)

    def _rule(self, grad: Any, x: Any) -> Any:
        axes = self.axes(x)
        highest = _maximum(array_of(x), axes)
        e = exp(x - xp.where(xp.isinf(highest), 0, highest))
        total = sum(e, axes, keepdims=True)
        return self.restore(grad, axes, x.shape) * (e / where(total == 0, 1.0, total))


def logsumexp(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """Return log(Σ exp(x)) over the given axes, without overflow.

    Args:
        x: a Variable or an array of any shape, floating-point.
        axis: an axis or several; None means all axes.
        keepdims: whether the axes stay in the result with size 1.

    Raises:
        OperandError: x is not floating-point.
        ShapeError: x has no such axis, or an axis is given twice.
    """
    return LogSumExp(axis, keepdims).on(x)


def softmax(x: T, axis: int = -1) -> T:
    """Return exp(x) / Σ exp(x): positive values that sum to 1 along the axis.

    Args:
        x: a Variable or an array of any shape, floating-point.
        axis: the axis; the last one by default.

    Returns:
        A Variable or an array of the shape and dtype of x.

    Raises:
        OperandError: x is not floating-point.
        ShapeError: x has no such axis.
    """
    return Softmax(axis).on(x)


def log_softmax(x: T, axis: int = -1) -> T:
    """Return the logarithm of the softmax along the axis, accurate also for small probabilities.

    Arguments, shape, dtype and errors are those of `softmax`.
    """
    return LogSoftmax(axis).on(x)


def _shifted(x: Array, axis: Any) -> Array:
    """Return x - max(x) along the axis. It may be -∞, whose exponential is 0."""
    with np.errstate(over="ignore"):
        return x - _maximum(x, axis)


def _maximum(x: Array, axes: Any) -> Array:
    """Return the maximum along the axes, which stay with size 1; 0 if there are no elements."""
    return x.max(axis=axes, keepdims=True) if x.size else x.sum(axis=axes, keepdims=True)


def _check_floating(name: str, x: Array) -> None:
    """Raise `OperandError` for integers: x - max(x) would overflow if they are unsigned."""
    if x.dtype.kind != "f":
        raise OperandError(
            f"{name}: an operand has dtype {x.dtype}; it must be floating: .astype('float32')"
        )


def labels_for(logits: Array, target: Any) -> Array:
    """Check logits and target of a softmax loss, and return the target as labels of shape (n,).

    Args:
        logits: a floating-point array of shape (n, classes).
        target: integers of shape (n,) or (n, 1), one for each row of the logits.

    Raises:
        ShapeError: the shapes do not fit together, or the batch is empty.
        OperandError: the target does not hold integers, or the logits are not floating.
    """
    try:
        right = logits.dtype.kind == "f" and target.dtype.kind in "iu"
    except AttributeError:
        right = False
    if not right:
        raise _wrong_kind(logits, target)
    shape = logits.shape
    if len(shape) != 2 or target.shape not in (shape[:1], (shape[0], 1)):
        raise ShapeError(
            f"softmax_loss: logits of shape {shape} and targets of shape {target.shape} do "
            "not fit; they must be (n, classes) and (n,) or (n, 1)"
        )
    if 0 in shape:
        raise ShapeError(
            f"softmax_loss: logits of shape {shape} are an empty batch, which has no mean; give at "
            "least one row and one class"
        )
    return target if target.ndim == 1 else target.reshape(-1)


def _wrong_kind(logits: Any, target: Any) -> OperandError:
    name, operand, kind, fix = "logits", logits, "floating", "wrap them: Variable(...)"
    if getattr(getattr(logits, "dtype", None), "kind", "") == "f":
        name, operand, kind, fix = "targets", target, "integers", "convert with .astype('int64')"
    found = getattr(operand, "dtype", None) or type(operand).__name__
    return OperandError(f"softmax_loss: {name} must be {kind}, not {found}; {fix}")
