"""Other shapes, other orders of axes and other types of the same elements."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from backends import Array, xp
from backends.errors import kind_of
from scratchnet.core.function import Function
from scratchnet.errors import OperandError, ShapeError
from scratchnet.functions.elementwise import T

Axis: TypeAlias = int | tuple[int, ...] | None


def axes_of(name: str, axis: Any, x: Any, added: int = 0) -> tuple[int, ...]:
    """The axes of x that are meant, counted from the front; None means all.

    Of a 0-d array, 0 and -1 are taken for an axis, and name none: so NumPy does it.

    Args:
        name: the function's, for messages.
        axis: an integer, several, or None.
        x: a Variable or an array.
        added: how many more axes there are to be.

    Raises:
        ShapeError: there is no such axis, or one is named twice.
        OperandError: an axis is no integer, or x has no shape.
    """
    shape = getattr(x, "shape", None)
    if shape is None:
        raise OperandError(
            f"{name}: an operand is {kind_of(x)}, no Variable or array; wrap it: Variable(...)"
        )
    ndim = len(shape) + added
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    for each in given:
        if not isinstance(each, (int, np.integer)):
            raise OperandError(f"{name}: an axis is {kind_of(each)}; it must be an integer")
        if not -(ndim or 1) <= each < (ndim or 1):
            raise ShapeError(f"{name}: there is no axis {each} of {ndim}; the shape is {shape}")
    axes = tuple(int(each) % ndim for each in given) if ndim else ()
    if len(set(axes)) < len(axes):
        raise ShapeError(f"{name}: axis {axis} names an axis twice; the shape is {shape}")
    return axes


class Reshape(Function):
    """The same elements in another shape."""

    rule = "∂L/∂x = grad, in the shape of x"
    operations = (0, 0)
    samples = ([(2, 3)], {"shape": (3, 2)}), ([(2, 3)], {"shape": -1}), ([()], {"shape": (1, 1)})

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        """The new shape; one size may be -1."""
        self.shape = shape

    def forward(self, x: Array) -> Array:
        """A view where one is possible."""
        self.former = x.shape
        return x.reshape(self.shape)

    def backward(self, grad: Any) -> Any:
        """Back to the former shape."""
        return grad.reshape(self.former)


def reshape(x: T, shape: int | tuple[int, ...]) -> T:
    """The same elements in another shape; one size may be -1."""
    return Reshape(shape).on(x)


def ravel(x: T) -> T:
    """All elements along one axis."""
    return Reshape(-1).on(x)


def flatten(x: T) -> T:
    """All elements along one axis, as `ravel`."""
    return Reshape(-1).on(x)


def squeeze(x: T, axis: Axis = None) -> T:
    """Without the axes of size 1, or without those given.

    Raises:
        ShapeError: an axis given is of another size.
    """
    axes = axes_of("squeeze", axis, x)
    if axis is None:
        axes = tuple(i for i in axes if x.shape[i] == 1)
    for i in axes:
        if x.shape[i] != 1:
            raise ShapeError(f"squeeze: axis {i} of shape {x.shape} is not of size 1")
    return Reshape(tuple(size for i, size in enumerate(x.shape) if i not in axes)).on(x)


def expand_dims(x: T, axis: int | tuple[int, ...]) -> T:
    """With new axes of size 1, at these places of the result."""
    added = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = axes_of("expand_dims", axis, x, len(added))
    sizes = iter(x.shape)
    return Reshape(tuple(1 if i in axes else next(sizes) for i in range(x.ndim + len(added)))).on(x)


class BroadcastTo(Function):
    """The elements repeated along new axes and along axes of size 1."""

    rule = "∂L/∂x = grad, summed over the axes along which x was repeated"
    operations = (0, 1)
    samples = ([(3,)], {"shape": (2, 3)}), ([(2, 1)], {"shape": (4, 2, 3)}), ([()], {"shape": (0, 2)})

    def __init__(self, shape: tuple[int, ...]) -> None:
        """The new shape."""
        self.shape = shape

    def forward(self, x: Array) -> Array:
        """A view that cannot be written to."""
        return xp.broadcast_to(x, self.shape)

    def backward(self, grad: Any) -> Any:
        """The sweep sums it down."""
        return grad


def broadcast_to(x: T, shape: tuple[int, ...]) -> T:
    """The elements repeated to this shape, as NumPy broadcasts."""
    return BroadcastTo(shape).on(x)


def tile(x: T, reps: int | tuple[int, ...]) -> T:
    """The whole array again and again: so often along each axis, as `numpy.tile`."""
    axes_of("tile", None, x)
    times = tuple(reps) if isinstance(reps, (tuple, list)) else (reps,)
    ndim = max(x.ndim, len(times))
    shape, times = (1,) * (ndim - x.ndim) + x.shape, (1,) * (ndim - len(times)) + times
    pairs = list(zip(times, shape, strict=True))
    apart = reshape(x, tuple(size for pair in pairs for size in (1, pair[1])))
    repeated = broadcast_to(apart, tuple(size for pair in pairs for size in pair))
    return reshape(repeated, tuple(math.prod(pair) for pair in pairs))


class Transpose(Function):
    """The axes reversed, or in the order given."""

    rule = "∂L/∂x = grad, its axes put back"
    operations = (0, 0)
    samples = (
        ([(2, 3, 4)], {}),
        ([(2, 3, 4)], {"axes": (1, 2, 0)}),
        ([(2, 3)], {"axes": (-1, 0)}),
        ([()], {}),
    )

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


def transpose(x: T, axes: tuple[int, ...] | None = None) -> T:
    """The axes reversed, or in the order given."""
    return Transpose(axes).on(x)


def swapaxes(x: T, axis1: int, axis2: int) -> T:
    """Two axes exchanged."""
    axes = list(range(x.ndim))
    one, two = axes_of("swapaxes", (axis1,), x) + axes_of("swapaxes", (axis2,), x)
    axes[one], axes[two] = axes[two], axes[one]
    return Transpose(tuple(axes)).on(x)


def moveaxis(x: T, source: int | tuple[int, ...], destination: int | tuple[int, ...]) -> T:
    """Axes moved to other places; the others stay in their order.

    Raises:
        ShapeError: there are more sources than destinations, or fewer.
    """
    sources = axes_of("moveaxis", source, x)
    places = axes_of("moveaxis", destination, x)
    if len(sources) != len(places):
        raise ShapeError(f"moveaxis: {len(sources)} axes cannot go to {len(places)} places")
    order = [axis for axis in range(x.ndim) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return Transpose(tuple(order)).on(x)


class Roll(Function):
    """The elements moved along; those that leave at an end come in again at the other."""

    rule = "∂L/∂x = grad, moved back"
    operations = (0, 0)
    samples = (
        ([(2, 3)], {"shift": 1}),
        ([(2, 3)], {"shift": -4, "axis": 1}),
        ([(2, 3)], {"shift": (1, 2), "axis": (0, -1)}),
        ([(0, 2)], {"shift": 1, "axis": 0}),
    )

    def __init__(self, shift: int | tuple[int, ...], axis: Axis = None) -> None:
        """By how many places, and along which axes; None for all elements in their order."""
        self.shift, self.axis = shift, axis

    def forward(self, x: Array) -> Array:
        """A copy."""
        return xp.roll(x, self.shift, self.axis)

    def backward(self, grad: Any) -> Any:
        """As many places in the other direction."""
        shift = tuple(-n for n in self.shift) if isinstance(self.shift, tuple) else -self.shift
        return roll(grad, shift, self.axis)


def roll(x: T, shift: int | tuple[int, ...], axis: Axis = None) -> T:
    """The elements moved along an axis; those that leave at an end come in again at the other."""
    return Roll(shift, axis).on(x)


class AsType(Function):
    """The elements in another type."""

    rule = "∂L/∂x = grad, in the type of x"
    operations = (0, 0)
    samples = ([(2, 3)], {"dtype": "float64"}), ([()], {"dtype": "float64"})

    def __init__(self, dtype: Any) -> None:
        """The new type."""
        self.dtype = dtype

    def forward(self, x: Array) -> Array:
        """A copy."""
        return x.astype(self.dtype)

    def backward(self, grad: Any) -> Any:
        """The sweep converts it back."""
        return grad


def astype(x: T, dtype: Any) -> T:
    """The elements in another type."""
    return AsType(dtype).on(x)
