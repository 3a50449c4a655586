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
from scratchnet.functions.elementwise import at_least_float32, exp, expm1
from scratchnet.functions.reduction import Reduction, sum
from scratchnet.functions.shape import Axis, axes_of, check_floating, in_float32

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
        check_floating("Softmax", "an operand", x)
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
    """log(softmax(x)) along an axis, accurate also where a probability is nearly 1.

    There the logarithm and the gradient depend on 1 - softmax(x), which a subtraction would round to 0.
    """

    rule = "∂L/∂x = grad · (1 − softmax(x)) − softmax(x) · (Σ(grad) − grad), Σ along the axis"
    operations = (9, 7)
    samples = SAMPLES

    def __init__(self, axis: int = -1) -> None:
        """Set the axis along which the exponentials of the result sum to 1."""
        self.axis = axis

    def forward(self, x: Array) -> Array:
        """Return x - log(Σ exp(x))."""
        check_floating("LogSoftmax", "an operand", x)
        (axis,) = axes_of("LogSoftmax", self.axis, x, one=True) or (None,)
        if not x.size:
            self.keep(x)
            return x
        wide = at_least_float32(x)
        shifted = _shifted(wide, axis)
        highest = shifted == 0
        others = xp.exp(shifted)
        others *= ~highest
        less_one = others.sum(axis=axis, keepdims=True)
        less_one += highest.sum(axis=axis, keepdims=True) - 1  # the sum of all exponentials, minus 1
        shifted -= xp.log1p(less_one)
        y = shifted.astype(x.dtype, copy=False)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """Return grad · (1 - softmax(x)) - softmax(x) · (Σ grad - grad)."""

        def rule(g: Any, s: Any) -> Any:
            return exp(s) * (g - sum(g, self.axis, keepdims=True)) - g * expm1(s)

        return in_float32(rule, grad, y)


class SoftmaxCrossEntropy(Function):
    """The mean cross-entropy between softmax(logits) and the labels, in one kernel."""

    rule = "∂L/∂logits = grad · (softmax(logits) − one_hot(labels)) / n, of n rows"
    operations = (6, 0, 0)
    samples = (
        ([(2, 3), [0, 2]], {}),
        ([(3, 1), [[0], [0], [0]]], {}),
        ([(2, 2, 3), [[0, 2], [1, 1]]], {}),
    )
    constants = ("gradient",)

    def forward(self, logits: Array, labels: Array) -> Array:
        """Map logits (..., classes) and labels (...) to a 0-d loss, and compute its gradient."""
        self.keep(logits, labels)
        of_rows, dtype, shape = labels_for(logits, labels), logits.dtype, logits.shape
        if len(shape) != 2:
            logits = logits.reshape(-1, shape[-1])
        if dtype.char == "e":
            logits = at_least_float32(logits)
        loss, self.gradient = active().softmax_cross_entropy(logits, of_rows)
        if len(shape) != 2:
            self.gradient = self.gradient.reshape(shape)
        if dtype.char == "e":
            loss, self.gradient = loss.astype(dtype), self.gradient.astype(dtype)
        return loss

    def backward(self, grad: Any, logits: Any, labels: Any) -> tuple[Any, None]:
        """Multiply grad by (softmax - one-hot) / n."""
        if not isinstance(grad, Operand):
            return self.gradient * grad, None
        *rows, classes = logits.shape
        one_hot = array_of(labels).reshape(*rows, 1) == xp.arange(classes)
        share = grad * (1 / math.prod(rows))
        return (softmax(logits) - one_hot.astype(logits.dtype)) * share, None


class LogSumExp(Reduction):
    """log(Σ exp(x)) over some or all axes, without overflow."""

    rule = "∂L/∂x = grad · softmax(x) over the axes"
    operations = (4, 5)

    def forward(self, x: Array) -> Array:
        """The logarithm of the sum; −∞ if there are no elements to sum."""
        check_floating("LogSumExp", "an operand", x)
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


def labels_for(logits: Array, target: Any, name: str = "softmax_loss", reduction: str = "mean") -> Array:
    """Check logits and target of a loss for classes, and return the target as labels of shape (n,).

    Args:
        logits: a floating-point array of shape (..., classes), with n rows of classes.
        target: integers of shape (...) or (..., 1), one for each row of the logits.
        name: the loss, for messages.
        reduction: that of the loss. Only "mean" needs a row.

    Raises:
        ShapeError: the shapes do not fit together, or a mean is asked of an empty batch.
        OperandError: the target does not hold integers, or the logits are not floating.
    """
    try:
        right = logits.dtype.kind == "f" and target.dtype.kind in "iu"
    except AttributeError:
        right = False
    if not right:
        raise _wrong_kind(logits, target, name)
    shape = logits.shape
    if not shape or target.shape not in (shape[:-1], (*shape[:-1], 1)):
        raise _wrong_shape(shape, target.shape, name)
    if 0 in shape and (reduction == "mean" or not shape[-1]):
        raise ShapeError(
            f"{name}: logits of shape {shape} are an empty batch, which has no mean; give at "
            "least one row and one class"
        )
    return target if target.ndim == 1 else target.reshape(-1)


def _wrong_shape(logits: tuple[int, ...], target: tuple[int, ...], name: str) -> ShapeError:
    if len(logits) > 2 and target == (logits[0], *logits[2:]):
        fix = "move the classes to the last axis of the logits: moveaxis(logits, 1, -1)"
    else:
        fix = "they must be (..., classes) and (...), such as (n, classes) and (n,)"
    return ShapeError(
        f"{name}: logits of shape {logits} and targets of shape {target} do not fit; {fix}"
    )


def _wrong_kind(logits: Any, target: Any, name: str) -> OperandError:
    what, operand, kind, fix = "logits", logits, "floating", "wrap them: Variable(...)"
    if getattr(getattr(logits, "dtype", None), "kind", "") == "f":
        what, operand, kind, fix = "targets", target, "integers", "convert with .astype('int64')"
    found = getattr(operand, "dtype", None) or type(operand).__name__
    if what == "targets" and getattr(found, "kind", "") == "f":
        fix = (
            "convert class labels with .astype('int64'), give probabilities in the logits' shape "
            f"{logits.shape}, or use mse_loss for other numbers"
        )
    return OperandError(f"{name}: {what} must be {kind}, not {found}; {fix}")
