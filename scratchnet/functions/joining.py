"""Joining: put arrays together, and split them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from backends import Array, active, xp
from scratchnet.core.function import Function, Operand
from scratchnet.errors import OperandError, ShapeError
from scratchnet.functions.shape import axes_of, expand_dims, integers, ravel


class Concatenate(Function):
    """Arrays one after the other along an axis."""

    rule = "∂L/∂arrays = the parts of grad that came from each"
    operations = (0, 0)
    samples = (
        ([(2, 3), (1, 3)], {}),
        ([(2, 3), (2, 1), (2, 0)], {"axis": 1}),
        ([(2, 3), (2, 3)], {"axis": -2}),
        ([(3,)], {}),
    )

    def __init__(self, axis: int = 0) -> None:
        """Set the axis along which to join."""
        self.axis = axis

    def forward(self, *arrays: Array) -> Array:
        """The joined array. The shapes must be equal except along the axis."""
        self.sizes = [array.shape[self.axis] if array.ndim else 1 for array in arrays]
        return xp.concatenate(arrays, self.axis)

    def backward(self, grad: Any) -> tuple[Any, ...]:
        """Pass to each operand its part of grad."""
        return tuple(split(grad, np.cumsum(self.sizes)[:-1].tolist(), self.axis))


def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Join Variables or arrays one after the other along an axis.

    Args:
        arrays: a list of Variables or arrays. Their shapes must be equal except along the axis.
        axis: the axis; None flattens the arrays first.

    Raises:
        ShapeError: the shapes differ along another axis.
        OperandError: the list is empty, or contains something else.
    """
    arrays = _several("concatenate", arrays)
    if axis is None:
        arrays, axis = [ravel(each) for each in arrays], 0
    axes_of("concatenate", axis, arrays[0], one=True)
    return Concatenate(axis).on(*arrays)


class Unstack(Function):
    """The parts of an array along an axis, each without that axis."""

    rule = "∂L/∂x = the gradients of the parts, stacked along the axis"
    operations = (0, 0)
    samples = ([(2, 3)], {}), ([(2, 3, 4)], {"axis": 1}), ([(2, 1)], {"axis": -1})

    def __init__(self, axis: int = 0) -> None:
        """Set the axis along which to take the parts."""
        self.axis = axis

    def forward(self, x: Array) -> tuple[Array, ...]:
        """Views of the parts."""
        (axis,) = axes_of("Unstack", self.axis, x, one=True)
        return tuple(x[(*(slice(None),) * axis, i)] for i in range(x.shape[axis]))

    def backward(self, grad: Any) -> Any:
        """Stack the gradients of the parts. That of a single part comes without a tuple."""
        return stack(grad if isinstance(grad, tuple) else (grad,), self.axis)


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Join Variables or arrays of one shape along a new axis.

    Args:
        arrays: a list of Variables or arrays of one shape.
        axis: the position of the new axis in the result.

    Raises:
        ShapeError: the shapes differ.
        OperandError: the list is empty, or contains something else.
    """
    arrays = _several("stack", arrays)
    if len(shapes := {each.shape for each in arrays}) > 1:
        raise ShapeError(
            f"stack: shapes {' and '.join(map(str, sorted(shapes)))} differ; all must be equal"
        )
    (axis,) = axes_of("stack", axis, arrays[0], added=1, one=True)
    return Concatenate(axis).on(*(expand_dims(each, axis) for each in arrays))


def unstack(x: Any, axis: int = 0) -> list[Any]:
    """Return the parts of an array along an axis, each without that axis: the inverse of `stack`.

    Args:
        x: a Variable or an array with at least one axis.
        axis: the axis.

    Returns:
        A list with the parts, as many as the axis has elements.

    Raises:
        ShapeError: x has no such axis, or it has no elements.
    """
    axes = axes_of("unstack", axis, x, one=True)
    if not axes or not x.shape[axes[0]]:
        raise ShapeError(f"unstack: shape {x.shape} has no parts along axis {axis}; give another axis")
    return list(Unstack(axis).on(x))


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Split an array into parts along an axis, as `numpy.split`.

    Args:
        x: a Variable or an array with at least one axis.
        indices_or_sections: an integer is the number of equal parts. A list of integers has the
            positions at which the second and later parts begin.
        axis: the axis to split along.

    Returns:
        A list with the parts.

    Raises:
        ShapeError: the size cannot be divided into equal parts, or x has no such axis.
    """
    axes = axes_of("split", axis, x, one=True)
    if not axes:
        raise ShapeError("split: a 0-d array has no axis to split along; give one with an axis")
    size, before = x.shape[axes[0]], (slice(None),) * axes[0]
    if isinstance(indices_or_sections, (int, np.integer)):
        if indices_or_sections < 1 or size % indices_or_sections:
            raise ShapeError(
                f"split: {size} elements cannot be divided into {indices_or_sections} equal parts; "
                "give a list of positions"
            )
        step = size // int(indices_or_sections)
        indices_or_sections = [step * i for i in range(1, int(indices_or_sections))]
    cuts = [0, *integers("split", "indices_or_sections", indices_or_sections), size]
    x = x if isinstance(x, Operand) else active().as_array(x)
    return [x[(*before, slice(*ends))] for ends in pairwise(cuts)]


def _several(name: str, arrays: Any) -> list[Any]:
    """Return a list of Variables or arrays; check that it is not empty and that each has a shape."""
    if hasattr(arrays, "shape"):
        arrays = list(arrays)
    if not isinstance(arrays, (list, tuple)) or not arrays:
        raise OperandError(f"{name}: give a list of at least one Variable or array")
    for each in arrays:
        axes_of(name, None, each)
    return list(arrays)
