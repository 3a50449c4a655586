"""The operators of arithmetic, elementwise and broadcasting."""

from __future__ import annotations

import math

from backends import Array, xp
from scratchnet.core.function import Function


class Add(Function):
    """a + b."""

    rule = "∂L/∂a = grad; ∂L/∂b = grad"

    def forward(self, a: Array, b: Array) -> Array:
        """The sum."""
        return a + b

    def backward(self, grad: Array) -> tuple[Array, Array]:
        """The gradient goes to both."""
        return grad, grad


class Sub(Function):
    """a - b."""

    rule = "∂L/∂a = grad; ∂L/∂b = −grad"

    def forward(self, a: Array, b: Array) -> Array:
        """The difference."""
        return a - b

    def backward(self, grad: Array) -> tuple[Array, Array]:
        """To a as it is, to b negated."""
        return grad, -grad


class Mul(Function):
    """a * b."""

    rule = "∂L/∂a = grad · b; ∂L/∂b = grad · a"

    def forward(self, a: Array, b: Array) -> Array:
        """The product."""
        self.a, self.b = a, b
        return a * b

    def backward(self, grad: Array) -> tuple[Array, Array]:
        """To each, times the other."""
        return grad * self.b, grad * self.a


class Div(Function):
    """a / b."""

    rule = "∂L/∂a = grad / b; ∂L/∂b = −grad · a / b²"

    def forward(self, a: Array, b: Array) -> Array:
        """The quotient."""
        self.a, self.b = a, b
        return a / b

    def backward(self, grad: Array) -> tuple[Array, Array]:
        """1/b, and -a/b²."""
        return grad / self.b, -grad * (self.a / self.b) / self.b


class Neg(Function):
    """-a."""

    rule = "∂L/∂a = −grad"

    def forward(self, a: Array) -> Array:
        """The negative."""
        return -a

    def backward(self, grad: Array) -> Array:
        """Negated."""
        return -grad


class Pow(Function):
    """base ** exponent.

    Where the base is 0, the gradient at the exponent, base**exponent · log(base), is taken as its
    limit 0. A negative base has no real logarithm: the gradient at its exponent is NaN.
    """

    rule = (
        "∂L/∂base = grad · exponent · base^(exponent − 1), 0 where exponent = 0; "
        "∂L/∂exponent = grad · y · log(base), with 0 for log(0)"
    )

    def forward(self, base: Array, exponent: Array) -> Array:
        """The power."""
        self.base, self.exponent = base, exponent
        self.power = base**exponent
        return self.power

    def backward(self, grad: Array) -> tuple[Array | None, Array | None]:
        """Exponent · base**(exponent - 1), and power · log(base)."""
        to_base = to_exponent = None
        if self.needs_grad[0]:
            to_base = grad * _slope(self.base, self.exponent)
        if self.needs_grad[1]:
            to_exponent = grad * self.power * _log(self.base)
        return to_base, to_exponent


def _slope(base: Array, exponent: Array | float) -> Array | float:
    """The derivative at the base. The power 0 is constant: 0, and not 0 · base**-1 = 0 · ∞."""
    if isinstance(exponent, (int, float)):
        return exponent * base ** (exponent - 1) if exponent else 0.0
    constant = exponent == 0
    slope = exponent * base ** xp.where(constant, 1, exponent - 1)
    return xp.where(constant, 0, slope)


def _log(base: Array | float) -> Array | float:
    """log(base), with 0 at base 0."""
    if isinstance(base, (int, float)):
        return math.log(base) if base > 0 else 0.0 if base == 0 else math.nan
    return xp.log(xp.where(base == 0, 1, base))
