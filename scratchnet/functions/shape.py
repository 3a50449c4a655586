"""Other shapes, other orders of axes and other types of the same elements."""

from __future__ import annotations

from typing import Any

from backends import Array, xp
from scratchnet.core.function import Function


class Reshape(Function):
    """The same elements in another shape."""

    rule = "∂L/∂x = grad, in the shape of x"

    def __init__(self, shape: tuple[int, ...]) -> None:
        """The new shape; one size may be -1."""
        self.shape = shape

    def forward(self, x: Array) -> Array:
        """A view where one is possible."""
        self.former = x.shape
        return x.reshape(self.shape)

    def backward(self, grad: Any) -> Any:
        """Back to the former shape."""
        return grad.reshape(self.former)


class BroadcastTo(Function):
    """The elements repeated along new axes and along axes of size 1."""

    rule = "∂L/∂x = grad, summed over the axes along which x was repeated"

    def __init__(self, shape: tuple[int, ...]) -> None:
        """The new shape."""
        self.shape = shape

    def forward(self, x: Array) -> Array:
        """A view that cannot be written to."""
        return xp.broadcast_to(x, self.shape)

    def backward(self, grad: Any) -> Any:
        """The sweep sums it down."""
        return grad


class Transpose(Function):
    """The axes reversed, or in the order given."""

    rule = "∂L/∂x = grad, its axes put back"

    def __init__(self, axes: tuple[int, ...] | None = None) -> None:
        """The order of the axes; None reverses them."""
        self.axes = axes

    def forward(self, x: Array) -> Array:
        """A view."""
        return xp.transpose(x, self.axes)

    def backward(self, grad: Any) -> Any:
        """The axes back in their places."""
        if self.axes is None:
            return transpose(grad)
        back = [0] * grad.ndim
        for to, source in enumerate(self.axes):
            back[source] = to
        return transpose(grad, tuple(back))


class AsType(Function):
    """The elements in another type."""

    rule = "∂L/∂x = grad, in the type of x"

    def __init__(self, dtype: Any) -> None:
        """The new type."""
        self.dtype = dtype

    def forward(self, x: Array) -> Array:
        """A copy."""
        return x.astype(self.dtype)

    def backward(self, grad: Any) -> Any:
        """The sweep converts it back."""
        return grad


def reshape(x: Any, shape: tuple[int, ...]) -> Any:
    """The same elements in another shape; one size may be -1."""
    return Reshape(shape).on(x)


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Any:
    """The elements repeated to this shape, as NumPy broadcasts."""
    return BroadcastTo(shape).on(x)


def transpose(x: Any, axes: tuple[int, ...] | None = None) -> Any:
    """The axes reversed, or in the order given."""
    return Transpose(axes).on(x)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged."""
    axes = list(range(x.ndim))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return Transpose(tuple(axes)).on(x)


def astype(x: Any, dtype: Any) -> Any:
    """The elements in another type."""
    return AsType(dtype).on(x)
