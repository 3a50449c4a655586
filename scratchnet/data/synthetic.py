"""Ten classes of garments drawn by code, for machines without the real data set.

Each drawing is a signed distance, negative inside, made of boxes and thick strokes whose sizes and
places vary. A garment is one of the drawings, dimmed and with noise. The numbers are the same on every
machine. It is only for trying the program: results on it say nothing about Fashion-MNIST.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from scratchnet.data.readers import PIXELS, SIDE, Samples

COUNTS = {"train": 60_000, "valid": 10_000}
NAME = "synthetic garments (not Fashion-MNIST)"

_DRAWINGS = 200  # of each class
_NOISE = 128
_STREAMS = {"train": 1, "valid": 2}

Field: TypeAlias = Any
"""(drawings, 28, 28): a distance at each pixel, or a coordinate from -1 to 1."""


class _Pen:
    """The plane on which one class is drawn, and its random generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Return coordinates with a random place, size and slant for each drawing."""
        self._rng = rng
        axis = np.linspace(-1, 1, SIDE)
        scale, slant = self.vary(1.0, 0.25), self.vary(0.0, 0.2)
        x, y = axis[None, None, :] + self.vary(0, 0.2), axis[None, :, None] + self.vary(0, 0.2)
        self.x: Field = (x + slant * y) / scale
        self.y: Field = y / scale + 0 * x

    def vary(self, middle: float, by: float) -> Field:
        """Return one random number per drawing."""
        return self._rng.uniform(middle - by, middle + by, (_DRAWINGS, 1, 1))

    def box(self, left: float, top: float, right: float, bottom: float) -> Field:
        """Return the distance to a rectangle with slightly varied edges."""
        width = (right - left) / 2 + self.vary(0, 0.04)
        height = (bottom - top) / 2 + self.vary(0, 0.04)
        x, y = np.abs(self.x - (left + right) / 2), np.abs(self.y - (top + bottom) / 2)
        return np.maximum(x - width, y - height)

    def stroke(self, x0: float, y0: float, x1: float, y1: float, radius: float) -> Field:
        """Return the distance to a thick line from one point to another."""
        ex, ey = x1 - x0 + self.vary(0, 0.05), y1 - y0 + self.vary(0, 0.05)
        dx, dy = self.x - x0, self.y - y0
        along = np.clip((dx * ex + dy * ey) / (ex * ex + ey * ey), 0, 1)
        return np.hypot(dx - along * ex, dy - along * ey) - radius

    def both(self, x0: float, y0: float, x1: float, y1: float, radius: float) -> Field:
        """Return the distance to a stroke and its mirror image."""
        return np.minimum(self.stroke(x0, y0, x1, y1, radius), self.stroke(-x0, y0, -x1, y1, radius))


def _union(*fields: Field) -> Field:
    return np.minimum.reduce(fields)


def _cut(field: Field, hole: Field) -> Field:
    return np.maximum(field, -hole)


def _t_shirt(pen: _Pen) -> Field:
    body = _union(pen.box(-0.4, -0.7, 0.4, 0.7), pen.both(0.35, -0.55, 0.68, -0.25, 0.14))
    return _cut(body, pen.stroke(-0.1, -0.75, 0.1, -0.75, 0.1))


def _trouser(pen: _Pen) -> Field:
    return _union(pen.both(0.15, -0.7, 0.22, 0.8, 0.13), pen.box(-0.28, -0.85, 0.28, -0.55))


def _pullover(pen: _Pen) -> Field:
    return _union(pen.box(-0.4, -0.7, 0.4, 0.65), pen.both(0.4, -0.55, 0.68, 0.55, 0.13))


def _dress(pen: _Pen) -> Field:
    width = 0.2 + 0.1 * (pen.y + 1) + pen.vary(0, 0.05)
    return np.maximum(np.abs(pen.x) - width, np.abs(pen.y) - 0.88)


def _coat(pen: _Pen) -> Field:
    body = _union(pen.box(-0.4, -0.8, 0.4, 0.85), pen.both(0.4, -0.6, 0.66, 0.6, 0.12))
    return _cut(body, pen.stroke(0, -0.8, 0, 0.9, 0.03))


def _sandal(pen: _Pen) -> Field:
    sole = pen.stroke(-0.75, 0.5, 0.75, 0.35, 0.08)
    straps = _union(pen.stroke(-0.5, 0.45, -0.1, -0.15, 0.06), pen.stroke(-0.1, -0.15, 0.5, 0.3, 0.06))
    return _union(sole, straps, pen.stroke(0.5, 0.35, 0.7, -0.25, 0.05))


def _shirt(pen: _Pen) -> Field:
    body = _union(pen.box(-0.38, -0.75, 0.38, 0.75), pen.both(0.36, -0.6, 0.64, 0.2, 0.12))
    collar = pen.both(0.02, -0.55, 0.14, -0.8, 0.05)
    return _cut(body, _union(collar, pen.stroke(0, -0.3, 0, 0.7, 0.02)))


def _sneaker(pen: _Pen) -> Field:
    return _union(
        pen.box(-0.8, 0.25, 0.8, 0.45),
        pen.stroke(-0.6, 0.1, 0.5, 0.2, 0.18),
        pen.stroke(0.45, -0.1, 0.6, 0.2, 0.16),
    )


def _bag(pen: _Pen) -> Field:
    ring = np.abs(np.hypot(pen.x, pen.y + 0.2) - 0.4 - pen.vary(0, 0.06)) - 0.05
    return _union(pen.box(-0.65, -0.2, 0.65, 0.65), ring)


def _ankle_boot(pen: _Pen) -> Field:
    return _union(
        pen.box(-0.7, 0.55, 0.7, 0.75),
        pen.stroke(-0.5, 0.4, 0.4, 0.4, 0.2),
        pen.box(0.05, -0.7, 0.6, 0.5),
    )


_CLASSES: tuple[Callable[[_Pen], Field], ...] = (
    _t_shirt, _trouser, _pullover, _dress, _coat, _sandal, _shirt, _sneaker, _bag, _ankle_boot,
)  # fmt: skip


def synthetic_garments(mode: str, count: int | None = None) -> Samples:
    """Return the synthetic set, with as many samples as Fashion-MNIST has for that mode, or `count`."""
    rng = np.random.default_rng([20170825, _STREAMS[mode]])
    # A distance becomes gray over the width of a pixel.
    distances: Any = np.stack([np.clip(0.5 - draw(_Pen(rng)) * SIDE / 2, 0, 1) for draw in _CLASSES])
    drawings = (distances * (255 - _NOISE)).astype(np.uint16).reshape(-1, PIXELS)
    n = COUNTS[mode] if count is None else count
    labels = rng.integers(0, len(_CLASSES), n, dtype=np.uint8)
    chosen = labels.astype(np.intp) * _DRAWINGS + rng.integers(0, _DRAWINGS, n)
    light = rng.integers(40, 257, (n, 1), dtype=np.uint16)
    pixels = np.empty((n, PIXELS), np.uint8)
    for start in range(0, n, 1000):  # few enough to stay in the processor's cache
        part = slice(start, start + 1000)
        noise = rng.integers(0, _NOISE, pixels[part].shape, dtype=np.uint8)
        pixels[part] = (drawings[chosen[part]] * light[part] >> 8) + noise
    return Samples(pixels.reshape(n, SIDE, SIDE), labels)
