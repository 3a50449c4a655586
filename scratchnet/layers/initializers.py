"""Initializers: the values that a layer's parameters start with.

An initializer is a function `(shape, rng)` that returns a floating NumPy array of that shape. It draws
from the NumPy generator `rng` on the host. So a seed gives the same network on every backend. Your own
function works as well:

    sn.Linear(784, 100, rng=0, weight_init=sn.initializers.he_normal)
    sn.Linear(784, 100, rng=0, bias_init=lambda shape, rng: np.linspace(-1, 1, *shape))

Some initializers scale with the size of the layer. A weight of shape (out, in, *kernel) has
`fan_in` = in · (kernel elements) and `fan_out` = out · (kernel elements). These initializers raise a
SettingError if the shape has fewer than two axes. As in PyTorch, only `truncated_normal` cuts
off its tails.

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


def truncated_normal(
    std: float = 1.0, mean: float = 0.0, low: float = -2.0, high: float = 2.0
) -> Initializer:
    """Return an initializer that draws from a normal distribution, but only from `low` to `high`.

    A number outside is drawn again, so the distribution inside is exact. The bounds are those of the
    numbers themselves, as in PyTorch's `trunc_normal_`; they do not scale with the deviation.

    Raises:
        SettingError: std is not positive, or fewer than about one in a thousand numbers of the normal
            distribution are between `low` and `high`.
    """
    if not 0 < std < math.inf:
        raise SettingError(f"truncated_normal: std is {std}; it must be a positive number")
    ends = ((each - mean) / (std * math.sqrt(2)) for each in (low, high))
    share = 0.5 * (-math.erf(next(ends)) + math.erf(next(ends)))
    if not share > 1e-3:
        raise SettingError(
            f"truncated_normal: low {low} and high {high} leave almost nothing of a normal "
            f"distribution with mean {mean} and deviation {std}; give bounds around the mean"
        )

    def draw(shape: Shape, rng: np.random.Generator) -> np.ndarray:
        values: np.ndarray = rng.standard_normal(shape) * std + mean
        while (outside := (values < low) | (values > high)).any():
            values[outside] = rng.standard_normal(int(outside.sum())) * std + mean
        return values

    return draw


def uniform(low: float, high: float) -> Initializer:
    """Return an initializer that draws uniformly from the numbers between `low` and `high`.

    Raises:
        SettingError: `low` is above `high`, or one of them is not finite.
    """
    if not 0 <= high - low < math.inf:
        raise SettingError(f"uniform: low is {low} and high is {high}; low must not be above high")
    return lambda shape, rng: rng.uniform(low, high, shape)


def glorot_normal(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Draw from a normal distribution with deviation √(2 / (fan_in + fan_out)), for tanh or sigmoid."""
    return rng.standard_normal(shape) * math.sqrt(2 / sum(_fans("glorot_normal", shape)))


def glorot_uniform(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Draw uniformly between ±√(6 / (fan_in + fan_out)), for tanh or sigmoid."""
    return rng.uniform(-1, 1, shape) * math.sqrt(6 / sum(_fans("glorot_uniform", shape)))


xavier_normal, xavier_uniform = glorot_normal, glorot_uniform
"""The names that PyTorch gives these two."""


def he_normal(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Draw from a normal distribution with deviation √(2 / fan_in), for ReLU."""
    return rng.standard_normal(shape) * math.sqrt(2 / _fans("he_normal", shape)[0])


def he_uniform(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Draw uniformly between ±√(6 / fan_in), for ReLU."""
    return rng.uniform(-1, 1, shape) * math.sqrt(6 / _fans("he_uniform", shape)[0])


def lecun_normal(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Draw from a normal distribution with deviation √(1 / fan_in), which preserves the variance."""
    return rng.standard_normal(shape) * math.sqrt(1 / _fans("lecun_normal", shape)[0])


def orthogonal(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """Return a random orthogonal matrix, as an array of shape (out, in, *kernel).

    Seen as a matrix with `out` rows, its rows are orthonormal; if there are fewer columns than rows, its
    columns are.
    """
    columns, _ = _fans("orthogonal", shape)
    sizes = shape[0], columns
    q, r = np.linalg.qr(rng.standard_normal((max(sizes), min(sizes))))
    q *= np.sign(r.diagonal())  # without this, the matrices are not uniformly distributed
    return (q if shape[0] >= columns else q.T).reshape(shape)


def initial_values(
    what: str,
    initializer: Any,
    shape: Shape,
    rng: np.random.Generator,
    dtype: Any = np.float32,
) -> np.ndarray:
    """Call an initializer, check the values, and return them as a new array on the host.

    Args:
        what: the layer and its argument, for messages.
        initializer: a function of (shape, rng).
        shape: the shape that the values must have.
        rng: the generator to draw from.
        dtype: the dtype of the result.

    Raises:
        SettingError: the initializer cannot be called, or returns something other than a finite floating
            array of this shape.
    """
    if not callable(initializer):
        raise SettingError(f"{what} is {kind_of(initializer)}; give a function of (shape, rng)")
    values, wanted = initializer(shape, rng), f"it must return a floating array of shape {shape}"
    if not isinstance(values, (np.ndarray, active().array_type)):
        raise SettingError(f"{what} returned {kind_of(values)}; {wanted}")
    if values.shape != shape or values.dtype.kind != "f":
        raise SettingError(f"{what} returned {values.dtype} of shape {values.shape}; {wanted}")
    with np.errstate(over="ignore", under="ignore"):  # the next check finds an overflow
        result = to_host(values).astype(dtype)
    if not np.isfinite(result).all():
        kind = np.dtype(dtype).name
        raise SettingError(f"{what} returned NaN or infinity; every element must be finite in {kind}")
    return result


def _fans(name: str, shape: Shape) -> tuple[int, int]:
    """Return fan_in, the inputs of each output, and fan_out, the outputs of each input."""
    if len(shape) < 2:
        raise SettingError(f"{name}: shape {shape} has no fan_in and fan_out; use zeros or normal()")
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel
