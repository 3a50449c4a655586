"""Choices between elements."""

from __future__ import annotations

from typing import Any

from backends import Array, xp
from scratchnet.core.function import Function, array_of


class Where(Function):
    """a where a condition holds, b elsewhere."""

    rule = "∂L/∂a = grad where the condition holds, 0 elsewhere; ∂L/∂b = the reverse"

    def __init__(self, condition: Array) -> None:
        """The condition: booleans."""
        self.condition = condition

    def forward(self, a: Array, b: Array) -> Array:
        """Elementwise and broadcasting."""
        return xp.where(self.condition, a, b)

    def backward(self, grad: Any) -> tuple[Any, Any]:
        """To each where it was taken."""
        return grad * self.condition, grad * ~self.condition


def where(condition: Any, a: Any, b: Any) -> Any:
    """Return a where the condition holds, b elsewhere; all three broadcast, as in NumPy."""
    return Where(xp.asarray(array_of(condition), bool)).on(a, b)
