"""The kernels of max pooling."""

from __future__ import annotations

import numpy as np

from backends.plain.library import Array, Library
from backends.windows import Pair, Windows


class Pooling(Library):
    """The kernels of max pooling: the plain twins."""

    def max_pool2d(self, x: Array, windows: Windows, places: bool) -> tuple[Array, Array | None]:
        """Return the maximum of each window, and where it is in the window if asked.

        Args:
            x: (n, channels, rows, columns). Padding never counts. If a window has a NaN, its maximum is
                NaN.
            windows: the windows.
            places: whether to return the places.

        Returns:
            The maxima, (n, channels, windows down, windows across); and the places of the same shape,
                uint8 or int32: row · kernel columns + column. If several elements are equal, it is the
                first one. With a NaN it is the last NaN, as in PyTorch.
        """
        xp, count = self.xp, windows.result(x.shape[2:])
        padded = self._below_all(x, windows)
        found, place = None, None
        for number, (_, _, (rows, columns)) in enumerate(windows.positions(count)):
            each = padded[:, :, rows, columns]
            if found is None:
                found = each.copy()
                place = xp.zeros(each.shape, self._of_places(windows))
                continue
            if places:
                place = xp.where((each > found) | (each != each), number, place)
            found = xp.maximum(found, each)
        return found, place if places else None

    def max_pool2d_at(self, x: Array, places: Array, windows: Windows) -> Array:
        """Return the element of each window at a place that `max_pool2d` returned."""
        count = windows.result(x.shape[2:])
        padded = self._below_all(x, windows)
        y = self.xp.zeros(places.shape, x.dtype)
        for number, (_, _, (rows, columns)) in enumerate(windows.positions(count)):
            y += self.masked(padded[:, :, rows, columns], places == number)
        return y

    def max_unpool2d(self, y: Array, places: Array, windows: Windows, size: Pair) -> Array:
        """Return images of this size: zeros, with each element of y added at its place in its window."""
        padded = self.xp.zeros((*y.shape[:2], *windows.padded(size)), y.dtype)
        for number, (_, _, (rows, columns)) in enumerate(windows.positions(y.shape[2:])):
            padded[:, :, rows, columns] += self.masked(y, places == number)
        return padded[:, :, *windows.inside(size)]

    def _below_all(self, x: Array, windows: Windows) -> Array:
        """Return x with the lowest number of its dtype around it; x itself if there is no padding."""
        if not windows.pads:
            return x
        lowest = -self.xp.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        shape = *x.shape[:2], *windows.padded(x.shape[2:])
        padded = self.xp.full_like(x, lowest, shape=shape)
        padded[:, :, *windows.inside(x.shape[2:])] = x
        return padded

    def _of_places(self, windows: Windows) -> str:
        return "uint8" if windows.kernel[0] * windows.kernel[1] <= 256 else "int32"
