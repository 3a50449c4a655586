"""Softmax, its logarithm, and the loss that both are for.

The maximum is subtracted before the exponential: the result is the same, and nothing overflows.
Formulas: Bishop, Pattern Recognition and Machine Learning, section 4.3.4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from backends import Array, active, xp
from scratchnet.core.function import Function, Operand, Sample
from scratchnet.errors import OperandError, ShapeError
from scratchnet.functions.comparison import where
from scratchnet.functions.elementwise import T, at_least_float32, exp, quiet
from scratchnet.functions.reduction import Reduction
from scratchnet.functions.shape import Axis, axes_of

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
        """The axis that sums to 1."""
        self.axis = axis

    @quiet
    def forward(self, x: Array) -> Array:
        """Positive values that sum to 1."""
        _check_floating("Softmax", x)
        (axis,) = axes_of("Softmax", self.axis, x) or (None,)
        wide = at_least_float32(x)
        e = xp.exp(wide - _maximum(wide, axis))
        y = (e / e.sum(axis=axis, keepdims=True)).astype(x.dtype, copy=False)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """That is y (grad - Σ grad · y)."""
        return y * (grad - (grad * y).sum(axis=self.axis, keepdims=True))


class LogSoftmax(Function):
    """log(softmax(x)) along an axis, without the loss of digits of taking the two in turn."""

    rule = "∂L/∂x = grad − softmax(x) · Σ(grad), Σ along the axis"
    operations = (5, 4)
    samples = SAMPLES

    def __init__(self, axis: int = -1) -> None:
        """The axis whose exponentials sum to 1."""
        self.axis = axis

    @quiet
    def forward(self, x: Array) -> Array:
        """That is x - log Σ exp(x)."""
        _check_floating("LogSoftmax", x)
        (axis,) = axes_of("LogSoftmax", self.axis, x) or (None,)
        if not x.size:
            self.keep(x)
            return x
        wide = at_least_float32(x)
        shifted = wide - _maximum(wide, axis)
        y = shifted - xp.log(xp.exp(shifted).sum(axis=axis, keepdims=True))
        y = y.astype(x.dtype, copy=False)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """That is grad - softmax · Σ grad."""
        return grad - exp(y) * grad.sum(axis=self.axis, keepdims=True)


class SoftmaxCrossEntropy(Function):
    """Mean cross-entropy of softmax(logits) against labels, in one kernel."""

    rule = "∂L/∂logits = grad · (softmax(logits) − one_hot(labels)) / n, of n rows"
    operations = (6, 0, 0)
    samples = ([(2, 3), [0, 2]], {}), ([(3, 1), [[0], [0], [0]]], {})
    constants = ("gradient",)

    @quiet
    def forward(self, logits: Array, labels: Array) -> Array:
        """(n, classes) and (n,) or (n, 1) give a 0-d loss; its gradient is a by-product."""
        self.keep(logits)
        self.labels = labels_for(logits, labels)
        if (dtype := logits.dtype).char == "e":
            logits = at_least_float32(logits)
        loss, gradient = active().softmax_cross_entropy(logits, self.labels)
        self.gradient = gradient.astype(dtype, copy=False)
        return loss.astype(dtype, copy=False)

    def backward(self, grad: Any, logits: Any) -> tuple[Any, None]:
        """(softmax - one-hot) / n, times the gradient from above."""
        if not isinstance(grad, Operand):
            return self.gradient * grad, None
        rows, classes = logits.shape
        one_hot = self.labels[:, None] == xp.arange(classes)
        return (softmax(logits, axis=1) - one_hot.astype(logits.dtype)) * (grad * (1 / rows)), None


class LogSumExp(Reduction):
    """log(Σ exp(x)) along axes, without overflow."""

    rule = "∂L/∂x = grad · exp(x − y)"
    operations = (4, 3)

    @quiet
    def forward(self, x: Array) -> Array:
        """At least the maximum; −∞ where nothing is summed."""
        _check_floating("LogSumExp", x)
        axes = self.axes(x)
        wide = at_least_float32(x)
        highest = _maximum(wide, axes)
        highest = xp.where(xp.isinf(highest), 0, highest)
        with np.errstate(divide="ignore"):
            y = xp.log(xp.exp(wide - highest).sum(axis=axes, keepdims=True)) + highest
        y = y.astype(x.dtype, copy=False)
        y = y if self.keepdims else y.reshape(tuple(n for i, n in enumerate(x.shape) if i not in axes))
        self.keep(x, y)
        return y

    def backward(self, grad: Any, x: Any, y: Any) -> Any:
        """The softmax."""
        axes = self.axes(x)
        y = where(y == -math.inf, 0.0, y)
        return self.restore(grad, axes, x.shape) * exp(x - self.restore(y, axes, x.shape))


def logsumexp(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """log(Σ exp(x)) over all elements or the axes given, without overflow."""
    return LogSumExp(axis, keepdims).on(x)


def softmax(x: T, axis: int = -1) -> T:
    """Positive values that sum to 1 along the axis."""
    return Softmax(axis).on(x)


def log_softmax(x: T, axis: int = -1) -> T:
    """The logarithm of the softmax along the axis."""
    return LogSoftmax(axis).on(x)


def _maximum(x: Array, axes: Any) -> Array:
    """Along the axes, which stay with size 1; of no elements 0."""
    return x.max(axis=axes, keepdims=True) if x.size else x.sum(axis=axes, keepdims=True)


def _check_floating(name: str, x: Array) -> None:
    """Raise `OperandError` for integers: less their maximum, those without a sign wrap around."""
    if x.dtype.kind != "f":
        raise OperandError(f"{name}: an operand of {x.dtype}; it must be floating: .astype('float32')")


def labels_for(logits: Array, target: Any) -> Array:
    """The target of a softmax loss as (n,) labels, one for each row of the logits.

    Raises:
        ShapeError: the shapes do not fit, or the batch is empty.
        OperandError: the target is not of integers, or the logits are not floating.
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
        raise ShapeError(f"softmax_loss: logits of shape {shape}: an empty batch has no mean")
    return target if target.ndim == 1 else target.reshape(-1)


def _wrong_kind(logits: Any, target: Any) -> OperandError:
    name, operand, kind, fix = "logits", logits, "floating", "wrap them: Variable(...)"
    if getattr(getattr(logits, "dtype", None), "kind", "") == "f":
        name, operand, kind, fix = "targets", target, "integers", "convert with .astype('int64')"
    found = getattr(operand, "dtype", None) or type(operand).__name__
    return OperandError(f"softmax_loss: {name} must be {kind}, not {found}; {fix}")
