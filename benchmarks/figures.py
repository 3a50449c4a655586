"""A figure: what was measured, its median and spread, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from scratchnet.results.words import duration

Figure: TypeAlias = dict[str, Any]
"""group, what, and of the seconds: median, quartiles, min, max, rounds; then whatever else is known."""


def figure(group: str, what: str, seconds: Sequence[float], **facts: Any) -> Figure:
    """The figure of some times, warm-up left out, of one thing."""
    low, middle, high = (float(each) for each in np.percentile(seconds, [25, 50, 75]))
    return {
        "group": group, "what": what, "median": middle, "quartiles": [low, high],
        "min": min(seconds), "max": max(seconds), "rounds": len(seconds), **facts,
    }  # fmt: skip


def spread(found: Figure) -> str:
    """The quartiles of a figure."""
    return " – ".join(map(duration, found["quartiles"]))


def of_group(record: dict[str, Any], group: str) -> list[Figure]:
    """The figures of a record that belong to a group and were measured."""
    return [each for each in record["figures"] if each.get("group") == group and "median" in each]
