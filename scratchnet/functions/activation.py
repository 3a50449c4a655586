"""Activations. They make a network more than one linear map. The defaults are those of PyTorch.

Each function takes a Variable or an array of any shape. The result has the same shape. If x is
floating-point, the result also has the same dtype.
"""

from __future__ import annotations

import math
from typing import Any

from backends import Array, active, xp
from scratchnet.core.function import Function, Operand, T, plain
from scratchnet.errors import SettingError
from scratchnet.functions.comparison import masked, where
from scratchnet.functions.elementwise import (
    Elementwise,
    at_least_float32,
    erfc,
    exp,
    narrowed,
    square,
)
from scratchnet.functions.shape import in_float32

_FAR = 1000.0
"""Beyond it, the slopes of gelu and silu are 0 and 1. Their formulas would multiply infinity by 0."""


class Tanh(Elementwise):
    """The hyperbolic tangent."""

    rule = "∂L/∂x = grad · (1 − y²)"
    operations = (1, 3)

    def forward(self, x: Array) -> Array:
        """The hyperbolic tangent."""
        y = xp.tanh(x)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """Multiply grad by 1 - y²."""
        return grad * (1 - y * y)


def tanh(x: T) -> T:
    """Return the hyperbolic tangent of each element."""
    return Tanh().on(x)


class Sigmoid(Elementwise):
    """1 / (1 + exp(-x)), without overflow for negative x and without loss of digits."""

    rule = "∂L/∂x = grad · y · (1 − y)"
    operations = (4, 3)

    def forward(self, x: Array) -> Array:
        """The logistic function."""
        wide = at_least_float32(x)
        y = narrowed(xp.exp(xp.minimum(wide, 0)) / (1 + xp.exp(-xp.abs(wide))), x)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """Multiply grad by y · (1 - y)."""
        return grad * y * (1 - y)


def sigmoid(x: T) -> T:
    """Return 1 / (1 + exp(-x)) for each element."""
    return Sigmoid().on(x)


class LogSigmoid(Elementwise):
    """The logarithm of the sigmoid, -log(1 + exp(-x)), more accurate than the two functions in turn."""

    rule = "∂L/∂x = grad · sigmoid(−x)"
    operations = (5, 6)

    def forward(self, x: Array) -> Array:
        """The logarithm, which is at most 0."""
        self.keep(x)
        wide = at_least_float32(x)
        y = xp.minimum(wide, 0) - xp.log1p(xp.exp(-xp.abs(wide)))
        return narrowed(y, x)

    def backward(self, grad: Any, x: Any) -> Any:
        """Multiply grad by the sigmoid of -x."""
        return grad * sigmoid(-x)


def log_sigmoid(x: T) -> T:
    """Return the logarithm of the sigmoid of each element."""
    return LogSigmoid().on(x)


class Softplus(Elementwise):
    """log(1 + exp(beta · x)) / beta, a smooth ReLU. It is accurate for every x, without a threshold.

    Args:
        beta: a positive number; the larger it is, the sharper the bend at 0.

    Raises:
        SettingError: beta is not positive.
    """

    rule = "∂L/∂x = grad · sigmoid(beta · x)"
    operations = (7, 6)

    def __init__(self, beta: float = 1.0) -> None:
        """Set the sharpness of the bend."""
        self.beta = plain(beta)
        if not self.beta > 0:
            raise SettingError(f"softplus: beta is {beta!r}; it must be a positive number")

    def forward(self, x: Array) -> Array:
        """The smooth ReLU, which is at least 0."""
        self.keep(x)
        wide = at_least_float32(x) if self.beta == 1 else x.astype(xp.float64) * self.beta
        y = xp.maximum(wide, 0) + xp.log1p(xp.exp(-xp.abs(wide)))
        return narrowed(y / self.beta, x)

    def backward(self, grad: Any, x: Any) -> Any:
        """Multiply grad by the sigmoid of beta · x."""
        return grad * sigmoid(x * self.beta)


def softplus(x: T, beta: float = 1.0) -> T:
    """Return log(1 + exp(beta · x)) / beta for each element, a smooth ReLU without a threshold.

    Args:
        x: a Variable or an array of any shape.
        beta: a positive number; the larger it is, the sharper the bend at 0.

    Raises:
        SettingError: beta is not positive.
    """
    return Softplus(beta).on(x)


class Threshold(Function):
    """max(x, d). At x = d the gradient is 0."""

    rule = "∂L/∂x = grad · (x > d)"
    operations = (1, 2)
    samples = ([()], {"d": 0.5}), ([(2, 3)], {"d": -0.1}), ([(0, 2)], {"d": 0})

    def __init__(self, d: float) -> None:
        """Set the threshold d, a number."""
        self.d = plain(d)

    def forward(self, x: Array) -> Array:
        """The larger of x and d."""
        y = active().threshold(x, self.d)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """Pass grad on where x, and so the result, is larger than d."""
        return masked(grad, y > self.d)


def threshold(x: T, d: float) -> T:
    """Return max(x, d) for each element; at x = d the gradient is 0.

    Args:
        x: a Variable or an array of any shape.
        d: a number.
    """
    return Threshold(d).on(x)


class ReLU(Elementwise):
    """max(x, 0), the rectified linear unit. At x = 0 the gradient is 0."""

    rule = "∂L/∂x = grad · (x > 0)"
    operations = (1, 2)

    def forward(self, x: Array) -> Array:
        """The larger of x and 0."""
        y = active().threshold(x, 0.0)
        self.keep(y)  # and not x: the next layer keeps y too
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """Pass grad on where x, and so the result, is positive."""
        if isinstance(grad, Operand):  # as `masked`, with one call less in every training step
            return where(y > 0, grad, 0.0)
        return active().masked(grad, y > 0)


def relu(x: T) -> T:
    """Return max(x, 0) for each element; at x = 0 the gradient is 0."""
    return ReLU().on(x)


class LeakyReLU(Elementwise):
    """x where it is positive, otherwise negative_slope · x. At x = 0 the gradient is negative_slope."""

    rule = "∂L/∂x = grad where x > 0, grad · negative_slope elsewhere"
    operations = (2, 2)

    def __init__(self, negative_slope: float = 0.01) -> None:
        """Set the slope for negative x."""
        self.negative_slope = plain(negative_slope)

    def forward(self, x: Array) -> Array:
        """The number itself, or the slope times it."""
        self.keep(x)
        return xp.where(x > 0, x, x * self.negative_slope)

    def backward(self, grad: Any, x: Any) -> Any:
        """Multiply grad by 1 or by the slope."""
        return where(x > 0, grad, grad * self.negative_slope)


def leaky_relu(x: T, negative_slope: float = 0.01) -> T:
    """Return each element if it is positive, otherwise negative_slope times it.

    Args:
        x: a Variable or an array of any shape.
        negative_slope: the slope for negative elements and at 0.
    """
    return LeakyReLU(negative_slope).on(x)


class ELU(Elementwise):
    """x where it is positive, otherwise alpha · (exp(x) - 1): Clevert et al., 2016."""

    rule = "∂L/∂x = grad where x > 0, grad · alpha · exp(x) elsewhere"
    operations = (3, 4)

    def __init__(self, alpha: float = 1.0) -> None:
        """Set alpha; for very negative x the result approaches -alpha."""
        self.alpha = plain(alpha)

    def forward(self, x: Array) -> Array:
        """The number itself, or a negative number that is at least -alpha."""
        self.keep(x)
        return _with_exponential(x, 1.0, self.alpha)

    def backward(self, grad: Any, x: Any) -> Any:
        """Multiply grad by 1 or by alpha · exp(x)."""
        return where(x > 0, grad, grad * (self.alpha * exp(where(x < 0, x, 0.0))))


def elu(x: T, alpha: float = 1.0) -> T:
    """Return each element if it is positive, otherwise alpha · (exp(x) - 1).

    Source: Clevert, Unterthiner and Hochreiter, Fast and Accurate Deep Network Learning by Exponential
    Linear Units, 2016.

    Args:
        x: a Variable or an array of any shape.
        alpha: a number; for very negative x the result approaches -alpha.
    """
    return ELU(alpha).on(x)


class SELU(Elementwise):
    """scale · ELU(x), with constants that preserve mean 0 and variance 1 from layer to layer.

    Source: Klambauer, Unterthiner, Mayr and Hochreiter, Self-Normalizing Neural Networks, 2017.
    """

    rule = "∂L/∂x = grad · 1.0507 where x > 0, grad · 1.7581 · exp(x) elsewhere"
    operations = (3, 4)
    scale, scaled_alpha = 1.0507009873554804934, 1.7580993408473768599

    def forward(self, x: Array) -> Array:
        """The scale times the number, or a negative number that is at least -1.7581."""
        self.keep(x)
        return _with_exponential(x, self.scale, self.scaled_alpha)

    def backward(self, grad: Any, x: Any) -> Any:
        """Multiply grad by the scale or by the scaled alpha · exp(x)."""
        return where(x > 0, grad * self.scale, grad * (self.scaled_alpha * exp(where(x < 0, x, 0.0))))


def selu(x: T) -> T:
    """Return 1.0507 · x for each positive element x, and 1.7581 · (exp(x) - 1) for the others.

    Source: Klambauer, Unterthiner, Mayr and Hochreiter, Self-Normalizing Neural Networks, 2017.
    """
    return SELU().on(x)


def _with_exponential(x: Array, slope: float, depth: float) -> Array:
    """Return slope · x where x is positive, else depth · (exp(x) - 1)."""
    wide = at_least_float32(x)
    y = xp.where(wide > 0, slope * wide, depth * xp.expm1(xp.minimum(wide, 0)))
    return narrowed(y, x)


class GELU(Elementwise):
    """x · Φ(x), where Φ is the distribution function of a standard normal number, by the error function.

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.
    """

    rule = "∂L/∂x = grad · (Φ(x) + x · φ(x)), where φ is the normal density, Φ its integral from −∞"
    operations = (60, 70)

    def forward(self, x: Array) -> Array:
        """The number times its probability Φ(x)."""
        self.keep(x)
        return narrowed(active().gelu(at_least_float32(x)), x)

    def backward(self, grad: Any, x: Any) -> Any:
        """Multiply grad by Φ(x) + x · φ(x)."""
        return in_float32(self._rule, grad, x)

    def _rule(self, grad: Any, x: Any) -> Any:
        share = erfc(x * -math.sqrt(0.5)) * 0.5
        x = masked(x, (x > -_FAR) & (x < _FAR))
        density = exp(square(x) * -0.5) * (1 / math.sqrt(2 * math.pi))
        return grad * (share + x * density)


def gelu(x: T) -> T:
    """Return x · Φ(x) for each element x.

    Φ(x) is the probability that a standard normal number is below x, erfc(-x / √2) / 2. Source:
    Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.
    """
    return GELU().on(x)


class SiLU(Elementwise):
    """x · sigmoid(x), also called swish."""

    rule = "∂L/∂x = grad · s · (1 + x · (1 − s)), where s is sigmoid(x)"
    operations = (6, 9)

    def forward(self, x: Array) -> Array:
        """The number times its sigmoid."""
        self.keep(x)
        wide = xp.maximum(x.astype(xp.float64), -2 * _FAR)  # -∞ · 0 would be NaN
        half = xp.exp(-xp.abs(wide) / 2)  # in two halves, as exp(-|x|) alone would underflow too early
        y = xp.where(wide >= 0, wide, xp.minimum(wide, 0) * half * half) / (1 + half * half)
        return narrowed(y, x)

    def backward(self, grad: Any, x: Any) -> Any:
        """Multiply grad by s · (1 + x · (1 - s)), where s is the sigmoid of x."""
        return in_float32(self._rule, grad, x)

    def _rule(self, grad: Any, x: Any) -> Any:
        s = sigmoid(x)
        x = masked(x, (x > -_FAR) & (x < _FAR))
        return grad * (s * (1 + x * (1 - s)))


def silu(x: T) -> T:
    """Return x · sigmoid(x) for each element x."""
    return SiLU().on(x)


class Hardtanh(Elementwise):
    """x, but at least min_val and at most max_val. At these bounds and beyond, the gradient is 0.

    Raises:
        SettingError: min_val is larger than max_val.
    """

    rule = "∂L/∂x = grad · (min_val < x) · (x < max_val)"
    operations = (2, 4)

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        """Set the two bounds."""
        self.min_val, self.max_val = plain(min_val), plain(max_val)
        if not self.min_val <= self.max_val:
            raise SettingError(
                f"hardtanh: min_val {min_val!r} is larger than max_val {max_val!r}; exchange them"
            )

    def forward(self, x: Array) -> Array:
        """The number itself, or the bound that it exceeds."""
        self.keep(x)
        return xp.clip(x, self.min_val, self.max_val)

    def backward(self, grad: Any, x: Any) -> Any:
        """Pass grad on where x is between the bounds."""
        return masked(grad, (x > self.min_val) & (x < self.max_val))


def hardtanh(x: T, min_val: float = -1.0, max_val: float = 1.0) -> T:
    """Return each element, limited to the range from min_val to max_val.

    Args:
        x: a Variable or an array of any shape.
        min_val: the lowest value, a number.
        max_val: the highest value, a number.

    Raises:
        SettingError: min_val is larger than max_val.
    """
    return Hardtanh(min_val, max_val).on(x)
