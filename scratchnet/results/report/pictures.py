"""The pictures of the page: images as data URIs, curves as the geometry of an SVG."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np

from scratchnet.results.words import figure

WIDTH, HEIGHT = 360, 248
"""The width of a chart, in its own units: that of a phone, so its text is never smaller."""

LEFT, RIGHT, TOP, BOTTOM = 46, 352, 42, 212
"""The places of its axes."""

_MOST_COLUMNS = 300
_MOST_DOTS = 40
_LEAST = 0.005  # half the range of the value axis, by the largest value, if all are the same
_PLAIN = 1e5  # from here on, a number has too many digits for the axis


class Line(NamedTuple):
    """A series of a chart."""

    name: str
    path: str
    dots: list[tuple[float, float]]


class Column(NamedTuple):
    """The place where the mouse pointer shows an epoch's values."""

    x: float
    left: float
    width: float
    epoch: int
    values: str


class Chart(NamedTuple):
    """Curves over epochs."""

    title: str
    lines: list[Line]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    columns: list[Column]
    summary: str


def chart(title: str, series: Mapping[str, Sequence[float]], most: float = math.inf) -> Chart:
    """Return a chart of values by epoch.

    Args:
        title: what the values are.
        series: by name. The first one's length is that of the chart.
        most: the largest possible value. If no value is negative, the axis is not either.
    """
    from matplotlib.ticker import MaxNLocator

    epochs = len(next(iter(series.values())))
    shown = {name: list(values)[:epochs] for name, values in series.items()}
    values = [each for line in shown.values() for each in line]
    middle = (min(values) + max(values)) / 2
    half = max((max(values) - min(values)) / 2, _LEAST * (max(map(abs, values)) or 1))
    least = 0.0 if min(values) >= 0 else -math.inf
    locator = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10])
    ticks = locator.tick_values(max(middle - half, least), min(middle + half, most))
    low, high = float(ticks[0]), float(ticks[-1])
    step = float(ticks[1] - ticks[0])
    digits = next((digits for digits in range(5) if math.isclose(round(step, digits), step)), None)
    plain = digits is not None and max(-low, high) < _PLAIN
    first, last = (0, epochs - 1) if epochs > 1 else (-1, 1)

    def across(epoch: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * (epoch - first) / (last - first), 2)

    def down(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low), 2)

    lines = []
    for name, line in shown.items():
        points = [(across(epoch), down(value)) for epoch, value in enumerate(line)]
        path = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
        lines.append(Line(name, path, points if len(points) <= _MOST_DOTS else []))
    whole = MaxNLocator(nbins=6, integer=True).tick_values(0, max(epochs - 1, 1))
    every = -(-epochs // _MOST_COLUMNS)
    width = round((RIGHT - LEFT) * every / (last - first), 2)
    columns = [
        Column(across(epoch), round(across(epoch) - width / 2, 2), width, epoch, _values(epoch, shown))
        for epoch in range(epochs - 1, -1, -every)
    ]
    return Chart(
        title,
        lines,
        [(across(tick), f"{tick:.0f}") for tick in whole if 0 <= tick < epochs],
        [(down(tick), f"{tick:.{digits}f}" if plain else f"{tick:.3g}") for tick in ticks],
        columns[::-1],
        f"{title} over {epochs} epoch{'s' if epochs > 1 else ''}. After the last: {columns[0].values}",
    )


def _values(epoch: int, series: Mapping[str, Sequence[float]]) -> str:
    values = [f"{name} {figure(line[epoch])}" for name, line in series.items() if epoch < len(line)]
    return " · ".join(values)


def png(pixels: np.ndarray, colours: str, low: float, high: float) -> str:
    """Return the pixels (height, width) as a data URI, in matplotlib's color map of that name.

    Those with colors, (height, width, 3), uint8, keep their own.
    """
    from matplotlib.image import imsave

    file = BytesIO()
    imsave(file, pixels, vmin=low, vmax=high, cmap=colours, format="png")
    return embedded(file)


def embedded(file: BytesIO) -> str:
    """Return a PNG file as a data URI."""
    return "data:image/png;base64," + b64encode(file.getvalue()).decode()
