"""Activations: what makes a network more than one linear map. Their settings default as in PyTorch."""

from __future__ import annotations

import math
from typing import Any

from backends import Array, active, xp
from scratchnet.core.function import Function, plain
from scratchnet.errors import SettingError
from scratchnet.functions.comparison import where
from scratchnet.functions.elementwise import Elementwise, T, at_least_float32, erfc, exp, quiet, square


class Tanh(Elementwise):
    """The hyperbolic tangent."""

    rule = "∂L/∂x = grad · (1 − y²)"
    operations = (1, 3)

    def forward(self, x: Array) -> Array:
        """The tangent."""
        y = xp.tanh(x)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """1 - y²."""
        return grad * (1 - y * y)


def tanh(x: T) -> T:
    """The hyperbolic tangent of each element."""
    return Tanh().on(x)


class Sigmoid(Elementwise):
    """1 / (1 + exp(-x)), without the overflow for negative x, and without the loss of its digits."""

    rule = "∂L/∂x = grad · y · (1 − y)"
    operations = (4, 3)

    @quiet
    def forward(self, x: Array) -> Array:
        """The logistic function."""
        small = xp.exp(-xp.abs(x))
        y = xp.where(x >= 0, 1, small) / (1 + small)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> Any:
        """Times y (1 - y)."""
        return grad * y * (1 - y)


def sigmoid(x: T) -> T:
    """1 / (1 + exp(-x)) of each element."""
    return Sigmoid().on(x)


class LogSigmoid(Elementwise):
    """The logarithm of the sigmoid, -log(1 + exp(-x)), without the loss of digits of the two in turn."""

    rule = "∂L/∂x = grad · sigmoid(−x)"
    operations = (5, 6)

    @quiet
    def forward(self, x: Array) -> Array:
        """A negative number, or 0."""
        self.keep(x)
        wide = at_least_float32(x)
        y = xp.minimum(wide, 0) - xp.log1p(xp.exp(-xp.abs(wide)))
        return y.astype(x.dtype, copy=False)

    def backward(self, grad: Any, x: Any) -> Any:
        """The sigmoid of -x."""
        return grad * sigmoid(-x)


def log_sigmoid(x: T) -> T:
    """The logarithm of the sigmoid of each element."""
    return LogSigmoid().on(x)


class Softplus(Elementwise):
    """log(1 + exp(beta · x)) / beta, a smooth ReLU. It is exact on both sides, without a threshold.

    Args:
        beta: how sharp it bends; a positive number.
    """

    rule = "∂L/∂x = grad · sigmoid(beta · x)"
    operations = (7, 6)

    def __init__(self, beta: float = 1.0) -> None:
        """The sharpness."""
        self.beta = plain(beta)
        if not self.beta > 0:
            raise SettingError(f"softplus: beta is {beta!r}; it must be a positive number")

    @quiet
    def forward(self, x: Array) -> Array:
        """A positive number, or 0."""
        self.keep(x)
        wide = at_least_float32(x) * self.beta
        y = xp.maximum(wide, 0) + xp.log1p(xp.exp(-xp.abs(wide)))
        return (y / self.beta).astype(x.dtype, copy=False)

    def backward(self, grad: Any, x: Any) -> Any:
        """The sigmoid."""
        return grad * sigmoid(x * self.beta)


def softplus(x: T, beta: float = 1.0) -> T:
    """log(1 + exp(beta · x)) / beta of each element."""
    return Softplus(beta).on(x)


class Threshold(Function):
    """max(x, d). At x = d the gradient is 0."""

    rule = "∂L/∂x = grad · (x > d)"
    operations = (1, 2)
    samples = ([()], {"d": 0.5}), ([(2, 3)], {"d": -0.1}), ([(0, 2)], {"d": 0})

    def __init__(self, d: float) -> None:
        """The threshold d, a number."""
        self.d = plain(d)

    def forward(self, x: Array) -> Array:
        """The larger of x and d."""
        self.keep(x)
        return active().threshold(x, self.d)

    def backward(self, grad: Any, x: Any) -> Any:
        """Passed on where x is higher than d."""
        return grad * (x > self.d)


def threshold(x: T, d: float) -> T:
    """max(x, d) of each element; at x = d the gradient is 0."""
    return Threshold(d).on(x)


class ReLU(Elementwise):
    """max(x, 0), the rectified linear unit. At x = 0 the gradient is 0."""

    rule = "∂L/∂x = grad · (x > 0)"
    operations = (1, 2)

    def forward(self, x: Array) -> Array:
        """The larger of x and 0."""
        self.keep(x)
        return active().threshold(x, 0.0)

    def backward(self, grad: Any, x: Any) -> Any:
        """Passed on where x is positive."""
        return grad * (x > 0)


def relu(x: T) -> T:
    """max(x, 0) of each element; at x = 0 the gradient is 0."""
    return ReLU().on(x)


class LeakyReLU(Elementwise):
    """x where it is positive, else negative_slope · x. At x = 0 the gradient is the slope."""

    rule = "∂L/∂x = grad where x > 0, grad · negative_slope elsewhere"
    operations = (2, 2)

    def __init__(self, negative_slope: float = 0.01) -> None:
        """The slope where x is negative."""
        self.negative_slope = plain(negative_slope)

    def forward(self, x: Array) -> Array:
        """The number, or a part of it."""
        self.keep(x)
        return xp.where(x > 0, x, x * self.negative_slope)

    def backward(self, grad: Any, x: Any) -> Any:
        """1, or the slope."""
        return where(x > 0, grad, grad * self.negative_slope)


def leaky_relu(x: T, negative_slope: float = 0.01) -> T:
    """Each element where it is positive, else negative_slope times it."""
    return LeakyReLU(negative_slope).on(x)


class ELU(Elementwise):
    """x where it is positive, else alpha · (exp(x) - 1): Clevert et al., 2016."""

    rule = "∂L/∂x = grad where x > 0, grad · alpha · exp(x) elsewhere"
    operations = (3, 4)

    def __init__(self, alpha: float = 1.0) -> None:
        """What it goes to, negated, on the negative side."""
        self.alpha = plain(alpha)

    def forward(self, x: Array) -> Array:
        """The number, or a bounded negative one."""
        self.keep(x)
        return _with_exponential(x, 1.0, self.alpha)

    def backward(self, grad: Any, x: Any) -> Any:
        """1, or alpha · exp(x)."""
        return where(x > 0, grad, grad * (self.alpha * exp(where(x < 0, x, 0.0))))


def elu(x: T, alpha: float = 1.0) -> T:
    """Each element where it is positive, else alpha · (exp(x) - 1)."""
    return ELU(alpha).on(x)


class SELU(Elementwise):
    """scale · ELU(x) with its alpha, chosen so that mean 0 and variance 1 persist.

    Klambauer, Unterthiner, Mayr and Hochreiter, Self-Normalizing Neural Networks, 2017.
    """

    rule = "∂L/∂x = grad · 1.0507 where x > 0, grad · 1.7581 · exp(x) elsewhere"
    operations = (3, 4)
    scale, scaled_alpha = 1.0507009873554804934, 1.7580993408473768599

    def forward(self, x: Array) -> Array:
        """A multiple of the number, or a bounded negative one."""
        self.keep(x)
        return _with_exponential(x, self.scale, self.scaled_alpha)

    def backward(self, grad: Any, x: Any) -> Any:
        """The scale, or the scaled alpha · exp(x)."""
        return where(x > 0, grad * self.scale, grad * (self.scaled_alpha * exp(where(x < 0, x, 0.0))))


def selu(x: T) -> T:
    """1.0507 · x of each element where it is positive, else 1.7581 · (exp(x) - 1)."""
    return SELU().on(x)


@quiet
def _with_exponential(x: Array, slope: float, depth: float) -> Array:
    """Slope · x where it is positive, else depth · (exp(x) - 1)."""
    wide = at_least_float32(x)
    y = xp.where(wide > 0, slope * wide, depth * xp.expm1(xp.minimum(wide, 0)))
    return y.astype(x.dtype, copy=False)


class GELU(Elementwise):
    """x · Φ(x), where Φ is the standard normal distribution, exact by the error function.

    Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.
    """

    rule = "∂L/∂x = grad · (Φ(x) + x · φ(x)), where φ is the normal density, Φ its integral from −∞"
    operations = (60, 70)

    @quiet
    def forward(self, x: Array) -> Array:
        """A part of the number."""
        self.keep(x)
        return active().gelu(x)

    def backward(self, grad: Any, x: Any) -> Any:
        """Φ(x) + x φ(x)."""
        share = erfc(x * -math.sqrt(0.5)) * 0.5
        density = exp(square(x) * -0.5) * (1 / math.sqrt(2 * math.pi))
        return grad * (share + x * density)


def gelu(x: T) -> T:
    """X · Φ(x) of each element, where Φ is the standard normal distribution."""
    return GELU().on(x)


class SiLU(Elementwise):
    """x · sigmoid(x), also called swish."""

    rule = "∂L/∂x = grad · s · (1 + x · (1 − s)), where s is sigmoid(x)"
    operations = (6, 9)

    @quiet
    def forward(self, x: Array) -> Array:
        """A part of the number. With the exponential in two halves, x times it keeps its digits."""
        self.keep(x)
        wide = at_least_float32(x)
        half = xp.exp(-xp.abs(wide) / 2)
        y = xp.where(wide >= 0, wide, wide * half * half) / (1 + half * half)
        return y.astype(x.dtype, copy=False)

    def backward(self, grad: Any, x: Any) -> Any:
        """With s the sigmoid: s (1 + x (1 - s))."""
        s = sigmoid(x)
        return grad * (s * (1 + x * (1 - s)))


def silu(x: T) -> T:
    """X · sigmoid(x) of each element."""
    return SiLU().on(x)


class Hardtanh(Elementwise):
    """x, but at least min_val and at most max_val. At the two the gradient is 0."""

    rule = "∂L/∂x = grad · (min_val < x) · (x < max_val)"
    operations = (2, 4)

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        """The two bounds."""
        self.min_val, self.max_val = plain(min_val), plain(max_val)
        if not self.min_val <= self.max_val:
            raise SettingError(f"hardtanh: min_val {min_val!r} is larger than max_val {max_val!r}")

    def forward(self, x: Array) -> Array:
        """The number, or the bound that it exceeds."""
        self.keep(x)
        return xp.clip(x, self.min_val, self.max_val)

    def backward(self, grad: Any, x: Any) -> Any:
        """Passed on between the bounds."""
        return grad * ((x > self.min_val) & (x < self.max_val))


def hardtanh(x: T, min_val: float = -1.0, max_val: float = 1.0) -> T:
    """Each element, but at least min_val and at most max_val."""
    return Hardtanh(min_val, max_val).on(x)
