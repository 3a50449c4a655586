"""Parts of an array, and arrays around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backends import Array, active, check, to_device, xp
from backends.errors import kind_of, one_line
from scratchnet.core.function import Function, array_of
from scratchnet.errors import OperandError, SettingError, ShapeError
from scratchnet.functions.comparison import where
from scratchnet.functions.elementwise import T
from scratchnet.functions.reduction import Sum
from scratchnet.functions.shape import Axis, axes_of, moveaxis, ravel


class GetItem(Function):
    """x[index], for any index that the array library takes. Repeated indices add up."""

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
        """The index: numbers, slices, None, ..., integer or boolean arrays, or a tuple of them."""
        self.index = index

    def forward(self, x: Array) -> Array:
        """The part."""
        self.shape = x.shape
        parts = self.index if isinstance(self.index, tuple) else (self.index,)
        self.basic = all(_is_basic(part) for part in parts)
        if not self.basic:
            parts = tuple(part if _is_basic(part) else _index_array(part) for part in parts)
            self.index = parts if isinstance(self.index, tuple) else parts[0]
        return x[self.index]

    def backward(self, grad: Any) -> Any:
        """Zeros, and the gradient added where the part came from."""
        return AddAt(self.index, self.shape, self.basic).on(grad)


class AddAt(Function):
    """Zeros of a shape, with x added to them at an index: what indexing is the adjoint of."""

    rule = "∂L/∂x = grad[index]"
    operations = (1, 0)
    samples = (
        ([(4,)], {"index": 1, "shape": (3, 4), "basic": True}),
        ([(2, 4)], {"index": slice(0, 2), "shape": (3, 4), "basic": True}),
    )

    def __init__(self, index: Any, shape: tuple[int, ...], basic: bool) -> None:
        """The index, the shape, and whether the index can name no element twice."""
        self.index, self.shape, self.basic = index, shape, basic

    def forward(self, x: Array) -> Array:
        """The array of that shape."""
        whole = xp.zeros(self.shape, x.dtype)
        if self.basic:
            whole[self.index] = x
        elif _names_rows(self.index):
            active().scatter_add(whole, self.index, x)
        else:  # any other index, applied to each element's number, says where its gradient belongs
            places = xp.arange(whole.size).reshape(self.shape)[self.index]
            active().scatter_add(whole.reshape(-1), places, x)
        return whole

    def backward(self, grad: Any) -> Any:
        """The elements back from there."""
        return GetItem(self.index).on(grad)


def take(x: T, indices: Any, axis: int | None = None) -> T:
    """The elements at these places along an axis, or of all elements in their order.

    Args:
        x: a Variable or an array.
        indices: integers, of any shape; negative ones count from the end.
        axis: the axis; None takes of the flattened array.
    """
    axes = axes_of("take", axis, x)
    if axis is None or not axes:
        return GetItem(_places(indices)).on(ravel(x))
    return GetItem((*(slice(None),) * axes[0], _places(indices))).on(x)


def take_along_axis(x: T, indices: Any, axis: int | None) -> T:
    """For each place of `indices`, the element of x that has that number along the axis.

    Args:
        x: a Variable or an array.
        indices: integers, with as many axes as x, and of its sizes but along the axis, or 1.
        axis: the axis; None takes of the flattened array.

    Raises:
        ShapeError: indices has another number of axes than x.
    """
    if axis is None:
        x, axis = ravel(x), 0
    (place,), indices = axes_of("take_along_axis", axis, x), _places(indices)
    if indices.ndim != x.ndim:
        raise ShapeError(
            f"take_along_axis: indices of shape {indices.shape} for shape {x.shape}; they must have "
            "as many axes"
        )
    grid = [
        indices if i == place else xp.arange(n).reshape((-1,) + (1,) * (x.ndim - i - 1))
        for i, n in enumerate(x.shape)
    ]
    return GetItem(tuple(grid)).on(x)


def flip(x: T, axis: Axis = None) -> T:
    """The elements in the reverse order along all axes, or along those given."""
    axes = axes_of("flip", axis, x)
    return x[tuple(slice(None, None, -1 if i in axes else 1) for i in range(x.ndim))]


def repeat(x: T, repeats: int | Sequence[int], axis: int | None = None) -> T:
    """Each element several times in a row, as `numpy.repeat`.

    Args:
        x: a Variable or an array.
        repeats: how often: a number, or one for each element along the axis.
        axis: the axis; None repeats the elements of the flattened array.

    Raises:
        ShapeError: there are more or fewer numbers than elements.
    """
    if axis is None:
        x, axis = ravel(x), 0
    size = x.shape[axes_of("repeat", axis, x)[0]]
    try:
        places = np.repeat(np.arange(size), repeats)
    except ValueError as error:
        raise ShapeError(f"repeat: repeats {repeats} for {size} elements: {one_line(error)}") from error
    return take(x, places, axis)


def pad(
    x: T,
    pad_width: int | Sequence[int] | Sequence[Sequence[int]],
    mode: str = "constant",
    constant_values: float = 0.0,
) -> T:
    """More elements around those of an array, as `numpy.pad`.

    Args:
        x: a Variable or an array.
        pad_width: how many: a number, (before, after) for every axis, or one such pair for each.
        mode: "constant", or where the elements come from: "edge", "reflect", "symmetric" or "wrap".
        constant_values: the number with which "constant" pads.

    Raises:
        SettingError: the mode is another one, or a width is negative.
        ShapeError: there are more or fewer pairs than axes.
    """
    axes_of("pad", None, x)
    try:
        widths = np.broadcast_to(np.asarray(pad_width, int), (x.ndim, 2)).tolist()
    except ValueError as error:
        raise ShapeError(f"pad: pad_width {pad_width} does not fit shape {x.shape}") from error
    if any(width < 0 for pair in widths for width in pair):
        raise SettingError(f"pad: pad_width {pad_width} has a negative number")
    if mode == "constant":
        sizes = zip(x.shape, widths, strict=True)
        shape = tuple(n + before + after for n, (before, after) in sizes)
        inside = tuple(slice(b, b + n) for n, (b, _) in zip(x.shape, widths, strict=True))
        padded = AddAt(inside, shape, True).on(x)
        if not constant_values:
            return padded
        outside = xp.full(shape, constant_values, x.dtype)
        outside[inside] = 0
        return padded + outside
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise SettingError(
            f"pad: mode is {mode!r}; it must be constant, edge, reflect, symmetric or wrap"
        )
    for axis, (n, width) in enumerate(zip(x.shape, widths, strict=True)):
        if any(width):
            x = take(x, np.pad(np.arange(n), width, mode), axis)  # type: ignore[call-overload]
    return x


def tril(x: T, k: int = 0) -> T:
    """The lower triangle of matrices (..., m, n), up to the diagonal k; 0 elsewhere."""
    return where(_lower("tril", x, k), x, 0.0)


def triu(x: T, k: int = 0) -> T:
    """The upper triangle of matrices (..., m, n), from the diagonal k on; 0 elsewhere."""
    return where(_lower("triu", x, k - 1), 0.0, x)


def diagonal(x: T, offset: int = 0, axis1: int = 0, axis2: int = 1) -> T:
    """The diagonals of the matrices along two axes: a new last axis takes the place of the two.

    Args:
        x: a Variable or an array of two axes or more.
        offset: which diagonal: positive ones lie above the main diagonal, negative ones below.
        axis1: the axis of the rows.
        axis2: the axis of the columns.
    """
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    down, right = max(-offset, 0), max(offset, 0)
    along = np.arange(max(min(rows - down, columns - right), 0))
    return GetItem((..., _places(along + down), _places(along + right))).on(x)


def trace(x: T, offset: int = 0, axis1: int = 0, axis2: int = 1) -> T:
    """The sums of the diagonals that `diagonal` gives."""
    return Sum(-1).on(diagonal(x, offset, axis1, axis2))


def _places(indices: Any) -> Array:
    """Integers as an array of the active backend."""
    indices = array_of(indices)
    places = indices if isinstance(indices, active().array_type) else to_device(np.asarray(indices))
    if not places.size:
        places = places.astype(np.intp)
    if places.dtype.kind not in "iu":
        raise OperandError(f"an index of {places.dtype}; it must be of integers")
    return places


def _lower(name: str, x: Any, k: int) -> Array:
    """Where the lower triangle is."""
    if len(axes_of(name, None, x)) < 2:
        raise ShapeError(f"{name}: shape {x.shape} has no rows and columns")
    rows, columns = x.shape[-2:]
    return xp.arange(columns) <= xp.arange(rows)[:, None] + k


def _is_basic(part: Any) -> bool:
    """Whether this part of an index can name no element twice."""
    return part is None or part is Ellipsis or isinstance(part, (int, slice, np.integer))


def _names_rows(index: Any) -> bool:
    """Whether it is one array of integers, and so names whole rows along the first axis."""
    return not isinstance(index, tuple) and index.dtype.kind in "iu"


def _index_array(part: Any) -> Array:
    if isinstance(part, (list, tuple)):
        return to_device(np.asarray(part, None if np.size(part) else np.intp))
    if not hasattr(part, "dtype"):
        raise OperandError(
            f"GetItem: an index is {kind_of(part)}; give integers, slices, None, ... or arrays of "
            "integers or booleans"
        )
    check("GetItem", "the index", part)
    if part.dtype.kind not in "iub":
        raise OperandError(f"GetItem: an index of {part.dtype}; it must be of integers or booleans")
    return part
