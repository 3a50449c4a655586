"""The kernels of convolution.

All three compute with the same numbers: x (n, channels, rows, columns), the weight (features, channels /
groups, *kernel), and y (n, features, windows down, windows across). Each element of y is the sum of the
products of a weight with x at one window. Each kernel returns the sums for one of the three, from the
other two. So the gradients of each kernel are the other two kernels.
"""

from __future__ import annotations

import math

from backends.plain.library import Array, Library
from backends.windows import Pair, Windows


class Convolution(Library):
    """The kernels of convolution: the plain twins."""

    def conv2d(
        self, x: Array, weight: Array, bias: Array | None, windows: Windows, groups: int
    ) -> Array:
        """Return y, plus a bias for each feature.

        One product for each position in the window: (features, channels) times (channels, windows).
        """
        n, count = len(x), windows.result(x.shape[2:])
        features, channels = weight.shape[:2]
        padded = self._padded(x, windows)
        of_groups = weight.reshape(groups, features // groups, channels, *windows.kernel)
        y = self.xp.zeros((n, groups, features // groups, math.prod(count)), self._type(x, weight))
        for row, column, (rows, columns) in windows.positions(count):
            read = padded[:, :, rows, columns].reshape(n, groups, channels, math.prod(count))
            y += self.matmul(of_groups[..., row, column], read)
        y = y.reshape(n, features, *count)
        return y if bias is None else y + bias.reshape(-1, 1, 1)

    def conv_transpose2d(
        self, y: Array, weight: Array, bias: Array | None, windows: Windows, groups: int, size: Pair
    ) -> Array:
        """Return x of this size, plus a bias for each channel. Sums of overlapping windows add up."""
        n, count = len(y), y.shape[2:]
        features, channels = weight.shape[:2]
        of_groups = weight.reshape(groups, features // groups, channels, *windows.kernel)
        given = y.reshape(n, groups, features // groups, math.prod(count))
        padded = self.xp.zeros((n, groups * channels, *windows.padded(size)), self._type(y, weight))
        for row, column, (rows, columns) in windows.positions(count):
            part = self.matmul(of_groups[..., row, column].swapaxes(1, 2), given)
            padded[:, :, rows, columns] += part.reshape(n, groups * channels, *count)
        x = padded[:, :, *windows.inside(size)]
        return x if bias is None else x + bias.reshape(-1, 1, 1)

    def conv2d_weight(self, x: Array, y: Array, windows: Windows, groups: int) -> Array:
        """Return the weight. Each position in the window adds up over all images and windows."""
        n, count = len(x), y.shape[2:]
        channels, features = x.shape[1] // groups, y.shape[1] // groups
        padded = self._padded(x, windows)
        given = y.reshape(n, groups, features, math.prod(count)).transpose(1, 2, 0, 3)
        given = given.reshape(groups, features, n * math.prod(count))
        weight = self.xp.empty((groups, features, channels, *windows.kernel), self._type(x, y))
        for row, column, (rows, columns) in windows.positions(count):
            read = padded[:, :, rows, columns].reshape(n, groups, channels, math.prod(count))
            read = read.transpose(1, 0, 3, 2).reshape(groups, n * math.prod(count), channels)
            weight[..., row, column] = self.matmul(given, read)
        return weight.reshape(groups * features, channels, *windows.kernel)

    def _padded(self, x: Array, windows: Windows) -> Array:
        """Return x with zeros around it; x itself if there is no padding."""
        if not windows.pads:
            return x
        padded = self.xp.zeros((*x.shape[:2], *windows.padded(x.shape[2:])), x.dtype)
        padded[:, :, *windows.inside(x.shape[2:])] = x
        return padded

    def _type(self, *arrays: Array) -> object:
        return self.xp.result_type(*(each.dtype for each in arrays))
