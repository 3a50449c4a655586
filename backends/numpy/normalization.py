"""The kernels of batch, layer and group normalization, on the CPU.

The work is done in blocks of a matrix that stay in the cache. In layer and group normalization, each row
has its own mean. In batch normalization, a row is an image, or a pixel if the channels lie last in
memory, and each channel has its own mean.

NumPy is about twice as fast on two matrices as on a matrix and a row. So the numbers of the columns are
repeated once, for all rows of a block. Sums are products with ones, which BLAS computes fast.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from backends.plain.library import Array
from backends.plain.normalization import Normalization

_LEAST, _MOST, _BLOCKS = 1 << 15, 1 << 17, 8
"""A block has an eighth of the elements, but at least and at most so many."""
_MATTERS = 4
"""The part of a mean that its rounding lost is subtracted if it is more than this many ULP of 1, as a
share of the deviation.
"""


class NumPyNormalization(Normalization):
    """The kernels of batch, layer and group normalization, with few passes over memory."""

    def normalize(
        self, x: Array, axes: tuple[int, ...], weight: Array | None, bias: Array | None, eps: float
    ) -> tuple[Array, Array, Array]:
        """As the plain twin, in blocks."""
        y = np.empty_like(x)
        mean, variance = (np.empty(_reduced(x.shape, axes)) for _ in range(2))
        if _are_last(x, axes, weight):
            rows, results = (each.reshape(mean.size, -1) for each in (x, y))
            _rows(rows, results, mean.reshape(-1), variance.reshape(-1), weight, bias, eps)
        elif _are_of_a_batch(x, axes, weight):
            _channels(x, y, mean.reshape(-1), variance.reshape(-1), weight, bias, eps)
        else:
            return super().normalize(x, axes, weight, bias, eps)
        return y, mean, variance

    def normalize_backward(
        self,
        grad: Array,
        x: Array,
        axes: tuple[int, ...],
        weight: Array | None,
        statistics: tuple[Array, Array],
        eps: float,
        needs_grad: Sequence[bool],
    ) -> tuple[Array | None, Array | None, Array | None]:
        """As the plain twin, in blocks."""
        to_x, (mean, variance) = np.empty_like(x), (each.reshape(-1) for each in statistics)
        if _are_last(x, axes, weight):
            grads, rows, results = (each.reshape(mean.size, -1) for each in (grad, x, to_x))
            to_weight, to_bias = _rows_backward(grads, rows, results, mean, variance, weight, eps)
        elif _are_of_a_batch(x, axes, weight):
            to_weight, to_bias = _channels_backward(grad, x, to_x, mean, variance, weight, eps)
        else:
            return super().normalize_backward(grad, x, axes, weight, statistics, eps, needs_grad)
        if weight is None:
            return to_x, None, None
        shape = weight.shape
        return to_x, to_weight.astype(x.dtype).reshape(shape), to_bias.astype(x.dtype).reshape(shape)


def _reduced(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _are_last(x: Array, axes: tuple[int, ...], weight: Array | None) -> bool:
    """Return whether the axes are the last ones, and the weight has a number for each column."""
    last, size = tuple(range(x.ndim - len(axes), x.ndim)), math.prod(x.shape[i] for i in axes)
    fits = weight is None or weight.size == size
    return axes == last and fits and x.size > 0 and bool(x.flags.c_contiguous)


def _are_of_a_batch(x: Array, axes: tuple[int, ...], weight: Array | None) -> bool:
    """Return whether the axes are all but the second, and the weight has a number for each channel."""
    fits = axes == (0, *range(2, x.ndim)) and (weight is None or weight.size == x.shape[1])
    in_order = x.flags.c_contiguous or np.moveaxis(x, 1, -1).flags.c_contiguous if fits else False
    return bool(fits and in_order and x.size > 0)


def _rows_of_a_block(matrix: Array) -> int:
    number, size = map(int, matrix.shape)
    elements = min(max(number * size // _BLOCKS, _LEAST), _MOST)
    return max(1, min(elements // size, number))


def _blocks(matrix: Array) -> Iterator[slice]:
    rows = _rows_of_a_block(matrix)
    for start in range(0, len(matrix), rows):
        yield slice(start, min(start + rows, len(matrix)))


def _repeated(row: Array, matrix: Array) -> Array:
    """Return a row, repeated for all rows of a block."""
    block = np.empty((_rows_of_a_block(matrix), matrix.shape[1]), matrix.dtype)
    block[...] = row.reshape(-1)
    return block


# Statistics of rows: layer normalization, and group normalization.


def _rows(
    rows: Array,
    results: Array,
    means: Array,
    variances: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
) -> None:
    """Normalize each row of a matrix into `results`, and write its mean and variance."""
    size, dtype = rows.shape[1], rows.dtype
    share, ones = np.full(size, 1 / size, dtype), np.ones(size, dtype)
    factor = ones if weight is None else weight.reshape(-1)
    biases = None if bias is None else _repeated(bias, rows)
    spread = _repeated(ones, rows)
    for block in _blocks(rows):
        out, part = results[block], rows[block]
        of_block = spread[: len(out)]
        high = part @ share
        np.copyto(of_block, high[:, None])
        np.subtract(part, of_block, out)
        rest = (out @ share).astype(np.float64)
        variance = np.maximum(np.vecdot(out, out) / size - rest * rest, 0)
        means[block], variances[block] = high + rest, variance
        inverse = 1 / np.sqrt(variance + eps)
        if (np.abs(rest) * inverse).max() > _MATTERS * np.finfo(dtype).eps:
            out -= rest.astype(dtype)[:, None]
        out *= np.dot(inverse.astype(dtype)[:, None], factor[None], out=of_block)
        if biases is not None:
            out += biases[: len(out)]


def _rows_backward(
    grads: Array,
    rows: Array,
    results: Array,
    means: Array,
    variances: Array,
    weight: Array | None,
    eps: float,
) -> tuple[Array, Array]:
    """Write the gradient at each row into `results`, and return those at weight and bias, float64.

    With d = x - mean, s = 1 / √(variance + eps) and a row of n elements, the rule of `Normalize` is
    grad · s · weight - d · s³ · Σ(grad · d · weight) / n - s · Σ(grad · weight) / n.
    """
    size, dtype = rows.shape[1], rows.dtype
    high, inverses = means.astype(dtype), 1 / np.sqrt(variances + eps)
    rests = means - high
    matters = (np.abs(rests) * inverses).max() > _MATTERS * np.finfo(dtype).eps
    factor = np.ones(size, dtype) if weight is None else weight.reshape(-1)
    spread, centered = np.empty((2, _rows_of_a_block(rows), size), dtype)
    ones = np.ones(len(spread), dtype)
    to_weight, to_bias = np.zeros((2, size))
    for block in _blocks(rows):
        g, out = grads[block], results[block]
        of_block, d = spread[: len(g)], centered[: len(g)]
        inverse = inverses[block]
        narrow = inverse.astype(dtype)
        np.copyto(of_block, high[block, None])
        np.subtract(rows[block], of_block, d)
        if matters:
            d -= rests[block, None].astype(dtype)
        np.multiply(g, d, of_block)
        to_weight += narrow @ of_block
        to_bias += ones[: len(g)] @ g
        slope = (of_block @ factor) * (inverse * inverse * inverse / size)
        offset = (g @ factor) * (inverse / size)
        np.dot(narrow[:, None], factor[None], out=out)
        out *= g
        np.copyto(of_block, slope[:, None], casting="same_kind")
        d *= of_block
        np.copyto(of_block, offset[:, None], casting="same_kind")
        d += of_block
        out -= d
    return to_weight, to_bias


# Statistics of channels: batch normalization.


class _Channels:
    """Arrays of shape (n, channels, ...) as matrices, with one number for each channel.

    A row has all channels of a pixel, or all channels of an image. Short rows are joined.
    """

    def __init__(self, x: Array) -> None:
        self.dtype, self.channels, self.number = x.dtype, x.shape[1], x.size // x.shape[1]
        self.last = x.ndim == 2 or not x.flags.c_contiguous
        self.length = 1 if self.last else math.prod(x.shape[2:])
        self.columns = self.channels * self.length
        self.rows = _rows_of_a_block(self.matrix(x))
        self.ones = np.ones(self.rows if self.last else self.length, self.dtype)

    def matrix(self, x: Array) -> Array:
        """Return the matrix of an array; a view if its memory has the order of x."""
        in_order = x.transpose(0, *range(2, x.ndim), 1) if self.last and x.ndim > 2 else x
        return in_order.reshape(-1, self.columns)

    def spread(self, values: Array) -> Array:
        """Return one number per channel, repeated for all elements of a block."""
        block = np.empty((self.rows, self.columns), self.dtype)
        block[...] = values if self.last else np.repeat(values, self.length)
        return block

    def sums(self, block: Array) -> Array:
        """Return the sum of each channel, float64."""
        if self.last:
            return (self.ones[: len(block)] @ block).astype(np.float64)
        of_rows = block.reshape(-1, self.length) @ self.ones
        total: Array = of_rows.reshape(-1, self.channels).sum(axis=0, dtype=np.float64)
        return total


def _channels(
    x: Array,
    y: Array,
    means: Array,
    variances: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
) -> None:
    """Normalize channels. The statistics are sums of x - near, where `near` is the mean of a block.

    A block is a part of the batch, so (near - mean)² is at most the number of blocks times the variance.
    So the difference of the two sums loses no digit that matters.
    """
    of = _Channels(x)
    matrix, results = of.matrix(x), of.matrix(y)
    first = matrix[next(_blocks(matrix))]
    near = (of.sums(first) * (of.channels / first.size)).astype(x.dtype)
    shift, buffer = of.spread(near), np.empty((of.rows, of.columns), x.dtype)
    total, squares = np.zeros((2, of.channels))
    for block in _blocks(matrix):
        part = matrix[block]
        d = np.subtract(part, shift[: len(part)], buffer[: len(part)])
        total += of.sums(d)
        squares += of.sums(np.square(d, d))
    rest = total / of.number
    mean, variance = near + rest, np.maximum(squares / of.number - rest * rest, 0)
    means[:], variances[:] = mean, variance
    high = mean.astype(x.dtype)
    scale = (variance + eps) ** -0.5
    scale = scale if weight is None else scale * weight.reshape(-1)
    added = (high - mean) * scale
    added = added if bias is None else added + bias.reshape(-1)
    shift, scale, added = of.spread(high), of.spread(scale), of.spread(added)
    for block in _blocks(matrix):
        out = results[block]
        np.subtract(matrix[block], shift[: len(out)], out)
        out *= scale[: len(out)]
        out += added[: len(out)]


def _channels_backward(
    grad: Array,
    x: Array,
    to_x: Array,
    mean: Array,
    variance: Array,
    weight: Array | None,
    eps: float,
) -> tuple[Array, Array]:
    """Write the gradient at x into `to_x`, and return those at weight and bias, float64."""
    of = _Channels(x)
    matrix, grads, results = (of.matrix(each) for each in (x, grad, to_x))
    high = mean.astype(x.dtype)
    shift, buffer = of.spread(high), np.empty((of.rows, of.columns), x.dtype)
    products, to_bias = np.zeros((2, of.channels))
    for block in _blocks(matrix):
        g = grads[block]
        d = np.subtract(matrix[block], shift[: len(g)], buffer[: len(g)])
        d *= g
        products += of.sums(d)
        to_bias += of.sums(g)
    inverse = (variance + eps) ** -0.5
    to_weight = (products + (high - mean) * to_bias) * inverse
    scale = inverse if weight is None else inverse * weight.reshape(-1)
    slope = -scale * inverse * to_weight / of.number
    offset = (high - mean) * slope - scale * to_bias / of.number
    scale, slope, offset = of.spread(scale), of.spread(slope), of.spread(offset)
    for block in _blocks(matrix):
        out = results[block]
        d = np.subtract(matrix[block], shift[: len(out)], buffer[: len(out)])
        d *= slope[: len(out)]
        d += offset[: len(out)]
        np.multiply(grads[block], scale[: len(out)], out)
        out += d
    return to_weight, to_bias
