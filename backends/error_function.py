"""erf, erfc and gelu in plain arithmetic, for array libraries without an error function.

If |x| is below `_SPLIT`, erf is the sum of its Taylor series. Above it, erfc(x) is
exp(-x²) · g(x) / (1 + 2x), where g is a Chebyshev series in t = (x - K) / (x + K). The arithmetic is in
float64 for narrower types too. The error is at most 4 units in the last place (ULP), also for large |x|.

Source: M. M. Shepherd and J. G. Laframboise, Chebyshev approximation of (1 + 2x) exp(x²) erfc x in
0 ≤ x < ∞, Mathematics of Computation 36, 1981.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, TypeAlias

Array: TypeAlias = Any

_SPLIT, _K, _END = 0.65, 3.75, 40.0
_ROOT = math.sqrt(0.5)
_GRID = 1024.0  # a multiple of 1 / _GRID has an exact square
TAYLOR = [2 / math.sqrt(math.pi) * (-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(15)]
_CHEBYSHEV = [
    1.1775789345674017,
    -0.004590054580646478,
    -0.08424913336651792,
    0.05920993999819189,
    -0.026658668435305753,
    0.009074997670705265,
    -0.002413163540417608,
    0.0004907758365258086,
    -6.916973302501207e-05,
    4.13902798607301e-06,
    7.74038306619849e-07,
    -2.1886401049234397e-07,
    1.076499946567091e-08,
    4.521959811218287e-09,
    -7.754400208831351e-10,
    -6.318088340886684e-11,
    2.86879501093067e-11,
    1.9455868545777347e-13,
    -9.65469674843344e-13,
    3.25254814814874e-14,
    3.3478119482868056e-14,
    -1.864562880419313e-15,
    -1.2507950530688648e-15,
    7.418235256624044e-17,
    5.068148904796111e-17,
]
_ENOUGH = {"float16": 14, "float32": 14}  # terms of the Chebyshev series; wider types use all terms


def erf(xp: ModuleType, x: Array) -> Array:
    """Return 2/√π times the integral of exp(-t²) from 0 to x, with the shape and dtype of x."""
    z, size = _widened(xp, x)
    y = xp.where(
        size < _SPLIT,
        _near_zero(xp.copysign(size, z)),
        xp.sign(z) * (1 - _tail(xp, size, 1.0, chebyshev(x))),
    )
    return y.astype(x.dtype)


def erfc(xp: ModuleType, x: Array) -> Array:
    """Return 1 - erf(x), accurate even if erf(x) is nearly 1, with the shape and dtype of x."""
    z, size = _widened(xp, x)
    tail = _tail(xp, size, 1.0, chebyshev(x))
    y = xp.where(z < 0, 2 - tail, tail)
    if x.dtype.itemsize == 8:  # only float64 needs the digits that this loses near zero
        y = xp.where(size < _SPLIT, 1 - _near_zero(xp.copysign(size, z)), y)
    return y.astype(x.dtype)


def gelu(xp: ModuleType, x: Array) -> Array:
    """Return x · erfc(-x / √2) / 2: x times the probability that a standard normal number is below x."""
    z, size = _widened(xp, x)
    limited = xp.copysign(size, z)
    half = _tail(xp, size, 0.5, chebyshev(x), limited / 2)
    y = xp.where(z < 0, half, z - half)
    if x.dtype.itemsize == 8:
        y = xp.where(size < _SPLIT / _ROOT, z * (0.5 + _near_zero(limited * _ROOT) / 2), y)
    return y.astype(x.dtype)


def _widened(xp: ModuleType, x: Array) -> tuple[Array, Array]:
    """Return x and |x| in float64; |x| is at most `_END`, beyond which the results no longer change."""
    z = x.astype(xp.float64)
    return z, xp.minimum(xp.abs(z), _END)


def chebyshev(x: Array) -> list[float]:
    """Return the terms of g that the dtype of x needs."""
    return _CHEBYSHEV[: _ENOUGH.get(x.dtype.name)]


def _near_zero(x: Array) -> Array:
    """Return the Taylor series of erf."""
    square = x * x
    y = square * TAYLOR[-1]
    for coefficient in TAYLOR[-2:0:-1]:
        y += coefficient
        y *= square
    return x * (y + TAYLOR[0])


def _tail(
    xp: ModuleType, size: Array, scale: float, terms: list[float], factor: Array | float = 1.0
) -> Array:
    """Return factor · erfc(√scale · size).

    The exponent is exact: size² = h² + (size - h)(size + h), where h has few digits.
    """
    root = math.sqrt(scale)
    terms = [each / (2 * root) for each in terms]
    t = (size - _K / root) / (size + _K / root)
    double, later, latest, spare = 2 * t, xp.zeros_like(t), xp.full_like(t, terms[-1]), xp.empty_like(t)
    for coefficient in terms[-2:0:-1]:  # Clenshaw's recurrence
        xp.multiply(double, latest, out=spare)
        spare += coefficient
        spare -= later
        later, latest, spare = latest, spare, later
    series = t * latest - later + terms[0]
    high = xp.floor(size * _GRID) / _GRID
    rest = xp.expm1(-scale * (size - high) * (size + high))
    tail = xp.exp(-scale * high * high) * (factor * series / (size + 0.5 / root))
    return tail + tail * rest
