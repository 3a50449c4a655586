"""Functions of each element alone."""

from __future__ import annotations

from backends import Array, active, xp
from scratchnet.core.function import Function, plain


class Exp(Function):
    """exp(x)."""

    rule = "∂L/∂x = grad · exp(x)"

    def forward(self, x: Array) -> Array:
        """The exponential."""
        self.y = xp.exp(x)
        return self.y

    def backward(self, grad: Array) -> Array:
        """y, its own derivative."""
        return grad * self.y


class Log(Function):
    """The natural logarithm."""

    rule = "∂L/∂x = grad / x"

    def forward(self, x: Array) -> Array:
        """The logarithm."""
        self.x = x
        return xp.log(x)

    def backward(self, grad: Array) -> Array:
        """1/x."""
        return grad / self.x


class Tanh(Function):
    """The hyperbolic tangent."""

    rule = "∂L/∂x = grad · (1 − y²)"

    def forward(self, x: Array) -> Array:
        """The tangent."""
        self.y = xp.tanh(x)
        return self.y

    def backward(self, grad: Array) -> Array:
        """1 - y²."""
        return grad * (1 - self.y * self.y)


class Sigmoid(Function):
    """1 / (1 + exp(-x)), written with tanh, which cannot overflow."""

    rule = "∂L/∂x = grad · y · (1 − y)"

    def forward(self, x: Array) -> Array:
        """The logistic function."""
        self.y = 0.5 * xp.tanh(0.5 * x) + 0.5
        return self.y

    def backward(self, grad: Array) -> Array:
        """Times y (1 - y)."""
        return grad * self.y * (1 - self.y)


class Threshold(Function):
    """max(x, d). At x = d the gradient is 0."""

    rule = "∂L/∂x = grad · (x > d)"
    d: float

    def __init__(self, d: float) -> None:
        """The threshold d, a number."""
        self.d = plain(d)

    def forward(self, x: Array) -> Array:
        """The larger of x and d."""
        self.x = x
        return active().threshold(x, self.d)

    def backward(self, grad: Array) -> Array:
        """Passed on where x is higher than d."""
        return grad * (self.x > self.d)


class ReLU(Threshold):
    """max(x, 0), the rectified linear unit. At x = 0 the gradient is 0."""

    rule = "∂L/∂x = grad · (x > 0)"
    d = 0.0

    def __init__(self) -> None:
        """The threshold is 0."""
