"""Products of matrices."""

from __future__ import annotations

from typing import Any

from backends import Array, active
from scratchnet.core.function import Function, Operand
from scratchnet.errors import ShapeError
from scratchnet.functions.shape import swapaxes


class MatMul(Function):
    """a @ b, as NumPy's matmul: vectors, matrices, and stacks of them. The original's Dot."""

    rule = "∂L/∂a = grad @ bᵀ; ∂L/∂b = aᵀ @ grad; a vector a is a row here, a vector b a column"

    def forward(self, a: Array, b: Array) -> Array:
        """The product.

        Raises:
            ShapeError: an operand is a number, or the inner sizes differ.
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
        self.keep(a, b)
        return active().matmul(a, b)

    def backward(self, grad: Any, a: Any, b: Any) -> tuple[Any, Any]:
        """That is grad @ bᵀ and aᵀ @ grad; a vector is a row on the left, a column on the right."""
        row, column = a.ndim == 1, b.ndim == 1
        a = a[None, :] if row else a
        b = b[:, None] if column else b
        if column:
            grad = grad[..., None]
        if row:
            grad = grad[..., None, :]
        to_a = to_b = None
        if self.needs_grad[0]:
            to_a = matmul(grad, swapaxes(b, -1, -2))
            to_a = to_a[..., 0, :] if row else to_a
        if self.needs_grad[1]:
            to_b = matmul(swapaxes(a, -1, -2), grad)
            to_b = to_b[..., 0] if column else to_b
        return to_a, to_b


class Affine(Function):
    """x @ weight.T + bias in one step, and its ReLU if asked: what a linear layer computes."""

    rule = (
        "∂L/∂x = δ @ weight; "
        "∂L/∂weight = δᵀ @ x; "
        "∂L/∂bias = Σ δ over the rows; "
        "δ = grad · (y > 0) with the ReLU, else grad"
    )

    relu = False

    def __init__(self, relu: bool = False) -> None:
        """Whether the result goes through the ReLU."""
        self.relu = relu

    def forward(self, x: Array, weight: Array, bias: Array) -> Array:
        """(n, in), (out, in) and (out,) give (n, out). The shapes are the layer's to check."""
        out = active().affine(x, weight, bias, self.relu)
        self.keep(x, weight, out if self.relu else None)
        return out

    def backward(self, grad: Any, x: Any, weight: Any, y: Any) -> tuple[Any, Any, Any]:
        """That is grad @ weight, gradᵀ @ x, and grad summed over the rows.

        With the ReLU, of the gradient only what is at positive results.
        """
        if not isinstance(grad, Operand):
            return active().affine_backward(grad, x, weight, y, self.needs_grad)
        if y is not None:
            grad = grad * (y > 0)
        return grad @ weight, grad.T @ x, grad.sum(axis=0)


def matmul(a: Any, b: Any) -> Any:
    """A @ b, as NumPy's matmul."""
    return MatMul().on(a, b)
