"""The arithmetic operators. They work element by element and broadcast their operands."""

from __future__ import annotations

import math
from typing import Any

from backends import Array
from scratchnet.core.function import Function
from scratchnet.functions.comparison import BROADCAST, where, zeros_like
from scratchnet.functions.elementwise import log


class Add(Function):
    """a + b."""

    rule = "∂L/∂a = grad; ∂L/∂b = grad"
    operations = (1, 0, 0)
    samples = BROADCAST

    def forward(self, a: Array, b: Array) -> Array:
        """The sum."""
        return a + b

    def backward(self, grad: Any) -> tuple[Any, Any]:
        """Pass grad to both operands."""
        return grad, grad


class Sub(Function):
    """a - b."""

    rule = "∂L/∂a = grad; ∂L/∂b = −grad"
    operations = (1, 0, 1)
    samples = BROADCAST

    def forward(self, a: Array, b: Array) -> Array:
        """The difference."""
        return a - b

    def backward(self, grad: Any) -> tuple[Any, Any]:
        """Pass grad to a, and -grad to b."""
        return grad, -grad


class Mul(Function):
    """a * b."""

    rule = "∂L/∂a = grad · b; ∂L/∂b = grad · a"
    operations = (1, 1, 1)
    samples = BROADCAST

    def forward(self, a: Array, b: Array) -> Array:
        """The product."""
        self.keep(a if self.needs_grad[1] else None, b if self.needs_grad[0] else None)
        return a * b

    def backward(self, grad: Any, a: Any, b: Any) -> tuple[Any, Any]:
        """For each operand, multiply grad by the other operand."""
        return None if b is None else grad * b, None if a is None else grad * a


class Div(Function):
    """a / b."""

    rule = "∂L/∂a = grad / b; ∂L/∂b = −grad · a / b²"
    operations = (1, 1, 4)
    samples = BROADCAST

    def forward(self, a: Array, b: Array) -> Array:
        """The quotient."""
        self.keep(a if self.needs_grad[1] else None, b)
        return a / b

    def backward(self, grad: Any, a: Any, b: Any) -> tuple[Any, Any]:
        """Multiply grad by 1/b for a, and by -a/b² for b."""
        return grad / b, None if a is None else -grad * (a / b) / b


class Neg(Function):
    """-a."""

    rule = "∂L/∂a = −grad"
    operations = (1, 1)
    samples = ([()], {}), ([(3,)], {}), ([(0, 2)], {})

    def forward(self, a: Array) -> Array:
        """The negative."""
        return -a

    def backward(self, grad: Any) -> Any:
        """Negate grad."""
        return -grad


class Pow(Function):
    """base ** exponent.

    The gradient at the exponent is base**exponent · log(base). At base 0 we use the limit: 0 if the
    exponent is at least 0, and -inf if it is negative. A negative base has no real logarithm, so the
    gradient is NaN.
    """

    rule = (
        "∂L/∂base = grad · exponent · base^(exponent − 1), 0 where exponent = 0; "
        "∂L/∂exponent = grad · y · log(base), 0 where base = 0 ≤ exponent"
    )
    operations = (1, 3, 3)
    samples = BROADCAST

    def forward(self, base: Array, exponent: Array) -> Array:
        """The power."""
        power = base**exponent
        self.keep(base, exponent, power if self.needs_grad[1] else None)
        return power

    def backward(self, grad: Any, base: Any, exponent: Any, power: Any) -> tuple[Any, Any]:
        """Multiply grad by the derivatives exponent · base**(exponent - 1) and power · log(base)."""
        to_base = to_exponent = None
        if self.needs_grad[0]:
            to_base = _times_slope(grad, base, exponent)
        if self.needs_grad[1]:
            to_exponent = grad * (power * _log(base, exponent))
        return to_base, to_exponent


def _times_slope(grad: Any, base: Any, exponent: Any) -> Any:
    """Return grad times the slope at the base: 0 at exponent 0, where 0 · base**-1 could be 0 · ∞."""
    if isinstance(exponent, (int, float)):
        return grad * (exponent * base ** (exponent - 1)) if exponent else zeros_like(grad)
    constant = exponent == 0
    return where(constant, 0.0, grad * (exponent * base ** where(constant, 1.0, exponent - 1)))


def _log(base: Any, exponent: Any) -> Any:
    """Return log(base), but 0 where the base is 0 and the exponent is at least 0."""
    if isinstance(base, (int, float)):
        if base != 0:
            return math.log(base) if base > 0 else math.nan
        return where(exponent >= 0, 0.0, -math.inf)
    return log(where((base == 0) & (exponent >= 0), 1.0, base))
