"""Matrix products: matmul, the affine step of a linear layer, einsum and tensordot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backends import Array, active, xp
from backends.errors import kind_of
from scratchnet.core.function import Function, Operand
from scratchnet.errors import OperandError, ShapeError
from scratchnet.functions.comparison import masked
from scratchnet.functions.elementwise import at_least_float32
from scratchnet.functions.shape import axes_of, expand_dims, ravel, reshape, swapaxes, transpose


class MatMul(Function):
    """a @ b for vectors, matrices and stacks of matrices, as `numpy.matmul`; Dot in the original."""

    rule = "∂L/∂a = grad @ bᵀ; ∂L/∂b = aᵀ @ grad; a vector a is a row here, a vector b a column"
    samples = (
        ([(2, 3), (3, 4)], {}),
        ([(3,), (3,)], {}),
        ([(3,), (3, 2)], {}),
        ([(2, 3), (3,)], {}),
        ([(5, 2, 3), (3, 4)], {}),
        ([(2, 1, 2, 3), (3, 3, 4)], {}),
        ([(0, 3), (3, 2)], {}),
        ([(2, 0), (0, 3)], {}),
    )

    def forward(self, a: Array, b: Array) -> Array:
        """The product.

        Raises:
            ShapeError: an operand is a number or 0-d, or the inner sizes differ.
        """
        shapes = getattr(a, "shape", ()), getattr(b, "shape", ())
        if not (shapes[0] and shapes[1]):
            raise ShapeError(f"MatMul: {shapes[0]} @ {shapes[1]}: a number has no rows; use *")
        inner = shapes[0][-1], shapes[1][-2:][0]
        if inner[0] != inner[1]:
            raise ShapeError(
                f"MatMul: {shapes[0]} @ {shapes[1]}: the inner sizes {inner[0]} and {inner[1]} "
                "differ; transpose one with .t()"
            )
        self.keep(a if self.needs_grad[1] else None, b if self.needs_grad[0] else None)
        self.row, self.column = a.ndim == 1, b.ndim == 1
        return active().matmul(a, b)

    def backward(self, grad: Any, a: Any, b: Any) -> tuple[Any, Any]:
        """Return grad @ bᵀ and aᵀ @ grad; treat a vector a as a row, and a vector b as a column."""
        row, column, to_a, to_b = self.row, self.column, None, None
        if column:
            grad = grad[..., None]
        if row:
            grad = grad[..., None, :]
        if b is not None:
            b = b[:, None] if column else b
            to_a = matmul(grad, swapaxes(b, -1, -2))
            to_a = to_a[..., 0, :] if row else to_a
        if a is not None:
            a = a[None, :] if row else a
            to_b = matmul(swapaxes(a, -1, -2), grad)
            to_b = to_b[..., 0] if column else to_b
        return to_a, to_b


class Affine(Function):
    """x @ weight.T + bias in one step, optionally with the ReLU of it: the step of a linear layer."""

    rule = (
        "∂L/∂x = δ @ weight; "
        "∂L/∂weight = δᵀ @ x; "
        "∂L/∂bias = Σ δ over the rows; "
        "δ = grad · (y > 0) with the ReLU, else grad"
    )

    samples = ([(5, 3), (2, 3), (2,)], {}), ([(5, 3), (2, 3), (2,)], {"relu": True})
    relu = False

    def __init__(self, relu: bool = False) -> None:
        """Set whether to apply the ReLU."""
        self.relu = relu

    def forward(self, x: Array, weight: Array, bias: Array) -> Array:
        """Map x (n, in), weight (out, in) and bias (out,) to (n, out). The layer checks the shapes."""
        out = active().affine(x, weight, bias, self.relu)
        # weight even if backward does not read it: a change of a parameter before backward is a fault
        self.keep(x if self.needs_grad[1] else None, weight, out if self.relu else None)
        return out

    def backward(self, grad: Any, x: Any, weight: Any, y: Any) -> tuple[Any, Any, Any]:
        """Return grad @ weight, gradᵀ @ x, and grad summed over the rows.

        With the ReLU, grad is first set to 0 where the result is 0.
        """
        if not isinstance(grad, Operand):
            return active().affine_backward(grad, x, weight, y, self.needs_grad)
        if y is not None:
            grad = masked(grad, y > 0)
        return grad @ weight, None if x is None else grad.T @ x, grad.sum(axis=0)


def matmul(a: Any, b: Any) -> Any:
    """Return the matrix product a @ b, as `numpy.matmul`.

    Args:
        a: a Variable or an array of shape (..., n, k) or (k,).
        b: a Variable or an array of shape (..., k, m) or (k,).

    Returns:
        A Variable or an array of shape (..., n, m), without the axis of an operand that is a vector.

    Raises:
        ShapeError: an operand is a number or 0-d, or the inner sizes differ.
    """
    return MatMul().on(a, b)


_LETTERS = [chr(code) for code in (*range(ord("a"), ord("z") + 1), *range(ord("A"), ord("Z") + 1))]
"""The labels of einsum. (`string.ascii_letters` costs more to import than all of this file.)"""

dot = matmul
"""The matrix product, under the name that the original gives it."""


def outer(a: Any, b: Any) -> Any:
    """Return the product of each element of a with each element of b.

    Args:
        a: a Variable or an array of any shape.
        b: as `a`.

    Returns:
        A Variable or an array of shape (a.size, b.size).
    """
    axes_of("outer", None, a), axes_of("outer", None, b)
    return expand_dims(ravel(a), 1) * ravel(b)


class Einsum(Function):
    """A sum of products in Einstein's notation, as `numpy.einsum`."""

    rule = "∂L/∂arrays = einsum of grad and the other arrays, from the result's labels to those of each"
    samples = (
        ([(2, 3), (3, 4)], {"subscripts": "ij,jk->ik"}),
        ([(2, 3), (3, 4)], {"subscripts": "ij,jk"}),
        ([(3, 3)], {"subscripts": "ii"}),
        ([(3, 3)], {"subscripts": "ii->i"}),
        ([(2, 3)], {"subscripts": "ij->j"}),
        ([(2, 3), (4,)], {"subscripts": "ij,k->i"}),
        ([(5, 2, 3), (3, 4)], {"subscripts": "...ij,...jk->...ik"}),
        ([(1, 3), (2, 3)], {"subscripts": "ij,ij->i"}),
        ([(2, 3), (3, 4), (4, 2)], {"subscripts": "ij,jk,ki->"}),
    )

    def __init__(self, subscripts: str) -> None:
        """Set the subscripts: the labels of each operand, with "," between, and of the result."""
        self.subscripts = subscripts

    def forward(self, *arrays: Array) -> Array:
        """The sum of products.

        Raises:
            ShapeError: the labels do not fit the shapes.
            OperandError: the number of operands differs from that in the subscripts.
        """
        needs = self.needs_grad
        self.keep(*(a if any(needs[:i] + needs[i + 1 :]) else None for i, a in enumerate(arrays)))
        self.labels, self.out = _explicit(self.subscripts, arrays)
        self.sizes: dict[str, int] = {}
        for labels, array in zip(self.labels, arrays, strict=True):
            for label, size in zip(labels, getattr(array, "shape", ()), strict=True):
                self.sizes[label] = max(size, self.sizes.get(label, 1)) if size else 0
        dtype = xp.result_type(*arrays)
        arrays = tuple(each if hasattr(each, "dtype") else xp.asarray(each, dtype) for each in arrays)
        wide = [at_least_float32(each) for each in arrays] if dtype.char == "e" else arrays
        out = xp.einsum(",".join(self.labels) + "->" + self.out, *wide, optimize=True)
        return out.astype(dtype, copy=False)

    def backward(self, grad: Any, *arrays: Any) -> tuple[Any, ...]:
        """For each operand, return the einsum of grad and the other operands.

        Along a label that no other operand has in full size, we multiply by ones of that size. A label
        that the operand has twice means a diagonal: an identity matrix puts the gradient there.
        """
        return tuple(
            self._gradient(position, grad, arrays) if needed else None
            for position, needed in enumerate(self.needs_grad)
        )

    def _gradient(self, position: int, grad: Any, arrays: tuple[Any, ...]) -> Any:
        labels = [*self.labels[:position], *self.labels[position + 1 :], self.out]
        operands = [*arrays[:position], *arrays[position + 1 :], grad]
        free = iter(set(_LETTERS) - set("".join(self.labels)))
        in_full_size = {
            label
            for its, operand in zip(labels, operands, strict=True)
            for label, size in zip(its, getattr(operand, "shape", ()), strict=True)
            if size == self.sizes[label]
        }
        own = ""
        for label in self.labels[position]:
            if label in own:
                labels.append(label + next(free))
                operands.append(xp.eye(self.sizes[label], dtype=grad.dtype))
            elif label not in in_full_size:
                labels.append(label)
                operands.append(xp.ones(self.sizes[label], grad.dtype))
            own += labels[-1][-1] if label in own else label
        return Einsum(",".join(labels) + "->" + own).on(*operands)


def einsum(subscripts: str, *operands: Any) -> Any:
    """Return a sum of products in Einstein's notation, as `numpy.einsum`.

        sn.einsum("ij,jk->ik", a, b)  # the matrix product

    Args:
        subscripts: one letter for each axis of each operand, with "," between the operands. "..." stands
            for any axes. "->" and the letters of the result may follow. By default the result has the
            letters that occur once, in alphabetical order.
        operands: Variables or arrays.

    Raises:
        ShapeError: the labels do not fit the shapes.
        OperandError: the subscripts are not text, or the number of operands differs from that in the
            subscripts.
    """
    if not isinstance(subscripts, str):
        raise OperandError(
            f"einsum: subscripts are {kind_of(subscripts)}; give text such as 'ij,jk->ik'"
        )
    return Einsum(subscripts).on(*operands)


def tensordot(a: Any, b: Any, axes: int | tuple[Any, Any] = 2) -> Any:
    """Return the sum of products over some axes of a and b, as `numpy.tensordot`.

    Args:
        a: a Variable or an array.
        b: a Variable or an array.
        axes: the axes to sum over. An integer n means the last n axes of a and the first n of b. A pair
            has an axis or a tuple of axes of a, and the same for b.

    Returns:
        A Variable or an array with the other axes of a, followed by the other axes of b.

    Raises:
        ShapeError: the axes differ in number or in size.
    """
    if isinstance(axes, (int, np.integer)):
        of_a, of_b = tuple(range(-axes, 0)), tuple(range(axes))
    elif np.iterable(axes) and len(pair := list(axes)) == 2:
        of_a, of_b = pair
    else:
        raise OperandError(
            f"tensordot: axes is {axes!r}; give an integer, or a pair with axes of a and b"
        )
    of_a, of_b = axes_of("tensordot", of_a, a), axes_of("tensordot", of_b, b)
    if [a.shape[i] for i in of_a] != [b.shape[i] for i in of_b]:
        raise ShapeError(
            f"tensordot: axes {of_a} of shape {a.shape} and axes {of_b} of shape {b.shape} do not fit; "
            "they must be equal in number and size"
        )
    kept_a, kept_b = (tuple(i for i in range(v.ndim) if i not in of) for v, of in ((a, of_a), (b, of_b)))
    inner = math.prod(a.shape[i] for i in of_a)
    sizes = tuple(a.shape[i] for i in kept_a), tuple(b.shape[i] for i in kept_b)
    rows = reshape(transpose(a, kept_a + of_a), (math.prod(sizes[0]), inner))
    columns = reshape(transpose(b, of_b + kept_b), (inner, math.prod(sizes[1])))
    return reshape(matmul(rows, columns), sizes[0] + sizes[1])


def _explicit(subscripts: str, arrays: tuple[Array, ...]) -> tuple[list[str], str]:
    """Return the labels of each operand and of the result, with letters in place of "..."."""
    inputs, arrow, out = subscripts.replace(" ", "").partition("->")
    labels = inputs.split(",")
    if len(labels) != len(arrays):
        raise OperandError(
            f"einsum: {subscripts!r} has labels for {len(labels)} operands, but the call has "
            f"{len(arrays)}"
        )
    free = sorted(set(_LETTERS) - set(subscripts))
    extra = [
        getattr(array, "ndim", 0) - len(each.replace("...", ""))
        for each, array in zip(labels, arrays, strict=True)
    ]
    for each, array, more in zip(labels, arrays, extra, strict=True):
        if more and ("..." not in each or more < 0):
            raise ShapeError(
                f"einsum: {each!r} does not fit shape {array.shape}; give one label for each axis"
            )
    longest = "".join(free[: max(extra)])
    named = [
        each.replace("...", longest[len(longest) - more :])
        for each, more in zip(labels, extra, strict=True)
    ]
    if arrow:
        return named, out.replace("...", longest)
    once = sorted(label for label in set(inputs) - set(",.") if inputs.count(label) == 1)
    return named, longest + "".join(once)
