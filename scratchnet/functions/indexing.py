"""Parts of an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from backends import Array, active, check, to_device, xp
from backends.errors import kind_of
from scratchnet.core.function import Function
from scratchnet.errors import OperandError


class GetItem(Function):
    """x[index], for any index that the array library takes. Repeated indices add up."""

    rule = "∂L/∂x = zeros, and grad added to them at index"

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
