"""Functions of each element alone, with NumPy's names."""

from __future__ import annotations

import math
from typing import Any, ClassVar, TypeVar

import numpy as np

from backends import Array, active, xp
from scratchnet.core.function import Function

T = TypeVar("T", bound=Any)
"""A Variable or an array: what a function takes is what it gives."""


quiet = np.errstate(under="ignore")
"""Around a formula: what is too small for the dtype becomes 0 there, which is no fault."""


class Elementwise(Function):
    """A function of each element alone.

    Attributes:
        domain: the interval in which it is defined; the tests draw their samples from it.
    """

    domain: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    samples = ([()], {}), ([(3,)], {}), ([(2, 1, 3)], {}), ([(0, 2)], {})


def at_least_float32(x: Array) -> Array:
    """The array; float16 as float32, for what would lose its digits on the way to the result."""
    return x.astype(xp.float32) if x.dtype.char == "e" else x


class Abs(Elementwise):
    """|x|. At 0 the gradient is 0."""

    rule = "∂L/∂x = grad · sign(x)"
    operations = (1, 1)

    def forward(self, x: Array) -> Array:
        """The absolute value."""
        self.keep(x)
        return xp.abs(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """The sign."""
        return grad * sign(x)


def absolute(x: T) -> T:
    """The absolute value of each element; at 0 the gradient is 0."""
    return Abs().on(x)


class Sign(Elementwise):
    """-1, 0 or 1. Its gradient is 0."""

    rule = "∂L/∂x = 0"
    operations = (1, 1)

    def forward(self, x: Array) -> Array:
        """The sign."""
        return xp.sign(x)

    def backward(self, grad: Any) -> Any:
        """Zero, for it is constant almost everywhere."""
        return grad * 0.0


def sign(x: T) -> T:
    """-1, 0 or 1 for each element; its gradient is 0."""
    return Sign().on(x)


class Floor(Elementwise):
    """The largest integer that is not larger than x. Its gradient is 0."""

    rule = "∂L/∂x = 0"
    operations = (1, 1)

    def forward(self, x: Array) -> Array:
        """Rounded down."""
        return xp.floor(x)

    def backward(self, grad: Any) -> Any:
        """Zero, for it is constant almost everywhere."""
        return grad * 0.0


def floor(x: T) -> T:
    """Each element rounded down; its gradient is 0."""
    return Floor().on(x)


class Ceil(Elementwise):
    """The smallest integer that is not smaller than x. Its gradient is 0."""

    rule = "∂L/∂x = 0"
    operations = (1, 1)

    def forward(self, x: Array) -> Array:
        """Rounded up."""
        return xp.ceil(x)

    def backward(self, grad: Any) -> Any:
        """Zero, for it is constant almost everywhere."""
        return grad * 0.0


def ceil(x: T) -> T:
    """Each element rounded up; its gradient is 0."""
    return Ceil().on(x)


class Square(Elementwise):
    """x²."""

    rule = "∂L/∂x = grad · 2 · x"
    operations = (1, 2)

    def forward(self, x: Array) -> Array:
        """The square."""
        self.keep(x)
        return xp.square(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """2x."""
        return grad * (2 * x)


def square(x: T) -> T:
    """The square of each element."""
    return Square().on(x)


class Sqrt(Elementwise):
    """The square root."""

    rule = "∂L/∂x = grad / (2 · y)"
    operations = (1, 2)
    domain = (0.0, math.inf)

    def forward(self, x: Array) -> Array:
        """The root."""
        y = xp.sqrt(x)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """1 / 2y."""
        return grad / (2 * y)


def sqrt(x: T) -> T:
    """The square root of each element."""
    return Sqrt().on(x)


class Exp(Elementwise):
    """exp(x)."""

    rule = "∂L/∂x = grad · exp(x)"
    operations = (1, 1)

    def forward(self, x: Array) -> Array:
        """The exponential."""
        y = xp.exp(x)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """y, its own derivative."""
        return grad * y


def exp(x: T) -> T:
    """The exponential of each element."""
    return Exp().on(x)


class Expm1(Elementwise):
    """exp(x) - 1, exact also near 0."""

    rule = "∂L/∂x = grad · exp(x)"
    operations = (1, 2)

    def forward(self, x: Array) -> Array:
        """The exponential, less 1."""
        self.keep(x)
        return xp.expm1(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """exp(x)."""
        return grad * exp(x)


def expm1(x: T) -> T:
    """exp(x) - 1 of each element, exact also near 0."""
    return Expm1().on(x)


class Log(Elementwise):
    """The natural logarithm."""

    rule = "∂L/∂x = grad / x"
    operations = (1, 1)
    domain = (0.0, math.inf)

    def forward(self, x: Array) -> Array:
        """The logarithm."""
        self.keep(x)
        return xp.log(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """1/x."""
        return grad / x


def log(x: T) -> T:
    """The natural logarithm of each element."""
    return Log().on(x)


class Log1p(Elementwise):
    """log(1 + x), exact also near 0."""

    rule = "∂L/∂x = grad / (1 + x)"
    operations = (1, 2)
    domain = (-1.0, math.inf)

    def forward(self, x: Array) -> Array:
        """The logarithm of 1 more."""
        self.keep(x)
        return xp.log1p(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """1 / (1 + x)."""
        return grad / (1 + x)


def log1p(x: T) -> T:
    """log(1 + x) of each element, exact also near 0."""
    return Log1p().on(x)


class Log2(Elementwise):
    """The logarithm to base 2."""

    rule = "∂L/∂x = grad / (x · log(2))"
    operations = (1, 2)
    domain = (0.0, math.inf)

    def forward(self, x: Array) -> Array:
        """The logarithm."""
        self.keep(x)
        return xp.log2(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """1 / (x log 2)."""
        return grad / (x * math.log(2))


def log2(x: T) -> T:
    """The logarithm to base 2 of each element."""
    return Log2().on(x)


class Log10(Elementwise):
    """The logarithm to base 10."""

    rule = "∂L/∂x = grad / (x · log(10))"
    operations = (1, 2)
    domain = (0.0, math.inf)

    def forward(self, x: Array) -> Array:
        """The logarithm."""
        self.keep(x)
        return xp.log10(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """1 / (x log 10)."""
        return grad / (x * math.log(10))


def log10(x: T) -> T:
    """The logarithm to base 10 of each element."""
    return Log10().on(x)


class Sin(Elementwise):
    """The sine."""

    rule = "∂L/∂x = grad · cos(x)"
    operations = (1, 2)

    def forward(self, x: Array) -> Array:
        """The sine; x in radians."""
        self.keep(x)
        return xp.sin(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """The cosine."""
        return grad * cos(x)


def sin(x: T) -> T:
    """The sine of each element, in radians."""
    return Sin().on(x)


class Cos(Elementwise):
    """The cosine."""

    rule = "∂L/∂x = −grad · sin(x)"
    operations = (1, 3)

    def forward(self, x: Array) -> Array:
        """The cosine; x in radians."""
        self.keep(x)
        return xp.cos(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """The sine, negated."""
        return -grad * sin(x)


def cos(x: T) -> T:
    """The cosine of each element, in radians."""
    return Cos().on(x)


class Tan(Elementwise):
    """The tangent."""

    rule = "∂L/∂x = grad · (1 + y²)"
    operations = (1, 3)

    def forward(self, x: Array) -> Array:
        """The tangent; x in radians."""
        y = xp.tan(x)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """1 + y²."""
        return grad * (1 + y * y)


def tan(x: T) -> T:
    """The tangent of each element, in radians."""
    return Tan().on(x)


class Arcsin(Elementwise):
    """The inverse sine."""

    rule = "∂L/∂x = grad / sqrt((1 − x) · (1 + x))"
    operations = (1, 5)
    domain = (-1.0, 1.0)

    def forward(self, x: Array) -> Array:
        """The angle, in radians."""
        self.keep(x)
        return xp.arcsin(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """1 / √(1 - x²)."""
        return grad / sqrt((1 - x) * (1 + x))


def arcsin(x: T) -> T:
    """The inverse sine of each element, in radians."""
    return Arcsin().on(x)


class Arccos(Elementwise):
    """The inverse cosine."""

    rule = "∂L/∂x = −grad / sqrt((1 − x) · (1 + x))"
    operations = (1, 6)
    domain = (-1.0, 1.0)

    def forward(self, x: Array) -> Array:
        """The angle, in radians."""
        self.keep(x)
        return xp.arccos(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """-1 / √(1 - x²)."""
        return -grad / sqrt((1 - x) * (1 + x))


def arccos(x: T) -> T:
    """The inverse cosine of each element, in radians."""
    return Arccos().on(x)


class Arctan(Elementwise):
    """The inverse tangent."""

    rule = "∂L/∂x = grad / (1 + x²)"
    operations = (1, 3)

    def forward(self, x: Array) -> Array:
        """The angle, in radians."""
        self.keep(x)
        return xp.arctan(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """1 / (1 + x²)."""
        return grad / (1 + x * x)


def arctan(x: T) -> T:
    """The inverse tangent of each element, in radians."""
    return Arctan().on(x)


class Sinh(Elementwise):
    """The hyperbolic sine."""

    rule = "∂L/∂x = grad · cosh(x)"
    operations = (1, 2)

    def forward(self, x: Array) -> Array:
        """The sine."""
        self.keep(x)
        return xp.sinh(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """The hyperbolic cosine."""
        return grad * cosh(x)


def sinh(x: T) -> T:
    """The hyperbolic sine of each element."""
    return Sinh().on(x)


class Cosh(Elementwise):
    """The hyperbolic cosine."""

    rule = "∂L/∂x = grad · sinh(x)"
    operations = (1, 2)

    def forward(self, x: Array) -> Array:
        """The cosine."""
        self.keep(x)
        return xp.cosh(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """The hyperbolic sine."""
        return grad * sinh(x)


def cosh(x: T) -> T:
    """The hyperbolic cosine of each element."""
    return Cosh().on(x)


class Erf(Elementwise):
    """The error function, 2/√π times the integral of exp(-t²) from 0 to x."""

    rule = "∂L/∂x = grad · 2 · exp(−x²) / sqrt(π)"
    operations = (60, 5)

    @quiet
    def forward(self, x: Array) -> Array:
        """The function's value, from -1 to 1."""
        self.keep(x)
        return active().erf(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """2/√π · exp(-x²)."""
        return grad * (exp(-square(x)) * _TWO_BY_ROOT_PI)


def erf(x: T) -> T:
    """The error function of each element."""
    return Erf().on(x)


class Erfc(Elementwise):
    """1 - erf(x), without the loss of digits where erf(x) is nearly 1."""

    rule = "∂L/∂x = −grad · 2 · exp(−x²) / sqrt(π)"
    operations = (60, 6)

    @quiet
    def forward(self, x: Array) -> Array:
        """The complement, from 0 to 2."""
        self.keep(x)
        return active().erfc(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """-2/√π · exp(-x²)."""
        return -grad * (exp(-square(x)) * _TWO_BY_ROOT_PI)


def erfc(x: T) -> T:
    """1 - erf(x) of each element, exact also where erf(x) is nearly 1."""
    return Erfc().on(x)


_TWO_BY_ROOT_PI = 2 / math.sqrt(math.pi)
