"""Products of matrices."""

from __future__ import annotations

from backends import Array, active, computed, xp
from scratchnet.core.function import Function
from scratchnet.errors import ShapeError


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
        self.a, self.b = a, b
        return active().matmul(a, b)

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        """That is grad @ bᵀ and aᵀ @ grad; a vector is a row on the left, a column on the right."""
        row, column = self.a.ndim == 1, self.b.ndim == 1
        a = self.a[None, :] if row else self.a
        b = self.b[:, None] if column else self.b
        if column:
            grad = grad[..., None]
        if row:
            grad = grad[..., None, :]
        to_a = to_b = None
        if self.needs_grad[0]:
            to_a = active().matmul(grad, b.swapaxes(-1, -2))
            to_a = to_a[..., 0, :] if row else to_a
        if self.needs_grad[1]:
            to_b = active().matmul(a.swapaxes(-1, -2), grad)
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
    gives_new = True

    def __init__(self, relu: bool = False) -> None:
        """Whether the result goes through the ReLU."""
        self.relu = relu

    def forward(self, x: Array, weight: Array, bias: Array) -> Array:
        """(n, in), (out, in) and (1, out) give (n, out). The shapes are the layer's to check."""
        self.x, self.weight = x, weight
        out = active().affine(x, weight, bias, self.relu)
        self.y = out if self.relu else None
        return out

    def backward(self, grad: Array) -> tuple[Array | None, Array | None, Array | None]:
        """That is grad @ weight, gradᵀ @ x, and grad summed over the rows.

        With the ReLU, of the gradient only what is at positive results.
        """
        grads = active().affine_backward(
            grad, self.x, self.weight, self.y, self.needs_grad, self.may_overwrite
        )
        if type(self) is Affine:
            return grads
        to_x, to_weight, to_bias = grads  # a subclass may calculate with them
        return to_x, computed(to_weight), to_bias


class Transpose(Function):
    """The axes reversed, or in the order given."""

    rule = "∂L/∂x = grad, its axes put back"

    def __init__(self, axes: tuple[int, ...] | None = None) -> None:
        """The order of the axes; None reverses them."""
        self.axes = axes

    def forward(self, x: Array) -> Array:
        """A view."""
        return xp.transpose(x, self.axes)

    def backward(self, grad: Array) -> Array:
        """The axes back in their places."""
        if self.axes is None:
            return xp.transpose(grad)
        back = [0] * grad.ndim
        for to, source in enumerate(self.axes):
            back[source] = to
        return xp.transpose(grad, back)
