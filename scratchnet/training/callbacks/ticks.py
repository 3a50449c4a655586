"""Round numbers for an axis."""

from __future__ import annotations

import math


def ticks(low: float, high: float, most: int, least_step: float = 0.0) -> dict[float, str]:
    """Return multiples of 1, 2 or 5 times a power of ten from `low` to `high`, and the text of each.

    Args:
        low: the start of the axis.
        high: its end; the last number is here or just beyond.
        most: the largest number of ticks, at least 2. There are as many as this allows.
        least_step: the smallest difference between two ticks.
    """
    exponent = math.floor(math.log10(max((high - low) / most, least_step) or 1))
    for factor in (1, 2, 5, 10, 20):
        step = factor * 10.0**exponent
        first, last = math.ceil(low / step), math.floor(high / step)
        if step >= least_step and last - first < most:
            break
    numbers = [round(i * step, max(-exponent, 0)) for i in range(first, last + 1)]
    return {each: f"{each:.10g}" for each in numbers}
