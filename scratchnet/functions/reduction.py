"""Sums, means and maxima over some or all axes."""

from __future__ import annotations

from typing import Any, TypeAlias

from backends import Array, xp
from scratchnet.core.function import Function
from scratchnet.errors import ShapeError
from scratchnet.functions.shape import broadcast_to

Axis: TypeAlias = int | tuple[int, ...] | None


class Reduction(Function):
    """Over all elements (`axis=None`), or along one axis or several."""

    def __init__(self, axis: Axis = None, keepdims: bool = False) -> None:
        """The axes, and whether they stay with size 1."""
        self.axis, self.keepdims = axis, keepdims

    def restore(self, array: Any, shape: tuple[int, ...]) -> Any:
        """An array of the result's shape with the reduced axes of an operand's shape back, of size 1."""
        if self.keepdims or self.axis is None:
            return array
        axes = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        reduced = {axis % len(shape) for axis in axes}
        return array.reshape(tuple(1 if i in reduced else size for i, size in enumerate(shape)))


class Sum(Reduction):
    """The sum."""

    rule = "∂L/∂x = grad, the same for every element summed"

    def forward(self, x: Array) -> Array:
        """The sum, of the operand's dtype."""
        self.shape = x.shape
        return x.sum(axis=self.axis, keepdims=self.keepdims)

    def backward(self, grad: Any) -> Any:
        """The same for every element summed."""
        return broadcast_to(self.restore(grad, self.shape), self.shape)


class Mean(Reduction):
    """The mean."""

    rule = "∂L/∂x = grad / n, the same for each of the n elements of a mean"

    def forward(self, x: Array) -> Array:
        """The mean, of the operand's dtype.

        Raises:
            ShapeError: it would be one of no elements.
        """
        self.shape, self.size = x.shape, x.size
        if not x.size and x.sum(axis=self.axis).size:
            raise ShapeError(
                f"Mean: shape {x.shape} along axis {self.axis}: there is no mean of no elements"
            )
        return x.mean(axis=self.axis, keepdims=self.keepdims)

    def backward(self, grad: Any) -> Any:
        """The same for every element, divided by their number."""
        number = max(self.size // max(grad.size, 1), 1)
        return broadcast_to(self.restore(grad, self.shape) * (1 / number), self.shape)


class Max(Reduction):
    """The maximum. Elements that tie for it share the gradient equally."""

    rule = "∂L/∂x = grad · (x = y) / ties, where ties is how many elements share the maximum"

    def forward(self, x: Array) -> Array:
        """The maximum."""
        y = x.max(axis=self.axis, keepdims=self.keepdims)
        self.keep(x, y)
        return y

    def backward(self, grad: Any, x: Any, y: Any) -> Any:
        """To the elements that equal the maximum."""
        winners = (x == self.restore(y, x.shape)).astype(grad.dtype)
        ties = winners.sum(axis=self.axis, keepdims=True)
        shares = winners / xp.maximum(ties, 1)  # NaN equals nothing: no ties
        return self.restore(grad, x.shape) * shares
