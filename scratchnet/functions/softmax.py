"""Softmax, its logarithm, and the loss that both are for.

The maximum is subtracted before the exponential: the result is the same, and nothing overflows.
Formulas: Bishop, Pattern Recognition and Machine Learning, section 4.3.4.
"""

from __future__ import annotations

from backends import Array, active, xp
from scratchnet.function import Function


class Softmax(Function):
    """exp(x) / Σ exp(x) along an axis."""

    def __init__(self, axis: int = -1) -> None:
        """The axis that sums to 1."""
        self.axis = axis

    def forward(self, x: Array) -> Array:
        """Positive values that sum to 1."""
        e = xp.exp(x - x.max(axis=self.axis, keepdims=True))
        self.y = e / e.sum(axis=self.axis, keepdims=True)
        return self.y

    def backward(self, grad: Array) -> Array:
        """Y (grad - Σ grad · y)."""
        return self.y * (grad - (grad * self.y).sum(axis=self.axis, keepdims=True))


class LogSoftmax(Function):
    """log(softmax(x)) along an axis, without the loss of digits of taking the two in turn."""

    def __init__(self, axis: int = -1) -> None:
        """The axis whose exponentials sum to 1."""
        self.axis = axis

    def forward(self, x: Array) -> Array:
        """X - log Σ exp(x)."""
        shifted = x - x.max(axis=self.axis, keepdims=True)
        self.y = shifted - xp.log(xp.exp(shifted).sum(axis=self.axis, keepdims=True))
        return self.y

    def backward(self, grad: Array) -> Array:
        """Grad - softmax · Σ grad."""
        return grad - xp.exp(self.y) * grad.sum(axis=self.axis, keepdims=True)


class SoftmaxCrossEntropy(Function):
    """Mean cross-entropy of softmax(logits) against labels, in one kernel."""

    def forward(self, logits: Array, labels: Array) -> Array:
        """(n, classes) and (n,) give a 0-d loss; its gradient is a by-product, and is kept."""
        loss, self.gradient = active().softmax_cross_entropy(logits, labels)
        return loss

    def backward(self, grad: Array) -> tuple[Array, None]:
        """(softmax - one-hot) / n, times the gradient from above."""
        return self.gradient * grad, None
