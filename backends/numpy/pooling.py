"""The kernels of max pooling, on the CPU. The results have the order in memory that x has."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from backends.plain.library import Array
from backends.plain.pooling import Pooling
from backends.windows import Pair, Windows

_IN_CACHE = 1 << 19
"""The elements of a block of images."""


class NumPyPooling(Pooling):
    """The kernels of max pooling, with few images at a time, so that they stay in the cache."""

    def max_pool2d(self, x: Array, windows: Windows, places: bool) -> tuple[Array, Array | None]:
        """As the plain twin. A place is the number of positions before the first equal element."""
        if places and self._of_places(windows) != "uint8":
            return super().max_pool2d(x, windows, places)
        count = windows.result(x.shape[2:])
        y = np.empty_like(x, shape=(*x.shape[:2], *count))
        place = np.zeros_like(y, np.uint8) if places else None
        for images in _blocks(x.shape):
            padded, found = self._below_all(x[images], windows), y[images]
            first, *others = (padded[:, :, *part] for *_, part in windows.positions(count))
            found[...] = first
            for each in others:
                np.maximum(found, each, out=found)
            if place is None:
                continue
            if np.isnan(found.max(initial=0)):  # NaN is not equal to itself
                return super().max_pool2d(x, windows, places)
            before, number = np.ones_like(found, np.bool_), place[images]
            for each in (first, *others[:-1]):
                before &= each != found
                number += before
        return y, place

    def max_unpool2d(self, y: Array, places: Array, windows: Windows, size: Pair) -> Array:
        """As the plain twin. Where windows do not overlap, it writes and does not add."""
        x = np.zeros_like(places, y.dtype, shape=(*y.shape[:2], *size))
        apart = all(np.less_equal(windows.extent, windows.stride))
        for images in _blocks(x.shape):
            given, inside, padded = np.empty_like(places[images], y.dtype), x[images], x[images]
            given[...] = y[images]
            if windows.pads:
                padded = np.zeros_like(inside, shape=(*inside.shape[:2], *windows.padded(size)))
            for number, (_, _, part) in enumerate(windows.positions(y.shape[2:])):
                each = self.masked(given, places[images] == number)
                if apart:
                    padded[:, :, *part] = each
                else:
                    padded[:, :, *part] += each
            if windows.pads:
                inside[...] = padded[:, :, *windows.inside(size)]
        return x


def _blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Return slices of the images, so that each block has about as many elements as fit the cache."""
    block = max(_IN_CACHE // max(math.prod(shape[1:]), 1), 1)
    return (slice(start, start + block) for start in range(0, shape[0], block))
