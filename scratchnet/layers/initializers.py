"""Initializers: the values that a layer's parameters start with.

An initializer is a function `(shape, rng)` that returns a NumPy array of that shape. It draws from the
NumPy generator `rng` on the host. So a seed gives the same network on every backend. Your own function
works as well:

    sn.Linear(784, 100, rng=0, weight_init=sn.initializers.he_normal)
    sn.Linear(784, 100, rng=0, bias_init=lambda shape, rng: np.linspace(-1, 1, *shape))

Some scale with the size of the layer. Of a weight of shape (out, in, *kernel), `fan_in` is in · kernel
elements and `fan_out` is out · kernel elements. As in PyTorch, no normal distribution is truncated.

Sources: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks,
2010 (PyTorch's xavier); He et al., Delving deep into rectifiers, 2015 (PyTorch's kaiming); LeCun et al.,
Efficient backprop, 1998; for `orthogonal`, Saxe et al., Exact solutions to the nonlinear dynamics of
learning in deep linear neural networks, 2014.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from backends import active, to_host
from backends.errors import kind_of
from scratchnet.errors import SettingError

Shape: TypeAlias = tuple[int, ...]
Initializer: TypeAlias = "Callable[[Shape, np.random.Generator], np.ndarray]"


def zeros(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Return zeros."""
    return np.zeros(shape, np.float32)


def ones(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Return ones."""
    return np.ones(shape, np.float32)


def constant(value: float) -> Initializer:
    """Return an initializer that fills the array with one value."""
    return lambda shape, rng: np.full(shape, float(value))


def normal(std: float = 1.0, mean: float = 0.0) -> Initializer:
    """Return an initializer that draws from the normal distribution with this deviation and mean."""
    return lambda shape, rng: rng.standard_normal(shape) * std + mean


def uniform(low: float, high: float) -> Initializer:
    """Return an initializer that draws evenly from the numbers between `low` and `high`."""
    if not 0 <= high - low < math.inf:
        raise SettingError(f"uniform: low is {low} and high is {high}; low must be below high")
    return lambda shape, rng: rng.uniform(low, high, shape)


def glorot_normal(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Draw from the normal distribution with deviation √(2 / (fan_in + fan_out)): for tanh, sigmoid."""
    return rng.standard_normal(shape) * math.sqrt(2 / sum(_fans("glorot_normal", shape)))


def glorot_uniform(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Draw evenly from ±√(6 / (fan_in + fan_out)): for tanh, sigmoid."""
    return rng.uniform(-1, 1, shape) * math.sqrt(6 / sum(_fans("glorot_uniform", shape)))


def he_normal(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Draw from the normal distribution with deviation √(2 / fan_in): for ReLU."""
    return rng.standard_normal(shape) * math.sqrt(2 / _fans("he_normal", shape)[0])


def he_uniform(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Draw evenly from ±√(6 / fan_in): for ReLU."""
    return rng.uniform(-1, 1, shape) * math.sqrt(6 / _fans("he_uniform", shape)[0])


def lecun_normal(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Draw from the normal distribution with deviation √(1 / fan_in): it keeps the variance."""
    return rng.standard_normal(shape) * math.sqrt(1 / _fans("lecun_normal", shape)[0])


def orthogonal(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Return a random orthogonal matrix, as an array of shape (out, in, *kernel).

    As a matrix with `out` rows, its rows are orthonormal, or its columns where there are fewer columns.
    """
    columns, _ = _fans("orthogonal", shape)
    sizes = shape[0], columns
    q, r = np.linalg.qr(rng.standard_normal((max(sizes), min(sizes))))
    q *= np.sign(r.diagonal())  # without this, the matrices are not evenly distributed
    return (q if shape[0] >= columns else q.T).reshape(shape)


def initial_values(what: str, initializer: Any, shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Return what an initializer gives, checked, as a new float32 array on the host.

    Raises:
        SettingError: it cannot be called, or returns something other than a finite floating array of
            this shape; `what` names the layer and its argument.
    """
    if not callable(initializer):
        raise SettingError(f"{what} is {kind_of(initializer)}; give a function of (shape, rng)")
    values, wanted = initializer(shape, rng), f"it must return a floating array of shape {shape}"
    if not isinstance(values, (np.ndarray, active().array_type)):
        raise SettingError(f"{what} returned {kind_of(values)}; {wanted}")
    if values.shape != shape or values.dtype.kind != "f":
        raise SettingError(f"{what} returned {values.dtype} of shape {values.shape}; {wanted}")
    with np.errstate(over="ignore"):  # the next check finds it
        result = to_host(values).astype(np.float32)
    if not np.isfinite(result).all():
        raise SettingError(f"{what} returned NaN or infinity; every element must be finite in float32")
    return result


def _fans(name: str, shape: Shape) -> tuple[int, int]:
    """The inputs of one output, and the outputs of one input: fan_in and fan_out."""
    if len(shape) < 2:
        raise SettingError(f"{name}: shape {shape} has no fan_in and fan_out; use zeros or normal()")
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel
