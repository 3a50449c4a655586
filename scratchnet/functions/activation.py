"""Activations: what makes a network more than one linear map."""

from __future__ import annotations

from typing import Any

from backends import Array, active, xp
from scratchnet.core.function import Function, plain
from scratchnet.functions.elementwise import Elementwise


class Tanh(Elementwise):
    """The hyperbolic tangent."""

    rule = "∂L/∂x = grad · (1 − y²)"

    def forward(self, x: Array) -> Array:
        """The tangent."""
        y = xp.tanh(x)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """1 - y²."""
        return grad * (1 - y * y)


class Sigmoid(Elementwise):
    """1 / (1 + exp(-x)), without the overflow for negative x, and without the loss of its digits."""

    rule = "∂L/∂x = grad · y · (1 − y)"

    def forward(self, x: Array) -> Array:
        """The logistic function."""
        small = xp.exp(-xp.abs(x))
        y = xp.where(x >= 0, 1, small) / (1 + small)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """Times y (1 - y)."""
        return grad * y * (1 - y)


class Threshold(Function):
    """max(x, d). At x = d the gradient is 0."""

    rule = "∂L/∂x = grad · (x > d)"

    def __init__(self, d: float) -> None:
        """The threshold d, a number."""
        self.d = plain(d)

    def forward(self, x: Array) -> Array:
        """The larger of x and d."""
        self.keep(x)
        return active().threshold(x, self.d)

    def backward(self, grad: Any, x: Any) -> Any:
        """Passed on where x is higher than d."""
        return grad * (x > self.d)


class ReLU(Function):
    """max(x, 0), the rectified linear unit. At x = 0 the gradient is 0."""

    rule = "∂L/∂x = grad · (x > 0)"

    def forward(self, x: Array) -> Array:
        """The larger of x and 0."""
        self.keep(x)
        return active().threshold(x, 0.0)

    def backward(self, grad: Any, x: Any) -> Any:
        """Passed on where x is positive."""
        return grad * (x > 0)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent of each element."""
    return Tanh().on(x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) of each element."""
    return Sigmoid().on(x)


def threshold(x: Any, d: float) -> Any:
    """max(x, d) of each element; at x = d the gradient is 0."""
    return Threshold(d).on(x)


def relu(x: Any) -> Any:
    """max(x, 0) of each element; at x = 0 the gradient is 0."""
    return ReLU().on(x)
