"""Functions of each element alone."""

from __future__ import annotations

from typing import Any

from backends import Array, xp
from scratchnet.core.function import Function


class Exp(Function):
    """exp(x)."""

    rule = "∂L/∂x = grad · exp(x)"

    def forward(self, x: Array) -> Array:
        """The exponential."""
        y = xp.exp(x)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """y, its own derivative."""
        return grad * y


class Log(Function):
    """The natural logarithm."""

    rule = "∂L/∂x = grad / x"

    def forward(self, x: Array) -> Array:
        """The logarithm."""
        self.keep(x)
        return xp.log(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """1/x."""
        return grad / x


def exp(x: Any) -> Any:
    """The exponential of each element."""
    return Exp().on(x)


def log(x: Any) -> Any:
    """The natural logarithm of each element."""
    return Log().on(x)
