"""Embedding: the rows of a matrix that integers name, with the arguments of torch.nn.functional."""

from __future__ import annotations

from typing import Any

import numpy as np

from backends import Array, active, xp
from backends.errors import kind_of
from scratchnet.core.function import Function, T, array_of
from scratchnet.errors import IndexingError, OperandError, SettingError, ShapeError
from scratchnet.functions.comparison import where


class Embedding(Function):
    """The rows of a weight that indices name. The row `padding_idx` gets no gradient."""

    rule = "∂L/∂weight = zeros, and each row of grad added at its index"
    samples = (
        ([(4, 3), [[0, 3, 1], [3, 1, 3]]], {}),
        ([(4, 3), [2, 0, 2]], {"padding_idx": 1}),
    )

    def __init__(self, padding_idx: int | None = None) -> None:
        """Set the row without gradient, counted from the start; None if each row has one."""
        self.padding_idx = padding_idx

    def forward(self, weight: Array, indices: Array) -> Array:
        """Map the weight (rows, columns) and indices (...) to (..., columns).

        Raises:
            IndexingError: an index is outside 0 … rows - 1, on NumPy. On a GPU its row is NaN.
        """
        rows = len(weight)
        place = active().first_false((indices >= 0) & (indices < rows))
        if place is not None:
            at = tuple(int(i) for i in np.unravel_index(place, indices.shape))
            raise IndexingError(
                f"Embedding: index {indices[at]} at {at} is outside 0 … {rows - 1}; use indices in this "
                "range, or an embedding with more rows"
            )
        self.rows = rows
        self.keep(indices)
        return active().embedding(weight, indices)

    def backward(self, grad: Any, indices: Any) -> tuple[Any, None]:
        """Add the rows of grad at the indices."""
        return EmbeddingWeight(self.rows, self.padding_idx).on(grad, indices), None


class EmbeddingWeight(Function):
    """Zeros, with the rows of x added at indices: the gradient of Embedding at its weight."""

    rule = "∂L/∂x = grad at the indices, 0 at those that are padding_idx"
    samples = (
        ([(2, 3, 3), [[0, 3, 1], [3, 1, 3]]], {"rows": 4}),
        ([(3, 2), [2, 0, 2]], {"rows": 3, "padding_idx": 2}),
    )

    def __init__(self, rows: int, padding_idx: int | None = None) -> None:
        """Set the number of rows, and the one that stays zero."""
        self.rows, self.padding_idx = rows, padding_idx

    def forward(self, x: Array, indices: Array) -> Array:
        """Map x (..., columns) and indices (...) to (rows, columns).

        On a GPU, an index outside counts modulo the number of rows. The embedding gave NaN for it. So x
        is 0 there, or the loss is NaN.
        """
        self.keep(indices)
        whole = xp.zeros((self.rows, x.shape[-1]), x.dtype)
        active().scatter_add(whole, indices, x)
        if self.padding_idx is not None:
            whole[self.padding_idx] = 0
        return whole

    def backward(self, grad: Any, indices: Any) -> tuple[Any, None]:
        """Take the rows of grad at the indices."""
        rows = Embedding(self.padding_idx).on(grad, indices)
        if self.padding_idx is None:
            return rows, None
        return where((array_of(indices) == self.padding_idx)[..., None], 0.0, rows), None


def embedding(indices: Any, weight: T, padding_idx: int | None = None) -> T:
    """Return the rows of a weight that indices name, as `torch.nn.functional.embedding`.

        vectors = sn.embedding(words, weight)  # words is (n, length), vectors is (n, length, columns)

    Args:
        indices: integers in 0 … rows - 1 of any shape: a Variable or an array.
        weight: a Variable or an array of shape (rows, columns), floating.
        padding_idx: a row that gets no gradient, such as that of the padding of short sequences. A
            negative one counts from the end. None means that each row gets its gradient.

    Returns:
        A Variable or an array of the dtype of the weight. Its shape is that of the indices, followed by
        `columns`.

    Raises:
        IndexingError: an index is outside 0 … rows - 1, on NumPy. Negative indices are outside. On a GPU
            the row is NaN instead, because an error would make the host wait at every step.
        OperandError: the indices are not an array of integers, or the weight is not floating.
        ShapeError: the weight has another number of axes.
        SettingError: there is no row padding_idx.
    """
    kind = getattr(getattr(indices, "dtype", None), "kind", "")
    if not kind:
        raise OperandError(
            f"embedding: indices is {kind_of(indices)}; give an array of integers, or wrap it: "
            "Variable(indices)"
        )
    if kind not in "iu":
        raise OperandError(
            f"embedding: indices has dtype {indices.dtype}; it must hold integers: .astype('int64')"
        )
    if isinstance(indices, np.generic):  # such as words[0] of NumPy
        indices = xp.asarray(indices)
    dtype = getattr(weight, "dtype", None)
    if getattr(dtype, "kind", "") != "f":
        found = kind_of(weight) if dtype is None else f"of dtype {dtype}"
        raise OperandError(f"embedding: weight is {found}; it must be a floating Variable or array")
    if len(weight.shape) != 2:
        raise ShapeError(f"embedding: weight has shape {weight.shape}; it must be (rows, columns)")
    return Embedding(padding_row("embedding", padding_idx, len(weight))).on(weight, indices)


def padding_row(name: str, padding_idx: Any, rows: int) -> int | None:
    """Return padding_idx, counted from the start.

    Raises:
        SettingError: there is no such row. `name` is the function or the layer, for the message.
    """
    if padding_idx is None:
        return None
    integer = isinstance(padding_idx, (int, np.integer)) and not isinstance(padding_idx, bool)
    if not integer or not -rows <= padding_idx < rows:
        raise SettingError(
            f"{name}: padding_idx is {padding_idx!r}; it must be an integer from {-rows} to {rows - 1}, "
            "or None"
        )
    return int(padding_idx) % rows
