"""Choices between elements. If two compared elements are equal, each gets half of the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backends import Array, active, xp
from scratchnet.core.function import Function, Operand, Sample, T
from scratchnet.errors import OperandError

BROADCAST: Sequence[Sample] = (
    ([(), ()], {}),
    ([(3,), ()], {}),
    ([(2, 3), (3,)], {}),
    ([(2, 1), (4, 1, 3)], {}),
    ([(0, 3), (3,)], {}),
)
"""The samples of a Function that works element by element on two operands."""


class Where(Function):
    """a where a condition holds, b elsewhere."""

    rule = (
        "∂L/∂a = grad where the condition holds, 0 elsewhere; ∂L/∂b = 0 where it holds, grad elsewhere"
    )
    operations = (0, 0, 1, 1)
    samples = (
        ([[True, False], (2,), (2,)], {}),
        ([[True, False], (3, 1), (2,)], {}),
        ([[True, False], (), ()], {}),
        ([[True, False], (0, 2), (2,)], {}),
    )

    def forward(self, condition: Array, a: Array, b: Array) -> Array:
        """Select element by element; the operands broadcast."""
        self.keep(condition)
        return xp.where(condition, a, b)

    def backward(self, grad: Any, condition: Any) -> tuple[None, Any, Any]:
        """Give grad to the one that was selected, and 0 to the other."""
        return None, where(condition, grad, 0.0), where(condition, 0.0, grad)


class Maximum(Function):
    """The larger of a and b."""

    rule = "∂L/∂a = grad where a > b, half of it where a = b; ∂L/∂b = grad where b > a, half where b = a"
    operations = (1, 2, 2)
    samples = BROADCAST

    def forward(self, a: Array, b: Array) -> Array:
        """The larger elements; NaN where a or b is NaN."""
        self.keep(a, b)
        return xp.maximum(a, b)

    def backward(self, grad: Any, a: Any, b: Any) -> tuple[Any, Any]:
        """Pass grad to the larger operand; half of it to each where they are equal."""
        return _to_the_larger(self.needs_grad, grad, a, b)


class Minimum(Function):
    """The smaller of a and b."""

    rule = "∂L/∂a = grad where a < b, half of it where a = b; ∂L/∂b = grad where b < a, half where b = a"
    operations = (1, 2, 2)
    samples = BROADCAST

    def forward(self, a: Array, b: Array) -> Array:
        """The smaller elements; NaN where a or b is NaN."""
        self.keep(a, b)
        return xp.minimum(a, b)

    def backward(self, grad: Any, a: Any, b: Any) -> tuple[Any, Any]:
        """Pass grad to the smaller operand; half of it to each where they are equal."""
        return _to_the_larger(self.needs_grad, grad, b, a)  # a gets grad where b > a


def _to_the_larger(needs_grad: tuple[bool, ...], grad: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Return grad where a > b, and grad where b > a; half of it where they are equal."""
    half = grad * 0.5
    first = masked(half, a > b) + masked(half, a >= b) if needs_grad[0] else None
    return first, masked(half, b > a) + masked(half, b >= a) if needs_grad[1] else None


def where(condition: Any, a: Any, b: Any) -> Any:
    """Return a where the condition holds, and b elsewhere.

    Args:
        condition: booleans: an array, a Variable or a list.
        a: a Variable, an array or a number.
        b: as `a`. All three are broadcast to one shape, as in NumPy.

    Raises:
        OperandError: the condition does not hold booleans or numbers.
        ShapeError: the shapes do not fit together.
    """
    if not isinstance(condition, Operand):
        condition = condition if hasattr(condition, "dtype") else xp.asarray(condition)
        if condition.dtype.kind not in "biuf":
            raise OperandError(f"where: the condition is of {condition.dtype}; give booleans")
    if isinstance(a, np.generic) and isinstance(b, np.generic):
        a, b = xp.asarray(a), xp.asarray(b)  # nothing else determines the dtype of the result
    return Where().on(condition, a, b)


def masked(grad: Any, mask: Array) -> Any:
    """Return grad where the mask is True, and 0 elsewhere.

    Args:
        grad: a Variable or an array that broadcasts with the mask. Where it is infinite, `grad * mask`
            would be NaN.
        mask: booleans.
    """
    return Where().on(mask, grad, 0.0) if isinstance(grad, Operand) else active().masked(grad, mask)


def zeros_like(grad: Any) -> Any:
    """Return zeros in place of a gradient."""
    return masked(grad, xp.zeros((), bool))


def maximum(a: Any, b: Any) -> Any:
    """Return the larger of each pair of elements.

    If two elements are equal, each gets half of the gradient. NaN in one operand gives NaN.

    Args:
        a: a Variable, an array or a number.
        b: as `a`. Both are broadcast to one shape.

    Raises:
        ShapeError: the shapes do not fit together.
    """
    return Maximum().on(a, b)


def minimum(a: Any, b: Any) -> Any:
    """Return the smaller of each pair of elements.

    If two elements are equal, each gets half of the gradient. NaN in one operand gives NaN.

    Args:
        a: a Variable, an array or a number.
        b: as `a`. Both are broadcast to one shape.

    Raises:
        ShapeError: the shapes do not fit together.
    """
    return Minimum().on(a, b)


def clip(x: T, min: Any = None, max: Any = None) -> T:
    """Return each element, limited to the range from `min` to `max`.

    If an element equals a bound, it gets half of the gradient.

    Args:
        x: a Variable or an array of any shape.
        min: the lowest value: a number, or an array or a Variable that broadcasts with x. None means no
            lower bound.
        max: the highest value, as `min`.

    Raises:
        OperandError: both bounds are None.
        ShapeError: the shapes do not fit together.
    """
    if min is None and max is None:
        raise OperandError("clip: give a lower bound, an upper bound, or both")
    x = x if min is None else maximum(x, min)
    return x if max is None else minimum(x, max)
