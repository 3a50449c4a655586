"""Sums, means and maxima over some or all axes."""

from __future__ import annotations

from typing import TypeAlias

from backends import Array, xp
from scratchnet.core.function import Function
from scratchnet.errors import ShapeError

Axis: TypeAlias = int | tuple[int, ...] | None


class Reduction(Function):
    """Over all elements (`axis=None`), or along one axis or several."""

    def __init__(self, axis: Axis = None, keepdims: bool = False) -> None:
        """The axes, and whether they stay with size 1."""
        self.axis, self.keepdims = axis, keepdims

    def restore(self, array: Array) -> Array:
        """An array of the result's shape with the reduced axes back, of size 1."""
        if self.keepdims or self.axis is None:
            return array
        return xp.expand_dims(array, self.axis)


class Sum(Reduction):
    """The sum."""

    rule = "∂L/∂x = grad, the same for every element summed"

    def forward(self, x: Array) -> Array:
        """The sum, of the operand's dtype."""
        self.shape = x.shape
        return x.sum(axis=self.axis, keepdims=self.keepdims)

    def backward(self, grad: Array) -> Array:
        """The same for every element summed."""
        return xp.broadcast_to(self.restore(grad), self.shape)


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

    def backward(self, grad: Array) -> Array:
        """The same for every element, divided by their number."""
        number = max(self.size // max(grad.size, 1), 1)
        return xp.broadcast_to(self.restore(grad) * (1 / number), self.shape)


class Max(Reduction):
    """The maximum. Elements that tie for it share the gradient equally."""

    rule = "∂L/∂x = grad · (x = y) / ties, where ties is how many elements share the maximum"

    def forward(self, x: Array) -> Array:
        """The maximum."""
        self.x = x
        self.y = x.max(axis=self.axis, keepdims=self.keepdims)
        return self.y

    def backward(self, grad: Array) -> Array:
        """To the elements that equal the maximum."""
        winners = (self.x == self.restore(self.y)).astype(grad.dtype)
        ties = winners.sum(axis=self.axis, keepdims=True)
        return self.restore(grad) * winners / xp.maximum(ties, 1)  # NaN equals nothing: no ties
