"""Choices between elements. Where two are equal, they share the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backends import Array, xp
from scratchnet.core.function import Function, Sample, array_of
from scratchnet.errors import OperandError
from scratchnet.functions.elementwise import T

BROADCAST: Sequence[Sample] = (
    ([(), ()], {}),
    ([(3,), ()], {}),
    ([(2, 3), (3,)], {}),
    ([(2, 1), (4, 1, 3)], {}),
    ([(0, 3), (3,)], {}),
)
"""Samples of what has two operands, element by element."""


class Where(Function):
    """a where a condition holds, b elsewhere."""

    rule = "∂L/∂a = grad where the condition holds, 0 elsewhere; ∂L/∂b = the reverse"
    operations = (0, 1, 1)
    samples = (
        ([(2,), (2,)], {"condition": [True, False]}),
        ([(3, 1), (2,)], {"condition": [True, False]}),
        ([(), ()], {"condition": True}),
        ([(0, 2), (2,)], {"condition": [True, False]}),
    )

    def __init__(self, condition: Array) -> None:
        """The condition: booleans."""
        self.condition = condition

    def forward(self, a: Array, b: Array) -> Array:
        """Elementwise and broadcasting."""
        self.condition = xp.asarray(array_of(self.condition), bool)
        return xp.where(self.condition, a, b)

    def backward(self, grad: Any) -> tuple[Any, Any]:
        """To each where it was taken."""
        return where(self.condition, grad, 0.0), where(self.condition, 0.0, grad)


class Maximum(Function):
    """The larger of a and b."""

    rule = "∂L/∂a = grad where a > b, half of it where a = b; ∂L/∂b = grad where b > a, half where b = a"
    operations = (1, 2, 2)
    samples = BROADCAST

    def forward(self, a: Array, b: Array) -> Array:
        """Elementwise and broadcasting; NaN where one of them is."""
        self.keep(a, b)
        return xp.maximum(a, b)

    def backward(self, grad: Any, a: Any, b: Any) -> tuple[Any, Any]:
        """To the larger one, and half to each where they are equal."""
        share = _share(a > b, a == b, grad)
        return grad * share, grad * (1 - share)


class Minimum(Function):
    """The smaller of a and b."""

    rule = "∂L/∂a = grad where a < b, half of it where a = b; ∂L/∂b = grad where b < a, half where b = a"
    operations = (1, 2, 2)
    samples = BROADCAST

    def forward(self, a: Array, b: Array) -> Array:
        """Elementwise and broadcasting; NaN where one of them is."""
        self.keep(a, b)
        return xp.minimum(a, b)

    def backward(self, grad: Any, a: Any, b: Any) -> tuple[Any, Any]:
        """To the smaller one, and half to each where they are equal."""
        share = _share(a < b, a == b, grad)
        return grad * share, grad * (1 - share)


def _share(wins: Array, ties: Array, grad: Any) -> Array:
    """1 where the first wins, 1/2 where they tie, 0 elsewhere, in the gradient's dtype."""
    return xp.asarray(wins).astype(grad.dtype) + xp.asarray(ties).astype(grad.dtype) / 2


def where(condition: Any, a: Any, b: Any) -> Any:
    """Return a where the condition holds, b elsewhere; all three broadcast, as in NumPy."""
    return Where(condition).on(a, b)


def maximum(a: Any, b: Any) -> Any:
    """The larger of each two elements; where they are equal, they share the gradient."""
    return Maximum().on(a, b)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of each two elements; where they are equal, they share the gradient."""
    return Minimum().on(a, b)


def clip(x: T, low: Any = None, high: Any = None) -> T:
    """Each element, or the bound that it exceeds; at a bound, x has half of the gradient.

    Args:
        x: a Variable or an array.
        low: the lowest value: a number, an array or a Variable; None for no bound.
        high: the highest value, as `low`.

    Raises:
        OperandError: there is no bound.
    """
    if low is None and high is None:
        raise OperandError("clip: give a lower bound, an upper bound, or both")
    x = x if low is None else maximum(x, low)
    return x if high is None else minimum(x, high)
