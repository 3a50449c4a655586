"""The same elements with another shape, another order of axes or another dtype."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from backends import Array, xp
from backends.errors import kind_of
from scratchnet.core.function import Function, T
from scratchnet.errors import OperandError, ShapeError

Axis: TypeAlias = int | tuple[int, ...] | None


def axes_of(name: str, axis: Any, x: Any, added: int = 0, one: bool = False) -> tuple[int, ...]:
    """Return axes of x as positions counted from the front.

    As in NumPy, a 0-d array accepts the axes 0 and -1, although it has no axis; the result is empty.

    Args:
        name: the name of the function, for messages.
        axis: an integer, several integers, or None for all axes.
        x: a Variable or an array.
        added: how many axes the result has in addition to those of x.

        one: whether only a single integer is allowed.

    Raises:
        ShapeError: x has no such axis, or an axis is given twice.
        OperandError: an axis is not an integer, or x has no shape.
    """
    shape = getattr(x, "shape", None)
    if shape is None:
        raise OperandError(
            f"{name}: an operand is {kind_of(x)}, not a Variable or an array; wrap it: Variable(...)"
        )
    if one and not isinstance(axis, (int, np.integer)):
        raise OperandError(f"{name}: the axis is {axis!r}; give one integer")
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
        raise ShapeError(f"{name}: axis {axis} contains an axis twice; the shape is {shape}")
    return axes


def shape_of(name: str, what: str, operand: Any) -> tuple[int, ...]:
    """Return the shape of a Variable or an array.

    Raises:
        OperandError: it is something else. `name` is the function or the layer, for the message.
    """
    shape: tuple[int, ...] | None = getattr(operand, "shape", None)
    if shape is None:
        raise OperandError(f"{name}: {what} is {kind_of(operand)}; wrap it: Variable({what})")
    return shape


def check_floating(name: str, what: str, operand: Any) -> None:
    """Raise `OperandError` unless the operand is a floating Variable or array."""
    shape_of(name, what, operand)
    if operand.dtype.kind != "f":
        raise OperandError(
            f"{name}: {what} has dtype {operand.dtype}; it must be floating: .astype('float32')"
        )


def integer(name: str, what: str, given: Any) -> int:
    """Return one integer.

    Raises:
        OperandError: it is something else. `name` is the function and `what` its argument.
    """
    try:
        return operator.index(given)
    except TypeError:
        raise OperandError(f"{name}: {what} is {given!r}; it must be an integer") from None


def integers(name: str, what: str, given: Any) -> tuple[int, ...]:
    """Return one integer or several as a tuple of integers.

    Raises:
        OperandError: they are something else. `name` is the function and `what` its argument.
    """
    several = given.tolist() if isinstance(given, np.ndarray) else given
    each = tuple(several) if np.iterable(several) and not isinstance(several, str) else (several,)
    if not all(isinstance(number, (int, np.integer)) for number in each):
        raise OperandError(f"{name}: {what} is {given!r}; it must be an integer, or several")
    return tuple(int(number) for number in each)


class Reshape(Function):
    """The same elements in another shape."""

    rule = "∂L/∂x = grad, in the shape of x"
    operations = (0, 0)
    samples = ([(2, 3)], {"shape": (3, 2)}), ([(2, 3)], {"shape": -1}), ([()], {"shape": (1, 1)})

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        """Set the new shape; one size may be -1."""
        self.shape = shape

    def forward(self, x: Array) -> Array:
        """The reshaped array; a view if possible."""
        self.former = x.shape
        return x.reshape(self.shape)

    def backward(self, grad: Any) -> Any:
        """Reshape grad to the shape of x."""
        return grad.reshape(self.former)


def reshape(x: T, shape: int | tuple[int, ...]) -> T:
    """Return the same elements in another shape.

    Args:
        x: a Variable or an array of any shape.
        shape: the new shape. One size may be -1; it follows from the number of elements.

    Raises:
        ShapeError: the new shape has another number of elements.
    """
    return Reshape(shape).on(x)


def ravel(x: T) -> T:
    """Return all elements along one axis."""
    return Reshape(-1).on(x)


def flatten(x: T) -> T:
    """Return a copy of all elements along one axis. `ravel` returns a view if possible."""
    return astype(ravel(x), x.dtype)


def squeeze(x: T, axis: Axis = None) -> T:
    """Return x without some of its axes of size 1.

    Args:
        x: a Variable or an array of any shape.
        axis: the axis or axes to remove; None removes all axes of size 1.

    Raises:
        ShapeError: a given axis has another size, or x has no such axis.
    """
    axes = axes_of("squeeze", axis, x)
    if axis is None:
        axes = tuple(i for i in axes if x.shape[i] == 1)
    for i in axes:
        if x.shape[i] != 1:
            raise ShapeError(f"squeeze: axis {i} of shape {x.shape} must have size 1")
    return Reshape(tuple(size for i, size in enumerate(x.shape) if i not in axes)).on(x)


def expand_dims(x: T, axis: int | tuple[int, ...]) -> T:
    """Return x with new axes of size 1.

    Args:
        x: a Variable or an array of any shape.
        axis: the position or positions of the new axes in the result.

    Raises:
        OperandError: a position is not an integer.
        ShapeError: a position is out of range or given twice.
    """
    added = integers("expand_dims", "axis", axis)
    axes = axes_of("expand_dims", added, x, len(added))
    sizes = iter(x.shape)
    return Reshape(tuple(1 if i in axes else next(sizes) for i in range(x.ndim + len(added)))).on(x)


class BroadcastTo(Function):
    """The elements repeated along new axes and along axes of size 1."""

    rule = "∂L/∂x = grad, summed over the axes along which x was repeated"
    operations = (0, 1)
    samples = ([(3,)], {"shape": (2, 3)}), ([(2, 1)], {"shape": (4, 2, 3)}), ([()], {"shape": (0, 2)})

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Set the new shape."""
        self.shape = shape

    def forward(self, x: Array) -> Array:
        """A read-only view of the new shape."""
        return xp.broadcast_to(x, self.shape)

    def backward(self, grad: Any) -> Any:
        """Return grad as it is; the sweep sums it down to the shape of x."""
        return grad


def broadcast_to(x: T, shape: tuple[int, ...]) -> T:
    """Repeat the elements to fill a shape, by NumPy's rules of broadcasting.

    Args:
        x: a Variable or an array.
        shape: the new shape.

    Raises:
        ShapeError: x cannot be broadcast to the shape.
    """
    return BroadcastTo(shape).on(x)


def tile(x: T, reps: int | tuple[int, ...]) -> T:
    """Repeat the whole array along each axis, as `numpy.tile`.

    Args:
        x: a Variable or an array of any shape.
        reps: the number of repetitions: one integer for the last axis, or one for each axis.

    Raises:
        OperandError: a number of repetitions is not an integer.
        ShapeError: one is negative.
    """
    axes_of("tile", None, x)
    times = integers("tile", "reps", reps)
    if any(number < 0 for number in times):
        raise ShapeError(f"tile: reps is {reps}; each number of repetitions must be at least 0")
    ndim = max(x.ndim, len(times))
    shape, times = (1,) * (ndim - x.ndim) + x.shape, (1,) * (ndim - len(times)) + times
    pairs = list(zip(times, shape, strict=True))
    apart = reshape(x, tuple(size for pair in pairs for size in (1, pair[1])))
    repeated = broadcast_to(apart, tuple(size for pair in pairs for size in pair))
    tiled = reshape(repeated, tuple(math.prod(pair) for pair in pairs))
    return astype(tiled, x.dtype) if all(number == 1 for number in times) else tiled  # never a view


class Transpose(Function):
    """The axes in reverse order, or in a given order."""

    rule = "∂L/∂x = grad, its axes put back"
    operations = (0, 0)
    samples = (
        ([(2, 3, 4)], {}),
        ([(2, 3, 4)], {"axes": (1, 2, 0)}),
        ([(2, 3)], {"axes": (-1, 0)}),
        ([()], {}),
    )

    def __init__(self, axes: tuple[int, ...] | None = None) -> None:
        """Set the order of the axes; None reverses them."""
        self.axes = axes

    def forward(self, x: Array) -> Array:
        """A view with the axes in the new order."""
        return xp.transpose(x, self.axes)

    def backward(self, grad: Any) -> Any:
        """Put the axes of grad back into the order of x."""
        if self.axes is None:
            return transpose(grad)
        back = [0] * grad.ndim
        for to, source in enumerate(self.axes):
            back[source] = to
        return transpose(grad, tuple(back))


def transpose(x: T, axes: tuple[int, ...] | None = None) -> T:
    """Return x with its axes in another order.

    Args:
        x: a Variable or an array of any shape.
        axes: for each axis of the result, the axis of x that it comes from; None reverses the axes.

    Raises:
        ShapeError: the axes are not those of x.
    """
    return Transpose(axes).on(x)


def swapaxes(x: T, axis1: int, axis2: int) -> T:
    """Return x with two axes exchanged.

    Args:
        x: a Variable or an array with at least one axis.
        axis1: an axis.
        axis2: an axis.

    Raises:
        ShapeError: x has no such axis.
    """
    (one, two), axes = _two_axes("swapaxes", x, axis1, axis2), list(range(x.ndim))
    axes[one], axes[two] = axes[two], axes[one]
    return Transpose(tuple(axes)).on(x)


def _two_axes(name: str, x: Any, axis1: Any, axis2: Any) -> tuple[int, int]:
    """Return two axes of x, which may be the same, as positions counted from the front."""
    axes = axes_of(name, (axis1,), x) + axes_of(name, (axis2,), x)
    if len(axes) < 2:
        raise ShapeError(f"{name}: a 0-d array has no axes; give one with an axis")
    return axes[0], axes[1]


def moveaxis(x: T, source: int | tuple[int, ...], destination: int | tuple[int, ...]) -> T:
    """Move axes to other positions; the remaining axes keep their order.

    Args:
        x: a Variable or an array of any shape.
        source: the axis or axes to move.
        destination: their positions in the result.

    Raises:
        ShapeError: source and destination differ in number, or x has no such axis.
    """
    sources = axes_of("moveaxis", source, x)
    places = axes_of("moveaxis", destination, x)
    if len(sources) != len(places):
        raise ShapeError(
            f"moveaxis: {len(sources)} axes cannot go to {len(places)} positions; give as many of each"
        )
    order = [axis for axis in range(x.ndim) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return Transpose(tuple(order)).on(x)


class Roll(Function):
    """The elements shifted along axes; those that leave at one end enter again at the other end."""

    rule = "∂L/∂x = grad, moved back"
    operations = (0, 0)
    samples = (
        ([(2, 3)], {"shift": 1}),
        ([(2, 3)], {"shift": -4, "axis": 1}),
        ([(2, 3)], {"shift": (1, 2), "axis": (0, -1)}),
        ([(0, 2)], {"shift": 1, "axis": 0}),
    )

    def __init__(self, shift: int | tuple[int, ...], axis: Axis = None) -> None:
        """Set the number of places and the axes; None shifts the elements of the flattened array."""
        self.shift, self.axis = integers("roll", "shift", shift), axis

    def forward(self, x: Array) -> Array:
        """A shifted copy."""
        shift = self.shift[0] if len(self.shift) == 1 else self.shift
        return xp.roll(x, shift, self.axis)

    def backward(self, grad: Any) -> Any:
        """Shift grad back."""
        return roll(grad, tuple(-number for number in self.shift), self.axis)


def roll(x: T, shift: int | tuple[int, ...], axis: Axis = None) -> T:
    """Shift the elements along axes, as `numpy.roll`; those that leave at one end enter at the other.

    Args:
        x: a Variable or an array of any shape.
        shift: the number of places, one integer or one for each axis; negative ones shift backward.
        axis: the axis or axes; None shifts the elements of the flattened array.

    Raises:
        OperandError: a shift is not an integer.
        ShapeError: x has no such axis.
    """
    return Roll(shift, axis).on(x)


class AsType(Function):
    """The elements with another dtype."""

    rule = "∂L/∂x = grad, in the type of x"
    operations = (0, 0)
    samples = ([(2, 3)], {"dtype": "float64"}), ([()], {"dtype": "float64"})

    def __init__(self, dtype: Any) -> None:
        """Set the new dtype."""
        self.dtype = dtype

    def forward(self, x: Array) -> Array:
        """A copy with the new dtype."""
        return x.astype(self.dtype)

    def backward(self, grad: Any) -> Any:
        """Return grad as it is; the sweep converts it to the dtype of x."""
        return grad


def astype(x: T, dtype: Any) -> T:
    """Return a copy of x with another dtype. A dtype of integers or booleans ends the gradient."""
    return AsType(dtype).on(x)


def in_float32(compute: Callable[..., Any], *operands: Any) -> Any:
    """Return compute(*operands); if the operands are float16, compute it in float32.

    Use it if a formula would lose digits in float16, or leave its range.
    """
    if operands[0].dtype.char != "e":
        return compute(*operands)
    return astype(compute(*(astype(each, "float32") for each in operands)), "float16")
