"""The update rules of the optimizers.

A rule is a function of the settings that returns what to do with one parameter: a function
`(parameter, gradient, *states)`, which changes the parameter and its states in place. It reads like the
published formula. All settings are Python numbers, except for two: the learning rate may change between
steps, and `step` is the number of this update of the parameter, from 1. On a device both are 0-d float64
arrays, because a captured step reads them there. `number` turns what is computed from them into a number
of the parameter's dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from backends.plain.library import Array, Library
from backends.setting import Setting

Apply: TypeAlias = Callable[..., None]
Number: TypeAlias = Callable[[Any], Any]


def sgd(
    _: Library, number: Number, rate: Any, *, momentum: float, nesterov: bool, weight_decay: float
) -> Apply:
    """Stochastic gradient descent, with momentum or Nesterov's as Sutskever et al. 2013 write it."""
    rate = number(rate)

    def apply(p: Array, g: Array, *velocity: Array) -> None:
        g = _decayed(g, p, weight_decay)
        if momentum:
            (v,) = velocity
            v *= momentum
            v += g
            g = g + momentum * v if nesterov else v
        p -= rate * g

    return apply


def adam(
    lib: Library,
    number: Number,
    rate: Any,
    step: Any,
    *,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> Apply:
    """Adam (Kingma and Ba 2015); decoupled, AdamW (Loshchilov and Hutter 2019).

    The published last step is p -= rate · (mean / c1) / (√(square / c2) + eps), with the corrections
    c1 = 1 - beta1**step and c2 = 1 - beta2**step. Here both are part of the numbers.
    """
    beta1, beta2 = betas
    shrink = number(1 - rate * weight_decay)
    scale = (1 - beta2**step) ** 0.5
    size, small, sqrt = number(rate / (1 - beta1**step) * scale), number(eps * scale), lib.xp.sqrt

    def apply(p: Array, g: Array, mean: Array, square: Array) -> None:
        if decoupled and weight_decay:
            p *= shrink
        elif weight_decay:
            g = g + weight_decay * p
        mean += (1 - beta1) * (g - mean)
        square *= beta2
        square += (1 - beta2) * (g * g)
        p -= size * (mean / (sqrt(square) + small))

    return apply


def nadam(
    lib: Library,
    number: Number,
    rate: Any,
    step: Any,
    product: Array,
    *,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    momentum_decay: float,
) -> Apply:
    """Adam with Nesterov's momentum (Dozat 2016). `product` is the product of all momentums so far."""
    beta1, beta2 = betas
    now = beta1 * (1 - 0.5 * 0.96 ** (step * momentum_decay))
    following = beta1 * (1 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
    product *= now
    scale = (1 - beta2**step) ** 0.5
    of_gradient = number(rate * scale * (1 - now) / (1 - product))
    of_mean = number(rate * scale * following / (1 - product * following))
    small, sqrt = number(eps * scale), lib.xp.sqrt

    def apply(p: Array, g: Array, mean: Array, square: Array) -> None:
        g = _decayed(g, p, weight_decay)
        mean += (1 - beta1) * (g - mean)
        square *= beta2
        square += (1 - beta2) * (g * g)
        p -= (of_gradient * g + of_mean * mean) / (sqrt(square) + small)

    return apply


def rmsprop(
    lib: Library,
    number: Number,
    rate: Any,
    *,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
) -> Apply:
    """RMSprop (Tieleman and Hinton 2012), optionally with momentum; centered as in Graves 2013."""
    rate, sqrt = number(rate), lib.xp.sqrt

    def apply(p: Array, g: Array, square: Array, *others: Array) -> None:
        g = _decayed(g, p, weight_decay)
        square *= alpha
        square += (1 - alpha) * (g * g)
        spread, kept = square, iter(others)
        if centered:
            mean = next(kept)
            mean += (1 - alpha) * (g - mean)
            spread = lib.xp.maximum(square - mean * mean, 0)  # rounding may make it negative
        move = g / (sqrt(spread) + eps)
        if momentum:
            velocity = next(kept)
            velocity *= momentum
            velocity += move
            move = velocity
        p -= rate * move

    return apply


def adagrad(lib: Library, number: Number, rate: Any, *, eps: float, weight_decay: float) -> Apply:
    """Adagrad (Duchi et al. 2011)."""
    rate, sqrt = number(rate), lib.xp.sqrt

    def apply(p: Array, g: Array, total: Array) -> None:
        g = _decayed(g, p, weight_decay)
        total += g * g
        p -= rate * g / (sqrt(total) + eps)

    return apply


def lion(
    lib: Library, number: Number, rate: Any, *, betas: tuple[float, float], weight_decay: float
) -> Apply:
    """Lion (Chen et al. 2023): the sign of an interpolated momentum, with decoupled decay."""
    (beta1, beta2), sign = betas, lib.xp.sign
    shrink, rate = number(1 - rate * weight_decay), number(rate)

    def apply(p: Array, g: Array, mean: Array) -> None:
        if weight_decay:
            p *= shrink
        p -= rate * sign(mean + (1 - beta1) * (g - mean))
        mean += (1 - beta2) * (g - mean)

    return apply


def muon(
    lib: Library,
    number: Number,
    rate: Any,
    *,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
    coefficients: tuple[float, float, float],
    eps: float,
    iterations: int,
) -> Apply:
    """Muon (Jordan et al. 2024): momentum, made orthogonal by Newton-Schulz iterations."""
    shrink = number(1 - rate * weight_decay)

    def apply(p: Array, g: Array, velocity: Array) -> None:
        velocity += (1 - momentum) * (g - velocity)
        move = g + momentum * (velocity - g) if nesterov else velocity
        rows, columns = p.shape
        if weight_decay:
            p *= shrink
        p -= number(rate * math.sqrt(max(1, rows / columns))) * _orthogonal(
            lib, move, coefficients, eps, iterations
        )

    return apply


def _orthogonal(
    lib: Library, x: Array, coefficients: tuple[float, float, float], eps: float, iterations: int
) -> Array:
    """Return a matrix with the singular vectors of x, and singular values near 1."""
    a, b, c = coefficients
    dtype = x.dtype
    x = x.astype(np.promote_types(dtype, np.float32))
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / lib.xp.maximum(lib.xp.sqrt((x * x).sum()), eps)
    for _ in range(iterations):
        gram = lib.matmul(x, x.T)
        x = a * x + lib.matmul(b * gram + c * lib.matmul(gram, gram), x)
    return (x.T if tall else x).astype(dtype)


def _decayed(g: Array, p: Array, weight_decay: float) -> Array:
    return g + weight_decay * p if weight_decay else g


class Rule(NamedTuple):
    """An update rule, and what it keeps for each parameter.

    Attributes:
        name: a backend may have a kernel for this name.
        make: a function of (library, number, learning rate, *scalars, **settings). It returns the
            function that updates a parameter.
        arrays: the arrays that the rule keeps, of the parameter's shape, by name. If the value names a
            setting, the array is kept only if that setting is not 0 or False.
        scalars: the numbers that the rule keeps, by name, with their first values. If there are any, the
            first is the number of this update, from 1.
        by_element: whether each element of a parameter is updated by itself.
        plain_without: without these settings, the rule is parameter -= rate · gradient.
    """

    name: str
    make: Callable[..., Apply]
    arrays: Mapping[str, str | None] = {}
    scalars: Mapping[str, float] = {}
    by_element: bool = True
    plain_without: tuple[str, ...] = ()

    def arrays_for(self, settings: Mapping[str, Any]) -> list[str]:
        """Return the names of the arrays that the rule keeps with these settings."""
        return [name for name, setting in self.arrays.items() if not setting or settings[setting]]


class Target(NamedTuple):
    """A parameter to update.

    Attributes:
        parameter: an array of any shape, floating.
        gradient: of the parameter's shape and dtype.
        arrays: the arrays that the rule keeps, of the parameter's shape and dtype.
        scalars: the numbers that the rule keeps, 0-d float64 arrays. The first is the number of updates
            so far, and `Backend.update` adds 1.
    """

    parameter: Array
    gradient: Array
    arrays: Sequence[Array]
    scalars: Sequence[Array]


_MOMENTS: dict[str, None] = {"exp_avg": None, "exp_avg_sq": None}
SGD = Rule("sgd", sgd, {"momentum_buffer": "momentum"}, plain_without=("momentum", "weight_decay"))
ADAM = Rule("adam", partial(adam, decoupled=False), _MOMENTS, {"step": 0})
ADAMW = Rule("adamw", partial(adam, decoupled=True), _MOMENTS, {"step": 0})
NADAM = Rule("nadam", nadam, _MOMENTS, {"step": 0, "mu_product": 1})
RMSPROP = Rule(
    "rmsprop", rmsprop, {"square_avg": None, "grad_avg": "centered", "momentum_buffer": "momentum"}
)
ADAGRAD = Rule("adagrad", adagrad, {"sum": None})
LION = Rule("lion", lion, {"exp_avg": None})
MUON = Rule("muon", muon, {"momentum_buffer": None}, by_element=False)


class Update(Library):
    """The update rules of the optimizers: the plain twins."""

    def update(
        self, rule: Rule, settings: Mapping[str, Any], learning_rate: Setting, targets: Sequence[Target]
    ) -> None:
        """Apply an update rule to parameters, in place.

        Args:
            rule: the rule.
            settings: the rule's settings by name.
            learning_rate: the factor of the step.
            targets: the parameters, each with its gradient and what the rule keeps for it.
        """
        rate = learning_rate.on_device(self.xp)
        for parameter, gradient, arrays, scalars in targets:
            if scalars:
                scalars[0][...] += 1
            dtype = parameter.dtype
            apply = rule.make(self, lambda x, d=dtype: x.astype(d), rate, *scalars, **settings)
            apply(parameter, gradient, *arrays)

    def clip_norm(self, gradients: Sequence[Array], max_norm: float, order: float) -> Array:
        """Multiply arrays in place by min(1, max_norm / (norm + 1e-6)), and return their common norm.

        Args:
            gradients: arrays of any shapes, floating.
            max_norm: the largest norm.
            order: 2 for the root of the sum of squares, infinity for the largest magnitude, or p.

        Returns:
            The norm before, 0-d, of the largest dtype of the arrays, at least float32.
        """
        xp = self.xp
        dtype = np.result_type(np.float32, *(each.dtype for each in gradients))
        norms = xp.stack([self.norm(each, order) for each in gradients])
        norm = self.norm(norms, order)
        factor = xp.minimum(max_norm / (norm + 1e-6), 1)
        for each in gradients:
            each *= factor.astype(each.dtype)
        return norm.astype(dtype)

    def norm(self, x: Array, order: float) -> Array:
        """Return the norm of all elements, 0-d, float64, in which no square overflows."""
        magnitudes = self.xp.abs(x.astype(np.float64))
        if order == math.inf:
            return magnitudes.max(initial=0)
        return (magnitudes**order).sum() ** (1 / order)

    def clip_values(self, gradients: Sequence[Array], limit: float) -> None:
        """Limit each element of the arrays to the numbers from -limit to limit, in place."""
        for each in gradients:
            most = min(limit, float(np.finfo(each.dtype).max))
            self.xp.clip(each, -most, most, out=each)
