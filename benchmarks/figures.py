"""A figure: what was measured, its median and spread, and how often; and how durations are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Figure: TypeAlias = dict[str, Any]
"""group, what, and of the seconds: median, quartiles, min, max, rounds; then whatever else is known."""

ORIGINAL_SECONDS = 4.3
"""An epoch of the original, as its text tells; on unknown hardware."""


def figure(group: str, what: str, seconds: Sequence[float], **facts: Any) -> Figure:
    """The figure of some times, warm-up left out, of one thing."""
    low, middle, high = (float(each) for each in np.percentile(seconds, [25, 50, 75]))
    return {
        "group": group, "what": what, "median": middle, "quartiles": [low, high],
        "min": min(seconds), "max": max(seconds), "rounds": len(seconds), **facts,
    }  # fmt: skip


def duration(seconds: float) -> str:
    """Three digits and a unit: 4.83 s, 142 ms, 16.2 µs."""
    scales = ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)
    unit, scale = next((each for each in scales if seconds >= 0.9995 * each[1]), scales[-1])
    value = seconds / scale
    return f"{value:,.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f} {unit}"


def spread(found: Figure) -> str:
    """The quartiles of a figure."""
    return " – ".join(map(duration, found["quartiles"]))
