"""Indexing: parts of an array, and larger arrays made from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backends import Array, active, check, to_device, xp
from backends.errors import kind_of, one_line
from scratchnet.core.function import Function, T, array_of, plain
from scratchnet.errors import OperandError, SettingError, ShapeError
from scratchnet.functions.comparison import where
from scratchnet.functions.reduction import Sum
from scratchnet.functions.shape import Axis, axes_of, integer, integers, moveaxis, ravel


class GetItem(Function):
    """x[index], for any index that the array library takes. Gradients of repeated indices add up."""

    rule = "∂L/∂x = zeros, and grad added to them at index"
    samples = (
        ([(3, 4)], {"index": 1}),
        ([(3, 4)], {"index": (slice(0, 2), ..., None)}),
        ([(3, 4)], {"index": [0, 0, 2]}),
        ([(3, 4)], {"index": ([0, 1, 1], [2, 2, 2])}),
        ([(3, 4)], {"index": []}),
        ([()], {"index": ...}),
    )

    def __init__(self, index: Any) -> None:
        """Set the index: integers, slices, None, ..., integer or boolean arrays, or a tuple of them."""
        self.index = index

    def forward(self, x: Array) -> Array:
        """The part of x at the index; a view if the index has only numbers, slices, None and ...

        Raises:
            OperandError: a part of the index is of another kind, such as a float or text.
        """
        self.shape = x.shape
        parts = self.index if isinstance(self.index, tuple) else (self.index,)
        self.basic = all(_is_basic(part) for part in parts)
        if not self.basic:
            parts = tuple(part if _is_basic(part) else _index_array(part) for part in parts)
            if self.needs_grad[0]:  # copies, because the caller may change the arrays before backward
                parts = tuple(part if _is_basic(part) else part.copy() for part in parts)
            self.index = parts if isinstance(self.index, tuple) else parts[0]
        return x[self.index]

    def backward(self, grad: Any) -> Any:
        """Zeros, with grad added at the index."""
        return AddAt(self.index, self.shape, self.basic).on(grad)


class AddAt(Function):
    """Zeros of a shape, with x added to them at an index. It is the backward pass of indexing."""

    rule = "∂L/∂x = grad[index]"
    operations = (1, 0)
    samples = (
        ([(4,)], {"index": 1, "shape": (3, 4), "basic": True}),
        ([(2, 4)], {"index": slice(0, 2), "shape": (3, 4), "basic": True}),
    )

    def __init__(self, index: Any, shape: tuple[int, ...], basic: bool) -> None:
        """Set the index, the shape, and whether the index is basic: it names no element twice."""
        self.index, self.shape, self.basic = index, shape, basic

    def forward(self, x: Array) -> Array:
        """The array of the shape."""
        whole = xp.zeros(self.shape, x.dtype)
        if self.basic:
            whole[self.index] = x
        elif _names_rows(self.index):
            active().scatter_add(whole, self.index, x)
        else:  # apply the index to the numbers of the elements: this gives the places to add to
            places = xp.arange(whole.size).reshape(self.shape)[self.index]
            active().scatter_add(whole.reshape(-1), places, x)
        return whole

    def backward(self, grad: Any) -> Any:
        """Take grad at the index."""
        return GetItem(self.index).on(grad)


def take(x: T, indices: Any, axis: int | None = None) -> T:
    """Return the elements at some places along an axis, as `numpy.take`.

    Args:
        x: a Variable or an array of any shape.
        indices: integers of any shape; negative ones count from the end.
        axis: the axis; None takes the elements from the flattened array.

    Returns:
        A Variable or an array. Its shape is that of x, with the shape of `indices` in place of the axis.

    Raises:
        OperandError: the indices are not integers.
        ShapeError: x has no such axis.
        IndexingError: an index is out of range, on NumPy. (A GPU cannot raise.)
    """
    axes = axes_of("take", axis, x, one=axis is not None)
    if axis is None or not axes:
        return GetItem(_places(indices)).on(ravel(x))
    return GetItem((*(slice(None),) * axes[0], _places(indices))).on(x)


def take_along_axis(x: T, indices: Any, axis: int | None = -1) -> T:
    """Return, for each place of `indices`, the element of x with that position along the axis.

    Args:
        x: a Variable or an array of any shape.
        indices: integers, with as many axes as x. Except along the axis, each size is that of x, or 1.
        axis: the axis; None takes the elements from the flattened array.

    Returns:
        A Variable or an array. Its size along the axis is that of `indices`, its other sizes are those
        of x.

    Raises:
        OperandError: the indices are not integers.
        ShapeError: `indices` and x differ in their number of axes.
    """
    if axis is None:
        x, axis = ravel(x), 0
    (place,), indices = axes_of("take_along_axis", axis, x, one=True), _places(indices)
    if indices.ndim != x.ndim:
        raise ShapeError(
            f"take_along_axis: indices have shape {indices.shape}, and x has shape {x.shape}; both must "
            "have the same number of axes"
        )
    grid = [
        indices if i == place else xp.arange(n).reshape((-1,) + (1,) * (x.ndim - i - 1))
        for i, n in enumerate(x.shape)
    ]
    return GetItem(tuple(grid)).on(x)


def flip(x: T, axis: Axis = None) -> T:
    """Return the elements in reverse order along the given axes.

    Args:
        x: a Variable or an array of any shape.
        axis: an axis or several; None reverses along all axes.

    Raises:
        ShapeError: x has no such axis, or an axis is given twice.
    """
    axes = axes_of("flip", axis, x)
    return GetItem(tuple(slice(None, None, -1 if i in axes else 1) for i in range(x.ndim))).on(x)


def repeat(x: T, repeats: int | Sequence[int], axis: int | None = None) -> T:
    """Repeat each element several times in a row, as `numpy.repeat`.

    Args:
        x: a Variable or an array of any shape.
        repeats: the number of repetitions: one integer, or one for each element along the axis.
        axis: the axis; None repeats the elements of the flattened array.

    Raises:
        ShapeError: the number of integers in `repeats` differs from the number of elements.
    """
    axes_of("repeat", None, x)
    if axis is None or not x.shape:
        x, axis = ravel(x), 0
    size = x.shape[axes_of("repeat", axis, x, one=True)[0]]
    try:
        places = np.repeat(np.arange(size), integers("repeat", "repeats", repeats))
    except ValueError as error:
        raise ShapeError(
            f"repeat: repeats {repeats} does not fit {size} elements: {one_line(error)}"
        ) from error
    return take(x, places, axis)


def pad(
    x: T,
    pad_width: int | Sequence[int] | Sequence[Sequence[int]],
    mode: str = "constant",
    constant_values: float = 0.0,
) -> T:
    """Add elements around an array, as `numpy.pad`.

    Args:
        x: a Variable or an array of any shape.
        pad_width: the number of elements to add: one integer for all sides, one pair (before, after) for
            all axes, or one pair for each axis.
        mode: "constant" adds a constant. "edge", "reflect", "symmetric" and "wrap" add elements of x.
        constant_values: the number that "constant" adds.

    Raises:
        SettingError: the mode is unknown, or a width is negative.
        ShapeError: the number of pairs differs from the number of axes.
    """
    axes_of("pad", None, x)
    try:
        given = np.asarray(pad_width)
        widths = np.broadcast_to(given, (x.ndim, 2)).tolist()
    except ValueError as error:
        raise ShapeError(f"pad: pad_width {pad_width} does not fit shape {x.shape}") from error
    if given.dtype.kind not in "biu" and x.ndim:
        raise OperandError(f"pad: pad_width is {pad_width!r}; it must hold integers")
    if any(width < 0 for pair in widths for width in pair):
        raise SettingError(f"pad: pad_width {pad_width} has a negative number; each must be at least 0")
    if not isinstance(plain(constant_values), (int, float)):
        raise SettingError(f"pad: constant_values is {constant_values!r}; give one number")
    if mode == "constant":
        sizes = zip(x.shape, widths, strict=True)
        shape = tuple(n + before + after for n, (before, after) in sizes)
        inside = tuple(slice(b, b + n) for n, (b, _) in zip(x.shape, widths, strict=True))
        padded = AddAt(inside, shape, True).on(x)
        if not constant_values:
            return padded
        try:
            outside = xp.full(shape, constant_values, x.dtype)
        except OverflowError as error:
            raise OperandError(f"pad: constant_values: {one_line(error)}; convert x first") from error
        outside[inside] = 0
        return padded + outside
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise SettingError(
            f"pad: mode is {mode!r}; it must be constant, edge, reflect, symmetric or wrap"
        )
    for axis, (n, width) in enumerate(zip(x.shape, widths, strict=True)):
        if any(width) and not n:
            raise ShapeError(
                f"pad: mode {mode} needs elements to repeat; axis {axis} of {x.shape} is empty"
            )
        if any(width) or not axis:  # what is returned is never x itself
            x = take(x, np.pad(np.arange(n), width, mode), axis)  # type: ignore[call-overload]
    return x


def tril(x: T, k: int = 0) -> T:
    """Return the lower triangle of matrices: x up to the diagonal k, and 0 above it.

    Args:
        x: a Variable or an array of shape (..., m, n).
        k: the last diagonal to keep: 0 is the main diagonal, positive ones lie above it.

    Raises:
        ShapeError: x has fewer than two axes.
    """
    return where(_lower("tril", x, k), x, False)


def triu(x: T, k: int = 0) -> T:
    """Return the upper triangle of matrices: x from the diagonal k on, and 0 below it.

    Args:
        x: a Variable or an array of shape (..., m, n).
        k: the first diagonal to keep: 0 is the main diagonal, positive ones lie above it.

    Raises:
        ShapeError: x has fewer than two axes.
    """
    k = integer("triu", "k", k)
    return where(_lower("triu", x, k - 1), False, x)


def diagonal(x: T, offset: int = 0, axis1: int = 0, axis2: int = 1) -> T:
    """Return the diagonals of the matrices along two axes, as `numpy.diagonal`.

    Args:
        x: a Variable or an array with at least two axes.
        offset: the diagonal: 0 is the main diagonal, positive ones lie above it, negative ones below.
        axis1: the axis of the rows.
        axis2: the axis of the columns.

    Returns:
        A Variable or an array without these two axes, and with a new last axis along the diagonal.

    Raises:
        ShapeError: x has no such axis.
    """
    x = moveaxis(x, axes_of("diagonal", (axis1, axis2), x), (-2, -1))
    rows, columns = x.shape[-2:]
    down, right = max(-offset, 0), max(offset, 0)
    along = np.arange(max(min(rows - down, columns - right), 0))
    return GetItem((..., _places(along + down), _places(along + right))).on(x)


def trace(x: T, offset: int = 0, axis1: int = 0, axis2: int = 1) -> T:
    """Return the sum of each diagonal that `diagonal` returns, with the same arguments."""
    return Sum(-1).on(diagonal(x, offset, axis1, axis2))


def _places(indices: Any) -> Array:
    """Return integers as an array of the active backend.

    Raises:
        OperandError: they are not integers.
    """
    indices = array_of(indices)
    places = indices if isinstance(indices, active().array_type) else to_device(np.asarray(indices))
    if not places.size:
        places = places.astype(np.intp)
    if places.dtype.kind not in "iu":
        raise OperandError(f"an index has dtype {places.dtype}; it must hold integers")
    return places


def _lower(name: str, x: Any, k: int) -> Array:
    """Return booleans of shape (m, n) that are True up to the diagonal k."""
    if len(axes_of(name, None, x)) < 2:
        raise ShapeError(f"{name}: shape {x.shape} has no rows and columns; give at least two axes")
    rows, columns = x.shape[-2:]
    k = integer(name, "k", k)
    return xp.arange(columns) <= xp.arange(rows)[:, None] + k


def _is_basic(part: Any) -> bool:
    """Return whether this part of an index is of a kind that names no element twice."""
    return part is None or part is Ellipsis or isinstance(part, (int, slice, np.integer))


def _names_rows(index: Any) -> bool:
    """Return whether an index is one array of integers, which names whole rows along the first axis."""
    return not isinstance(index, tuple) and index.dtype.kind in "iu"


def _index_array(part: Any) -> Array:
    if isinstance(part, (list, tuple)):
        return to_device(np.asarray(part, None if np.size(part) else np.intp))
    if not hasattr(part, "dtype"):
        raise OperandError(
            f"GetItem: an index is {kind_of(part)}; give integers, slices, None, ... or arrays that "
            "hold integers or booleans"
        )
    check("GetItem", "the index", part)
    if part.dtype.kind not in "iub":
        raise OperandError(
            f"GetItem: an index has dtype {part.dtype}; it must hold integers or booleans"
        )
    return part
