"""A figure: what was measured, its median and spread, and the number of rounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from scratchnet.results.words import duration

Figure: TypeAlias = dict[str, Any]
"""The group and what was measured; in seconds: median, quartiles, min, max; rounds; and other facts."""


def figure(group: str, what: str, seconds: Sequence[float], **facts: Any) -> Figure:
    """Return the figure of some times of one thing, without the warm-up."""
    low, middle, high = (float(each) for each in np.percentile(seconds, [25, 50, 75]))
    return {
        "group": group, "what": what, "median": middle, "quartiles": [low, high],
        "min": min(seconds), "max": max(seconds), "rounds": len(seconds), **facts,
    }  # fmt: skip


def spread(found: Figure) -> str:
    """The quartiles of a figure."""
    return " – ".join(map(duration, found["quartiles"]))


def of_group(record: dict[str, Any], group: str) -> list[Figure]:
    """Return the figures of a group in a record that were measured."""
    return [each for each in record["figures"] if each.get("group") == group and "median" in each]
