"""Sums, means, extremes and what is made of them, over some or all axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from backends import Array, active, xp
from scratchnet.core.function import Function, array_of
from scratchnet.errors import SettingError, ShapeError
from scratchnet.functions.comparison import where
from scratchnet.functions.elementwise import T, absolute, at_least_float32, sqrt, square
from scratchnet.functions.joining import concatenate
from scratchnet.functions.shape import Axis, astype, axes_of, broadcast_to, ravel, reshape, transpose


class Reduction(Function):
    """Over all elements (`axis=None`), or along one axis or several."""

    samples = (
        ([(2, 3)], {}),
        ([(2, 3)], {"axis": 1}),
        ([(2, 3, 4)], {"axis": (0, -1), "keepdims": True}),
        ([()], {"axis": 0}),
        ([(0, 2)], {"axis": 1}),
    )

    def __init__(self, axis: Axis = None, keepdims: bool = False) -> None:
        """The axes, and whether they stay with size 1."""
        self.axis, self.keepdims = axis, keepdims

    def axes(self, x: Any) -> tuple[int, ...]:
        """The axes reduced, counted from the front."""
        return axes_of(type(self).__name__, self.axis, x)

    def restore(self, array: Any, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
        """An array of the result's shape with the reduced axes of an operand's shape back, of size 1."""
        if array.ndim in (0, len(shape)):
            return array
        return array.reshape(tuple(1 if i in axes else size for i, size in enumerate(shape)))


class Sum(Reduction):
    """The sum."""

    rule = "∂L/∂x = grad, the same for every element summed"
    operations = (1, 0)

    def forward(self, x: Array) -> Array:
        """The sum, of the operand's dtype; float16 is added up in float32."""
        self.shape, self.reduced = x.shape, self.axes(x)
        return active().sum(x, axis=self.reduced, keepdims=self.keepdims)

    def backward(self, grad: Any) -> Any:
        """The same for every element summed."""
        return broadcast_to(self.restore(grad, self.reduced, self.shape), self.shape)


def sum(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """The sum over all elements or the axes given."""
    return Sum(axis, keepdims).on(x)


class Mean(Reduction):
    """The mean."""

    rule = "∂L/∂x = grad / n, the same for each of the n elements of a mean"
    operations = (1, 0)

    def forward(self, x: Array) -> Array:
        """The mean, of the operand's dtype.

        Raises:
            ShapeError: it would be one of no elements.
        """
        self.shape, self.reduced = x.shape, self.axes(x)
        self.number = math.prod(x.shape[axis] for axis in self.reduced)
        if not self.number:
            raise ShapeError(
                f"Mean: shape {x.shape} along axis {self.axis}: there is no mean of no elements"
            )
        return x.mean(axis=self.reduced, keepdims=self.keepdims)

    def backward(self, grad: Any) -> Any:
        """The same for every element, divided by their number."""
        share = self.restore(grad, self.reduced, self.shape) * (1 / self.number)
        return broadcast_to(share, self.shape)


def mean(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """The mean over all elements or the axes given."""
    return Mean(axis, keepdims).on(x)


class Max(Reduction):
    """The maximum. Elements that tie for it share the gradient equally."""

    rule = "∂L/∂x = grad · (x = y) / ties, where ties is how many elements share the maximum"
    operations = (1, 4)

    def forward(self, x: Array) -> Array:
        """The maximum; NaN where one of the elements is."""
        y = x.max(axis=self.axes(x), keepdims=self.keepdims)
        self.keep(x, y)
        return y

    def backward(self, grad: Any, x: Any, y: Any) -> Any:
        """To the elements that equal the extreme."""
        axes = self.axes(x)
        winners = xp.asarray(x == self.restore(y, axes, x.shape))
        ties = xp.maximum(winners.sum(axis=axes, keepdims=True), 1)  # NaN equals nothing: no ties
        return self.restore(grad, axes, x.shape) * (winners / ties).astype(grad.dtype)


def max(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """The maximum over all elements or the axes given; ties share the gradient."""
    return Max(axis, keepdims).on(x)


class Min(Max):
    """The minimum. Elements that tie for it share the gradient equally."""

    rule = "∂L/∂x = grad · (x = y) / ties, where ties is how many elements share the minimum"

    def forward(self, x: Array) -> Array:
        """The minimum; NaN where one of the elements is."""
        y = x.min(axis=self.axes(x), keepdims=self.keepdims)
        self.keep(x, y)
        return y


def min(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """The minimum over all elements or the axes given; ties share the gradient."""
    return Min(axis, keepdims).on(x)


class CumSum(Function):
    """At each place along an axis, the sum of the elements up to there."""

    rule = "∂L/∂x = grad, summed from each place to the end of the axis"
    operations = (1, 1)
    samples = ([(2, 3)], {"axis": 1}), ([(2, 3)], {"axis": 0}), ([(0, 2)], {"axis": 0})

    def __init__(self, axis: int) -> None:
        """The axis."""
        self.axis = axis

    def forward(self, x: Array) -> Array:
        """The sums, of the operand's dtype; float16 is added up in float32."""
        (axis,) = axes_of("cumsum", self.axis, x)
        sums = xp.cumsum(at_least_float32(x), axis)
        return sums.astype(x.dtype, copy=False) if x.dtype.kind == "f" else sums

    def backward(self, grad: Any) -> Any:
        """The sums from the end."""
        backwards = (slice(None),) * (self.axis % grad.ndim) + (slice(None, None, -1),)
        return CumSum(self.axis).on(grad[backwards])[backwards]


def cumsum(x: T, axis: int | None = None) -> T:
    """The sum up to each place along an axis; along all elements in their order if None."""
    return CumSum(0).on(ravel(x)) if axis is None or not x.ndim else CumSum(axis).on(x)


def prod(x: T, axis: Axis = None, keepdims: bool = False) -> T:
    """The product over all elements or the axes given. Its gradient is right at zeros too.

    Halves are multiplied with each other until one is left.
    """
    axes = axes_of("prod", axis, x)
    if x.dtype.kind != "f":
        x = astype(x, "int64")  # as NumPy does, so that it fits
    others = [i for i in range(x.ndim) if i not in axes]
    sizes = tuple(x.shape[i] for i in others)
    number = math.prod(x.shape[i] for i in axes)
    rows = reshape(transpose(x, (*axes, *others)), (number, *sizes))
    while number > 1:
        half, odd = divmod(number, 2)
        pairs = rows[:half] * rows[half : 2 * half]
        rows, number = concatenate([pairs, rows[-1:]]) if odd else pairs, half + odd
    if not number:
        rows = sum(rows, axis=0) + 1  # the product of nothing
    return reshape(
        rows, tuple(1 if i in axes else n for i, n in enumerate(x.shape)) if keepdims else sizes
    )


def var(x: T, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> T:
    """The variance over all elements or the axes given.

    Args:
        x: a Variable or an array of n elements along the axes.
        axis: the axes; None for all.
        ddof: the sum of squares is divided by n - ddof, as in NumPy. 1 gives the unbiased estimate,
            which is PyTorch's default.
        keepdims: whether the axes stay with size 1.

    Raises:
        ShapeError: n - ddof is not positive.
    """
    number = math.prod(x.shape[i] for i in axes_of("var", axis, x))
    if number <= ddof:
        raise ShapeError(
            f"var: {number} elements and ddof={ddof}: the sum of squares cannot be divided by "
            f"{number - ddof}; there must be more elements"
        )
    squares = mean(square(x - mean(x, axis, keepdims=True)), axis, keepdims)
    return squares * (number / (number - ddof)) if ddof else squares


def std(x: T, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> T:
    """The standard deviation, the root of `var`; where it is 0, so is its gradient."""
    return _root(var(x, axis, ddof, keepdims))


def norm(x: T, ord: float | None = None, axis: Axis = None, keepdims: bool = False) -> T:
    """The norm of vectors, (Σ |x|^ord)^(1/ord); where it is 0, so is its gradient.

    Args:
        x: a Variable or an array.
        ord: 2 if None. `math.inf` and `-math.inf` give the largest and the smallest magnitude.
        axis: the axes along which the vectors lie; None takes all elements as one vector.
        keepdims: whether the axes stay with size 1.

    Raises:
        SettingError: ord is 0 or no number.
    """
    ord = 2 if ord is None else ord
    if not isinstance(ord, (int, float)) or not ord:
        raise SettingError(f"norm: ord is {ord!r}; it must be a number other than 0, or None for 2")
    if x.dtype.char == "e":  # its squares would leave the range of float16
        return astype(norm(astype(x, "float32"), ord, axis, keepdims), "float16")
    if ord == 2:
        return _root(sum(square(x), axis, keepdims))
    size = absolute(x)
    if ord in (1, float("inf"), float("-inf")):
        return (sum if ord == 1 else max if ord > 0 else min)(size, axis, keepdims)
    total = sum(size**ord, axis, keepdims)
    return where(total == 0, 0.0, where(total == 0, 1.0, total) ** (1 / ord))


def _root(total: Any) -> Any:
    """The square root, whose gradient is 0 where it is 0."""
    return where(total == 0, 0.0, sqrt(where(total == 0, 1.0, total)))


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Array:
    """Where the maximum is along an axis, the first of those that tie: an array of integers."""
    return _place(xp.argmax, x, axis, keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Array:
    """Where the minimum is along an axis, the first of those that tie: an array of integers."""
    return _place(xp.argmin, x, axis, keepdims)


def _place(find: Callable[..., Any], x: Any, axis: int | None, keepdims: bool) -> Array:
    array = array_of(x)
    axes_of(find.__name__, axis, array)
    return active().as_array(find(array, axis=axis if array.ndim else None, keepdims=keepdims))
