"""Functions that work on each element alone. They have the names that NumPy gives them.

Each function takes a Variable or an array of any shape. The result has the same shape. If x is
floating-point, the result also has the same dtype. Outside the domain of a function, the result is NaN
or infinity, as in NumPy.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from backends import Array, active, xp
from scratchnet.core.function import Function, T
from scratchnet.functions.comparison import masked, zeros_like


class Elementwise(Function):
    """Base class of functions that work on each element alone.

    Attributes:
        domain: the interval on which the function is defined; the tests draw their samples from it.
    """

    domain: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    samples = ([()], {}), ([(3,)], {}), ([(2, 1, 3)], {}), ([(0, 2)], {})


def at_least_float32(x: Array) -> Array:
    """Return the array as floating: float16 as float32, and integers in the type of `np.exp(x)`."""
    dtype = xp.result_type(x.dtype, xp.float16)
    return x.astype(xp.float32 if dtype == xp.float16 else dtype, copy=False)


def narrowed(y: Array, x: Array) -> Array:
    """Return y in the dtype of a function of x: that of x, or, for integers, that of `np.exp(x)`."""
    return y.astype(xp.result_type(x.dtype, xp.float16), copy=False)


class Abs(Elementwise):
    """|x|. At 0 the gradient is 0."""

    rule = "∂L/∂x = grad · sign(x)"
    operations = (1, 1)

    def forward(self, x: Array) -> Array:
        """The absolute value."""
        self.keep(x)
        return xp.abs(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """Multiply grad by the sign of x."""
        return masked(grad, x != 0) * sign(x)


def absolute(x: T) -> T:
    """Return the absolute value of each element; at 0 the gradient is 0."""
    return Abs().on(x)


class Sign(Elementwise):
    """-1, 0 or 1. Its gradient is 0."""

    rule = "∂L/∂x = 0"
    operations = (1, 1)

    def forward(self, x: Array) -> Array:
        """The sign."""
        return xp.sign(x)

    def backward(self, grad: Any) -> Any:
        """Zero, because it is constant almost everywhere."""
        return zeros_like(grad)


def sign(x: T) -> T:
    """Return the sign of each element: -1, 0 or 1. The gradient is 0."""
    return Sign().on(x)


class Floor(Elementwise):
    """The largest integer that is not larger than x. Its gradient is 0."""

    rule = "∂L/∂x = 0"
    operations = (1, 1)

    def forward(self, x: Array) -> Array:
        """The number rounded down."""
        return xp.floor(x)

    def backward(self, grad: Any) -> Any:
        """Zero, because it is constant almost everywhere."""
        return zeros_like(grad)


def floor(x: T) -> T:
    """Return each element rounded down to an integer value. The gradient is 0."""
    return Floor().on(x)


class Ceil(Elementwise):
    """The smallest integer that is not smaller than x. Its gradient is 0."""

    rule = "∂L/∂x = 0"
    operations = (1, 1)

    def forward(self, x: Array) -> Array:
        """The number rounded up."""
        return xp.ceil(x)

    def backward(self, grad: Any) -> Any:
        """Zero, because it is constant almost everywhere."""
        return zeros_like(grad)


def ceil(x: T) -> T:
    """Return each element rounded up to an integer value. The gradient is 0."""
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
        """Multiply grad by 2x."""
        return grad * (2 * x)


def square(x: T) -> T:
    """Return the square of each element."""
    return Square().on(x)


class Sqrt(Elementwise):
    """The square root."""

    rule = "∂L/∂x = grad / (2 · y)"
    operations = (1, 2)
    domain = (0.0, math.inf)

    def forward(self, x: Array) -> Array:
        """The square root."""
        y = xp.sqrt(x)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """Divide grad by 2y."""
        return grad / (2 * y)


def sqrt(x: T) -> T:
    """Return the square root of each element."""
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
        """Multiply grad by y; the exponential is its own derivative."""
        return grad * y


def exp(x: T) -> T:
    """Return the exponential of each element."""
    return Exp().on(x)


class Expm1(Elementwise):
    """exp(x) - 1, accurate also for x near 0."""

    rule = "∂L/∂x = grad · exp(x)"
    operations = (1, 2)

    def forward(self, x: Array) -> Array:
        """The exponential minus 1."""
        self.keep(x)
        return xp.expm1(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """Multiply grad by exp(x)."""
        return grad * exp(x)


def expm1(x: T) -> T:
    """Return exp(x) - 1 for each element x, accurate also near 0."""
    return Expm1().on(x)


class Log(Elementwise):
    """The natural logarithm."""

    rule = "∂L/∂x = grad / x"
    operations = (1, 1)
    domain = (0.0, math.inf)

    def forward(self, x: Array) -> Array:
        """The logarithm of x."""
        self.keep(x)
        return xp.log(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """Divide grad by x."""
        return grad / x


def log(x: T) -> T:
    """Return the natural logarithm of each element."""
    return Log().on(x)


class Log1p(Elementwise):
    """log(1 + x), accurate also for x near 0."""

    rule = "∂L/∂x = grad / (1 + x)"
    operations = (1, 2)
    domain = (-1.0, math.inf)

    def forward(self, x: Array) -> Array:
        """The logarithm of 1 + x."""
        self.keep(x)
        return xp.log1p(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """Divide grad by 1 + x."""
        return grad / (1 + x)


def log1p(x: T) -> T:
    """Return log(1 + x) for each element x, accurate also near 0."""
    return Log1p().on(x)


class Log2(Elementwise):
    """The logarithm to base 2."""

    rule = "∂L/∂x = grad / (x · log(2))"
    operations = (1, 2)
    domain = (0.0, math.inf)

    def forward(self, x: Array) -> Array:
        """The logarithm of x."""
        self.keep(x)
        return xp.log2(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """Divide grad by x · log(2)."""
        return grad / (x * math.log(2))


def log2(x: T) -> T:
    """Return the logarithm to base 2 of each element."""
    return Log2().on(x)


class Log10(Elementwise):
    """The logarithm to base 10."""

    rule = "∂L/∂x = grad / (x · log(10))"
    operations = (1, 2)
    domain = (0.0, math.inf)

    def forward(self, x: Array) -> Array:
        """The logarithm of x."""
        self.keep(x)
        return xp.log10(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """Divide grad by x · log(10)."""
        return grad / (x * math.log(10))


def log10(x: T) -> T:
    """Return the logarithm to base 10 of each element."""
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
        """Multiply grad by the cosine of x."""
        return grad * cos(x)


def sin(x: T) -> T:
    """Return the sine of each element, an angle in radians."""
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
        """Multiply grad by -sin(x)."""
        return -grad * sin(x)


def cos(x: T) -> T:
    """Return the cosine of each element, an angle in radians."""
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
        """Multiply grad by 1 + y²."""
        return grad * (1 + y * y)


def tan(x: T) -> T:
    """Return the tangent of each element, an angle in radians."""
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
        """Divide grad by √(1 - x²)."""
        return grad / sqrt((1 - x) * (1 + x))


def arcsin(x: T) -> T:
    """Return the inverse sine of each element, in radians, from -π/2 to π/2."""
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
        """Divide -grad by √(1 - x²)."""
        return -grad / sqrt((1 - x) * (1 + x))


def arccos(x: T) -> T:
    """Return the inverse cosine of each element, in radians, from 0 to π."""
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
        """Divide grad by 1 + x²."""
        return grad / (1 + x * x)


def arctan(x: T) -> T:
    """Return the inverse tangent of each element, in radians, from -π/2 to π/2."""
    return Arctan().on(x)


class Sinh(Elementwise):
    """The hyperbolic sine."""

    rule = "∂L/∂x = grad · cosh(x)"
    operations = (1, 2)

    def forward(self, x: Array) -> Array:
        """The hyperbolic sine."""
        self.keep(x)
        return xp.sinh(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """Multiply grad by the hyperbolic cosine of x."""
        return grad * cosh(x)


def sinh(x: T) -> T:
    """Return the hyperbolic sine of each element."""
    return Sinh().on(x)


class Cosh(Elementwise):
    """The hyperbolic cosine."""

    rule = "∂L/∂x = grad · sinh(x)"
    operations = (1, 2)

    def forward(self, x: Array) -> Array:
        """The hyperbolic cosine."""
        self.keep(x)
        return xp.cosh(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """Multiply grad by the hyperbolic sine of x."""
        return grad * sinh(x)


def cosh(x: T) -> T:
    """Return the hyperbolic cosine of each element."""
    return Cosh().on(x)


class Erf(Elementwise):
    """The error function, 2/√π times the integral of exp(-t²) from 0 to x."""

    rule = "∂L/∂x = grad · 2 · exp(−x²) / sqrt(π)"
    operations = (60, 5)

    def forward(self, x: Array) -> Array:
        """The error function, from -1 to 1."""
        self.keep(x)
        return narrowed(active().erf(at_least_float32(x)), x)

    def backward(self, grad: Any, x: Any) -> Any:
        """Multiply grad by 2/√π · exp(-x²)."""
        return grad * (exp(-square(x)) * _TWO_BY_ROOT_PI)


def erf(x: T) -> T:
    """Return the error function of each element, from -1 to 1."""
    return Erf().on(x)


class Erfc(Elementwise):
    """1 - erf(x), accurate also where erf(x) is nearly 1."""

    rule = "∂L/∂x = −grad · 2 · exp(−x²) / sqrt(π)"
    operations = (60, 6)

    def forward(self, x: Array) -> Array:
        """The complement of the error function, from 0 to 2."""
        self.keep(x)
        return narrowed(active().erfc(at_least_float32(x)), x)

    def backward(self, grad: Any, x: Any) -> Any:
        """Multiply grad by -2/√π · exp(-x²)."""
        return -grad * (exp(-square(x)) * _TWO_BY_ROOT_PI)


def erfc(x: T) -> T:
    """Return 1 - erf(x) for each element x, accurate also where erf(x) is nearly 1."""
    return Erfc().on(x)


_TWO_BY_ROOT_PI = 2 / math.sqrt(math.pi)
