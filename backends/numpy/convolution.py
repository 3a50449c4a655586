"""The kernels of convolution, on the CPU.

The results lie in memory as (n, rows, columns, channels), and their shape is a view of it: (n, channels,
rows, columns). In this order, the channels of a place are a row of a matrix, and a convolution is a
product of matrices. Elementwise operations keep the order. The operands may have any order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from backends.plain.convolution import Convolution
from backends.plain.library import Array
from backends.windows import Pair, Windows

_IN_CACHE = 1 << 18
"""The elements of a matrix of windows: about the size of a core's cache."""
_ROWS = 256
"""The least rows of that matrix, because each product reads the whole weight."""
_FEW = 8
"""With fewer channels, the matrix of windows is stored by columns, so that its copies are longer."""


class NumPyConvolution(Convolution):
    """The kernels of convolution, block by block, as products of matrices that fit into the cache."""

    def conv2d(
        self, x: Array, weight: Array, bias: Array | None, windows: Windows, groups: int
    ) -> Array:
        """As the plain twin: the matrix of windows times the weight."""
        features, dtype = len(weight), np.result_type(x, weight)
        y = np.empty((len(x), *windows.result(x.shape[2:]), features), dtype)
        matrix = _matrices(weight, groups).reshape(groups, -1, features // groups)
        for place, of_windows in _blocks(x, windows, groups, y.shape[1:3]):
            np.matmul(of_windows, matrix, out=_of_groups(y[place], groups))
            if bias is not None:
                y[place] += bias
        return y.transpose(0, 3, 1, 2)

    def conv_transpose2d(
        self, y: Array, weight: Array, bias: Array | None, windows: Windows, groups: int, size: Pair
    ) -> Array:
        """As the plain twin, with few images at a time."""
        n, features = y.shape[:2]
        channels, dtype = weight.shape[1] * groups, np.result_type(y, weight)
        matrix = np.ascontiguousarray(_matrices(weight, groups).swapaxes(-1, -2))
        x = np.empty((n, *size, channels), dtype)
        given, count = y.transpose(0, 2, 3, 1), y.shape[2:]
        block = _images(math.prod(count) * max(channels, features), math.prod(count))
        for start in range(0, n, block):
            images = slice(start, start + block)
            factor = _of_groups(given[images], groups)
            padded = np.zeros((len(x[images]), *windows.padded(size), channels), dtype)
            part = np.empty((len(x[images]), *count, channels), dtype)
            for row, column, (rows, columns) in windows.positions(count):
                np.matmul(factor, matrix[:, row, column], out=_of_groups(part, groups))
                padded[:, rows, columns] += part
            x[images] = padded[:, *windows.inside(size)]
            if bias is not None:
                x[images] += bias
        return x.transpose(0, 3, 1, 2)

    def conv2d_weight(self, x: Array, y: Array, windows: Windows, groups: int) -> Array:
        """As the plain twin: the matrix of windows, transposed, times y."""
        channels, features = x.shape[1] // groups, y.shape[1] // groups
        given = y.transpose(0, 2, 3, 1)
        shape = groups, math.prod(windows.kernel) * channels, features
        total = np.zeros(shape, np.result_type(x, y))
        for place, of_windows in _blocks(x, windows, groups, y.shape[2:]):
            total += of_windows.swapaxes(1, 2) @ _of_groups(given[place], groups)
        weight = total.reshape(groups, *windows.kernel, channels, features).transpose(0, 4, 3, 1, 2)
        return weight.reshape(groups * features, channels, *windows.kernel)


def _matrices(weight: Array, groups: int) -> Array:
    """Return the weight as (groups, *kernel, channels, features), in this order in memory."""
    features, channels, *kernel = weight.shape
    apart = weight.reshape(groups, features // groups, channels, *kernel)
    return np.ascontiguousarray(apart.transpose(0, 3, 4, 2, 1))


def _of_groups(part: Array, groups: int) -> Array:
    """Return (images, rows, columns, channels) as (groups, places, channels of a group)."""
    channels = part.shape[-1] // groups
    return part.reshape(math.prod(part.shape[:-1]), groups, channels).swapaxes(0, 1)


def _images(elements: int, rows: int) -> int:
    """Return how many images a block takes, of so many elements and rows of the matrix each."""
    return max(_IN_CACHE // max(elements, 1), _ROWS // max(rows, 1), 1)


def _blocks(
    x: Array, windows: Windows, groups: int, count: Pair
) -> Iterator[tuple[tuple[slice, slice], Array]]:
    """Return the windows of x as matrices, one for each block of windows.

    A block has some images. If the windows of one image are too many, it has some rows of windows. The
    matrix of a whole batch would need many times the memory of the batch.

    Args:
        x: (n, channels, rows, columns), in any order in memory.
        windows: the windows.
        groups: the number of groups of channels.
        count: the number of windows, down and across.

    Returns:
        Pairs: the images and the rows of windows, as two slices; and the windows, (groups, windows,
            kernel elements · channels of a group). The next block overwrites them.
    """
    n, size, (down, across) = len(x), x.shape[2:], count
    last, channels = x.transpose(0, 2, 3, 1), x.shape[1] // groups
    length = math.prod(windows.kernel) * channels
    block = min(n, _images(down * across * length * groups, down * across))
    lines = max(_IN_CACHE // (across * length * groups), -(-_ROWS // across)) if block == 1 else down
    lines = min(down, lines)
    direct = windows.kernel == windows.stride == (1, 1)
    if windows.pads:
        buffer = np.zeros((block, *windows.padded(size), x.shape[1]), x.dtype)
    if channels < _FEW:
        memory = np.empty((groups, *windows.kernel, channels, block, lines, across), x.dtype)
        apart = memory.transpose(4, 5, 6, 0, 1, 2, 3)
    else:
        memory = np.empty((groups, block, lines, across, *windows.kernel, channels), x.dtype)
        apart = memory.transpose(1, 2, 3, 0, 4, 5, 6)
    for start in range(0, n, max(block, 1)):
        padded = last[start : start + block]
        images = slice(start, start + len(padded))
        if windows.pads:
            buffer[: len(padded), *windows.inside(size)] = padded
            padded = buffer[: len(padded)]
        for top in range(0, down, lines):
            number = min(lines, down - top)
            place = images, slice(top, top + number)
            read = padded[:, top * windows.stride[0] :]
            if direct:
                yield place, _of_groups(read[:, :number], groups)
                continue
            filled = apart[: len(padded), :number]
            for row, column, (rows, columns) in windows.positions((number, across)):
                each = read[:, rows, columns]
                filled[..., row, column, :] = each.reshape(*each.shape[:3], groups, channels)
            if channels < _FEW:
                by_columns = filled.transpose(3, 4, 5, 6, 0, 1, 2).reshape(groups, length, -1)
                yield place, by_columns.swapaxes(1, 2)
            else:
                yield place, filled.transpose(3, 0, 1, 2, 4, 5, 6).reshape(groups, -1, length)
