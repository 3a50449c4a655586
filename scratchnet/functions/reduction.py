"""Reductions over some or all axes: sum, mean, maximum and minimum, product, variance and norm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from backends import Array, active, xp
from scratchnet.core.function import Function, T, array_of, plain
from scratchnet.errors import SettingError, ShapeError
from scratchnet.functions.comparison import masked, where
from scratchnet.functions.elementwise import absolute, at_least_float32, sqrt, square
from scratchnet.functions.joining import concatenate
from scratchnet.functions.shape import (
    Axis,
    astype,
    axes_of,
    broadcast_to,
    in_float32,
    ravel,
    reshape,
    transpose,
)


class Reduction(Function):
    """Base class of reductions over all elements (`axis=None`), or along one axis or several."""

    samples = (
        ([(2, 3)], {}),
        ([(2, 3)], {"axis": 1}),
        ([(2, 3, 4)], {"axis": (0, -1), "keepdims": True}),
        ([()], {"axis": 0}),
        ([(0, 2)], {"axis": 1}),
    )

    def __init__(self, axis: Axis = None, keepdims: bool = False) -> None:
        """Set the axes, and whether they stay in the result with size 1."""
        self.axis, self.keepdims = axis, keepdims

    def axes(self, x: Any) -> tuple[int, ...]:
        """Return the axes to reduce, as positions counted from the front."""
        return axes_of(type(self).__name__, self.axis, x)

    def restore(self, array: Any, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
        """Put the reduced axes back into an array of the result's shape, each with size 1."""
        if array.ndim in (0, len(shape)):
            return array
        return array.reshape(tuple(1 if i in axes else size for i, size in enumerate(shape)))


class Sum(Reduction):
    """The sum."""

    rule = "∂L/∂x = grad, the same for every element summed"
    operations = (1, 0)

    def forward(self, x: Array) -> Array:
        """The sum, with the operand's dtype; float16 is added in float32."""
        self.shape, self.reduced = x.shape, self.axes(x)
        return active().sum(x, axis=self.reduced, keepdims=self.keepdims)

    def backward(self, grad: Any) -> Any:
        """Pass grad to every summed element."""
        return broadcast_to(self.restore(grad, self.reduced, self.shape), self.shape)


def sum(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """Return the sum over the given axes.

    Args:
        x: a Variable or an array of any shape.
        axis: an axis or several; None means all axes.
        keepdims: whether the axes stay in the result with size 1.

    Returns:
        A Variable or an array. If x is floating-point, it has the dtype of x.

    Raises:
        ShapeError: x has no such axis, or an axis is given twice.
    """
    return Sum(axis, keepdims).on(x)


class Mean(Reduction):
    """The mean."""

    rule = "∂L/∂x = grad / n, the same for each of the n elements of a mean"
    operations = (1, 0)

    def forward(self, x: Array) -> Array:
        """The mean, with the operand's dtype.

        Raises:
            ShapeError: there are no elements to average.
        """
        self.shape, self.reduced = x.shape, self.axes(x)
        self.number = _some_elements("Mean", self.axis, x, "to average")
        return x.mean(axis=self.reduced, keepdims=self.keepdims)

    def backward(self, grad: Any) -> Any:
        """Pass grad / n to each of the n averaged elements."""
        grad = self.restore(grad, self.reduced, self.shape)
        share = in_float32(lambda each: each * (1 / self.number), grad)
        return broadcast_to(share, self.shape)


def mean(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """Return the mean over the given axes; the arguments are those of `sum`.

    Raises:
        ShapeError: x has no such axis, an axis is given twice, or there are no elements to average.
    """
    return Mean(axis, keepdims).on(x)


class Max(Reduction):
    """The maximum. Elements that are equal to it share the gradient equally."""

    rule = "∂L/∂x = grad · (x = y) / ties, where ties is how many elements share the maximum"
    operations = (1, 4)
    extreme = "max"  # the method of arrays that finds it

    def forward(self, x: Array) -> Array:
        """The extreme; NaN if one of the elements is NaN."""
        _some_elements(type(self).__name__, self.axis, x, "to choose from")
        y = getattr(x, self.extreme)(axis=self.axes(x), keepdims=self.keepdims)
        self.keep(x, y)
        return y

    def backward(self, grad: Any, x: Any, y: Any) -> Any:
        """Pass grad, in equal parts, to the elements that are equal to the result."""
        axes = self.axes(x)
        winners = xp.asarray(x == self.restore(y, axes, x.shape))
        ties = xp.maximum(winners.sum(axis=axes, keepdims=True), 1)  # NaN equals nothing: no ties
        share = self.restore(grad, axes, x.shape) * xp.asarray(1 / ties).astype(grad.dtype)
        return masked(share, winners)


def max(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """Return the maximum over the given axes; the arguments are those of `sum`.

    Elements that are equal to the maximum share the gradient equally.

    Raises:
        ShapeError: x has no such axis, an axis is given twice, or there are no elements.
    """
    return Max(axis, keepdims).on(x)


class Min(Max):
    """The minimum. Elements that are equal to it share the gradient equally."""

    rule = "∂L/∂x = grad · (x = y) / ties, where ties is how many elements share the minimum"
    extreme = "min"


def min(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """Return the minimum over the given axes; the arguments are those of `sum`.

    Elements that are equal to the minimum share the gradient equally.

    Raises:
        ShapeError: x has no such axis, an axis is given twice, or there are no elements.
    """
    return Min(axis, keepdims).on(x)


class CumSum(Function):
    """The cumulative sum: at each place along an axis, the sum of the elements up to that place."""

    rule = "∂L/∂x = grad, summed from each place to the end of the axis"
    operations = (1, 1)
    samples = ([(2, 3)], {"axis": 1}), ([(2, 3)], {"axis": 0}), ([(0, 2)], {"axis": 0})

    def __init__(self, axis: int) -> None:
        """Set the axis."""
        self.axis = axis

    def forward(self, x: Array) -> Array:
        """The sums, with the operand's dtype; float16 is added in float32."""
        (axis,) = axes_of("cumsum", self.axis, x, one=True)
        sums = xp.cumsum(at_least_float32(x) if x.dtype.kind == "f" else x, axis)
        return sums.astype(x.dtype, copy=False) if x.dtype.kind == "f" else sums

    def backward(self, grad: Any) -> Any:
        """The cumulative sum of grad from the end of the axis."""
        backwards = (slice(None),) * (self.axis % grad.ndim) + (slice(None, None, -1),)
        return CumSum(self.axis).on(grad[backwards])[backwards]


def cumsum(x: T, axis: int | None = None) -> T:
    """Return the sum of the elements up to each place along an axis.

    Args:
        x: a Variable or an array of any shape.
        axis: the axis; None flattens x first.

    Raises:
        OperandError: the axis is not one integer.
        ShapeError: x has no such axis.
    """
    axes_of("cumsum", axis, x, one=axis is not None)
    return CumSum(0).on(ravel(x)) if axis is None or not x.ndim else CumSum(axis).on(x)


def prod(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """Return the product over the given axes; the arguments are those of `sum`.

    We multiply neighboring elements until one is left. No step divides, so the gradient is correct also
    if an element is 0.

    Raises:
        ShapeError: x has no such axis, or an axis is given twice.
    """
    axes = axes_of("prod", axis, x)
    if x.dtype.kind != "f":
        x = astype(x, "uint64" if x.dtype.kind == "u" else "int64")  # as NumPy does, so that it fits
    return in_float32(lambda each: _prod(each, axes, keepdims), x)


def _prod(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    others = [i for i in range(x.ndim) if i not in axes]
    sizes = tuple(x.shape[i] for i in others)
    number = math.prod(x.shape[i] for i in axes)
    rows = reshape(transpose(x, (*axes, *others)), (number, *sizes))
    if number == 1:
        rows = rows * 1  # an array of its own, and no view of x
    while number > 1:
        half, odd = divmod(number, 2)
        pairs = rows[0 : 2 * half : 2] * rows[1 : 2 * half : 2]
        rows, number = concatenate([pairs, rows[-1:]]) if odd else pairs, half + odd
    if not number:
        rows = sum(rows, axis=0) + 1  # the product of no elements is 1
    return reshape(
        rows, tuple(1 if i in axes else n for i, n in enumerate(x.shape)) if keepdims else sizes
    )


def var(x: T, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> T:
    """Return the variance over the given axes.

    Args:
        x: a Variable or an array with n elements along the axes.
        axis: an axis or several; None means all axes.
        ddof: the sum of squares is divided by n - ddof, as in NumPy. 1 gives the unbiased estimate,
            which is the default of PyTorch.
        keepdims: whether the axes stay in the result with size 1.

    Raises:
        ShapeError: n - ddof is not positive, or x has no such axis.
    """
    number = _elements("var", axis, x)
    if number <= ddof:
        raise ShapeError(
            f"var: {number} elements and ddof={ddof}: the sum of squares cannot be divided by "
            f"{number - ddof}; give more elements or a smaller ddof"
        )
    return in_float32(lambda each: _var(each, axis, number / (number - ddof), keepdims), x)


def _var(x: Any, axis: Axis, factor: float, keepdims: bool) -> Any:
    squares = mean(square(x - mean(x, axis, keepdims=True)), axis, keepdims)
    return squares if factor == 1 else squares * factor


def std(x: T, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> T:
    """Return the standard deviation, the square root of `var` with the same arguments.

    Where the deviation is 0, the gradient is 0.

    Raises:
        ShapeError: n - ddof is not positive, or x has no such axis.
    """
    axes_of("std", axis, x)
    return in_float32(
        lambda each: _scaled(lambda at: var(at, axis, ddof, True), each, axis, keepdims), _floating(x)
    )


def norm(x: T, ord: float | None = None, axis: Axis = None, keepdims: bool = False) -> T:
    """Return the norm of vectors, (Σ |x|^ord)^(1/ord). Where the norm is 0, the gradient is 0.

    Args:
        x: a Variable or an array of any shape.
        ord: the order; None means 2. `math.inf` and `-math.inf` give the largest and the smallest
            magnitude.
        axis: the axes along which the vectors lie; None takes all elements as one vector.
        keepdims: whether the axes stay in the result with size 1.

    Raises:
        SettingError: ord is 0 or not a number.
        ShapeError: x has no such axis.
    """
    axes = axes_of("norm", axis, x)
    x = _floating(x)
    if ord is not None and len(axes) > 1:
        raise SettingError(
            f"norm: ord is {ord!r} for several axes, where NumPy has norms of matrices; leave it out "
            "for the root of the sum of squares, or give one axis or ravel(x)"
        )
    ord = 2 if ord is None else plain(ord)
    if not isinstance(ord, (int, float)) or not ord:
        raise SettingError(f"norm: ord is {ord!r}; it must be a number other than 0, or None for 2")
    return in_float32(lambda each: _norm(each, ord, axis, keepdims), x)


def _norm(x: Any, ord: float, axis: Axis, keepdims: bool) -> Any:
    if ord == 2:
        return _scaled(lambda at: sum(square(at), axis, True), x, axis, keepdims)
    size = absolute(x)
    if ord in (1, math.inf, -math.inf):
        return (sum if ord == 1 else max if ord > 0 else min)(size, axis, keepdims)
    zero = size == 0
    powers = where(zero, 0.0 if ord > 0 else math.inf, where(zero, 1.0, size) ** ord)
    total = sum(powers, axis, keepdims)
    none = total == 0
    return where(none, 0.0 if ord > 0 else math.inf, where(none, 1.0, total) ** (1 / ord))


def _floating(x: Any) -> Any:
    """Return x; integers as float64, as NumPy's norm and std do."""
    return x if x.dtype.kind == "f" else astype(x, "float64")


def _scaled(total: Callable[[Any], Any], x: Any, axis: Axis, keepdims: bool) -> Any:
    """Return the square root of a sum of squares, with gradient 0 where the root is 0.

    Very large and very small numbers are first divided by a power of 2, so that no square overflows or
    underflows. This changes no digit.

    Args:
        total: a function that computes the sum of squares, with the reduced axes kept.
        x: a Variable or an array.
        axis: the axes that `total` reduces.
        keepdims: whether these axes stay in the result.
    """
    axes, scale = axes_of("norm", axis, x), 1.0
    if x.size:
        highest = xp.abs(array_of(x)).max(axis=axes, keepdims=True)
        _, exponent = xp.frexp(xp.where(xp.isfinite(highest), highest, 1))
        far = xp.abs(exponent) > np.finfo(x.dtype).maxexp // 3
        scale = xp.ldexp(xp.ones(exponent.shape, x.dtype), xp.where(far, exponent - 1, 0))
    squares = total(x / scale)
    none = squares == 0
    root = where(none, 0.0, sqrt(where(none, 1.0, squares))) * scale
    return (
        root if keepdims else reshape(root, tuple(n for i, n in enumerate(root.shape) if i not in axes))
    )


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Array:
    """Return the position of the maximum along an axis, as an array of integers.

    Args:
        x: a Variable or an array of any shape.
        axis: the axis; None gives the position in the flattened array.
        keepdims: whether the axis stays in the result with size 1.

    Returns:
        An array without gradient. If several elements are equal to the maximum, the first one counts.

    Raises:
        ShapeError: x has no such axis.
    """
    return _place("argmax", x, axis, keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Array:
    """Return the position of the minimum along an axis, as an array of integers.

    Args:
        x: a Variable or an array of any shape.
        axis: the axis; None gives the position in the flattened array.
        keepdims: whether the axis stays in the result with size 1.

    Returns:
        An array without gradient. If several elements are equal to the minimum, the first one counts.

    Raises:
        ShapeError: x has no such axis.
    """
    return _place("argmin", x, axis, keepdims)


def _place(name: str, x: Any, axis: int | None, keepdims: bool) -> Array:
    array = array_of(x)
    axes_of(name, axis, array, one=axis is not None)
    _some_elements(name, axis, array, "to choose from")
    return active().as_array(
        getattr(xp, name)(array, axis=axis if array.ndim else None, keepdims=keepdims)
    )


def _elements(name: str, axis: Any, x: Any) -> int:
    """Return the number of elements along the axes."""
    return math.prod(x.shape[i] for i in axes_of(name, axis, x))


def _some_elements(name: str, axis: Any, x: Any, use: str) -> int:
    """Return the number of elements along the axes.

    Raises:
        ShapeError: there is none; `use` says in the message what for.
    """
    if not (number := _elements(name, axis, x)):
        raise ShapeError(
            f"{name}: shape {x.shape} along axis {axis} has no elements {use}; give at least one"
        )
    return number
