"""Pooling: the maximum or the mean of each window of an image."""

from __future__ import annotations

from typing import Any

from backends import Array, active, xp
from backends.windows import Pair, Windows
from scratchnet.core.function import Function, T
from scratchnet.errors import SettingError, ShapeError
from scratchnet.functions.convolution import images, pair
from scratchnet.functions.indexing import pad
from scratchnet.functions.joining import concatenate
from scratchnet.functions.reduction import mean
from scratchnet.functions.shape import expand_dims, in_float32, squeeze

_OVERLAPPING = Windows((3, 2), (2, 1), ((1, 1), (0, 1)), (1, 2))


class MaxPool2d(Function):
    """The maximum of each window. If several elements are equal, the first one gets the gradient."""

    rule = "∂L/∂x = zeros, and grad added where each maximum was"
    operations = (1, 1)
    samples = (
        ([(2, 3, 4, 6)], {"windows": Windows((2, 2), (2, 2))}),
        ([(1, 2, 5, 4)], {"windows": _OVERLAPPING}),
    )

    def __init__(self, windows: Windows) -> None:
        """Set the windows."""
        self.windows = windows

    def forward(self, x: Array) -> Array:
        """Map x (n, channels, rows, columns) to (n, channels, windows down, windows across)."""
        self.size = x.shape[2:]
        y, self.places = active().max_pool2d(x, self.windows, self.needs_grad[0])
        return y

    def backward(self, grad: Any) -> Any:
        """Put each element of grad where the maximum was."""
        return MaxUnpool2d(self.windows, self.size).on(grad, self.places)


class MaxUnpool2d(Function):
    """Zeros, with each element added at a place in its window: the gradient of MaxPool2d."""

    rule = "∂L/∂y = grad at the places"
    operations = (1, 1, 0)
    samples = (
        (
            [(1, 2, 1, 2), [[[[0, 3]], [[1, 2]]]]],
            {"windows": Windows((2, 2), (2, 2)), "size": (3, 4)},
        ),
    )

    def __init__(self, windows: Windows, size: Pair) -> None:
        """Set the windows, and the rows and columns of the result."""
        self.windows, self.size = windows, size

    def forward(self, y: Array, places: Array) -> Array:
        """Map y and the places, (n, channels, down, across), to (n, channels, rows, columns)."""
        self.keep(places)
        return active().max_unpool2d(y, places, self.windows, self.size)

    def backward(self, grad: Any, places: Any) -> tuple[Any, None]:
        """Take grad at the places."""
        return MaxPool2dAt(self.windows).on(grad, places), None


class MaxPool2dAt(Function):
    """The element of each window at a given place: the gradient of MaxUnpool2d."""

    rule = "∂L/∂x = zeros, and grad added at the places"
    operations = (1, 1, 0)
    samples = (([(1, 2, 3, 4), [[[[0, 3]], [[1, 2]]]]], {"windows": Windows((2, 2), (2, 2))}),)

    def __init__(self, windows: Windows) -> None:
        """Set the windows."""
        self.windows = windows

    def forward(self, x: Array, places: Array) -> Array:
        """Map x (n, channels, rows, columns) to the shape of the places."""
        self.keep(places)
        self.size = x.shape[2:]
        return active().max_pool2d_at(x, places, self.windows)

    def backward(self, grad: Any, places: Any) -> tuple[Any, None]:
        """Put each element of grad at its place."""
        return MaxUnpool2d(self.windows, self.size).on(grad, places), None


def max_pool2d(
    x: T,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
) -> T:
    """Return the maximum of each window of the images, as `torch.nn.functional.max_pool2d`.

    Args:
        x: a Variable or an array of shape (n, channels, height, width), or (channels, height, width).
        kernel_size: the height and width of a window: an integer, or a pair.
        stride: the distance between two windows: an integer, or a pair. None means kernel_size.
        padding: the rows and columns to add on each side, at most half of the kernel. They never count.
        dilation: the distance between two elements of a window: an integer, or a pair.
        ceil_mode: whether a window may reach beyond the end of the padded image.

    Returns:
        A Variable or an array of shape (n, channels, windows down, windows across). If several elements
        of a window are equal, the first one gets the gradient. NaN is larger than every number.

    Raises:
        ShapeError: x has another number of axes, or the kernel is larger than the padded image.
        SettingError: a setting is not an integer or a pair, or out of its range.
    """
    windows = _windows("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    return _of_batch(MaxPool2d(windows).on, x)


def avg_pool2d(
    x: T,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> T:
    """Return the mean of each window of the images, as `torch.nn.functional.avg_pool2d`.

    Args:
        x: a Variable or an array of shape (n, channels, height, width), or (channels, height, width).
        kernel_size: the height and width of a window: an integer, or a pair.
        stride: the distance between two windows: an integer, or a pair. None means kernel_size.
        padding: the rows and columns of zeros to add on each side, at most half of the kernel.
        ceil_mode: whether a window may reach beyond the end of the padded image.
        count_include_pad: whether the elements of the padding count in the mean.
        divisor_override: the number by which each sum is divided; None means the number of elements.

    Returns:
        A Variable or an array of shape (n, channels, windows down, windows across).

    Raises:
        ShapeError: x has another number of axes, or the kernel is larger than the padded image.
        SettingError: a setting is not an integer or a pair, or out of its range.
    """
    name = "avg_pool2d"
    windows = _windows(name, x, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is not None:
        (divisor_override,) = pair(name, "divisor_override", divisor_override, 1, 1)
    before = pair(name, "padding", padding, 0)
    return in_float32(lambda x: _mean(x, windows, before, count_include_pad, divisor_override), x)


def _mean(x: Any, windows: Windows, before: Any, with_padding: bool, divisor: int | None) -> Any:
    """Return the mean of each window: the sums along its rows, then along its columns, divided."""
    count, y = windows.result(x.shape[-2:]), x
    if windows.pads:
        y = pad(x, [(0, 0)] * (x.ndim - 2) + list(windows.padding))
    for axis, number in enumerate(count):
        step, rest = windows.stride[axis], (slice(None),) * (1 - axis)
        parts = (slice(i, i + step * (number - 1) + 1, step) for i in range(windows.kernel[axis]))
        y, *others = (y[(..., part, *rest)] for part in parts)
        for each in others:
            y = y + each
    if divisor is not None:
        return y / divisor
    of_rows, of_columns = (
        _elements(*each, with_padding)
        for each in zip(x.shape[-2:], count, windows.kernel, windows.stride, before, strict=True)
    )
    return y / (of_rows[:, None] * of_columns).astype(y.dtype)


def adaptive_avg_pool2d(x: T, output_size: int | None | tuple[int | None, int | None]) -> T:
    """Return means of the images over windows that give a result of a fixed size, as PyTorch does.

    Row i of the result is the mean of the rows from ⌊i · height / rows⌋ to ⌈(i + 1) · height / rows⌉,
    without the last one; columns likewise.

    Args:
        x: a Variable or an array of shape (n, channels, height, width), or (channels, height, width).
        output_size: the height and width of the result: an integer, or a pair. None in place of a number
            keeps that size of x.

    Raises:
        ShapeError: x has another number of axes, or no rows or columns.
        SettingError: the size is not an integer or a pair, or not positive.
    """
    name = "adaptive_avg_pool2d"
    images(name, x)
    _not_empty(name, x)
    several: Any = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * 2
    if len(several) == 2:
        pairs = zip(x.shape[-2:], several, strict=True)
        several = tuple(n if size is None else size for n, size in pairs)
    for axis, number in zip((-2, -1), pair(name, "output_size", several, 1), strict=True):
        n, rest = x.shape[axis], (slice(None),) * (-1 - axis)
        if number != n:
            parts = (slice(i * n // number, -(-(i + 1) * n // number)) for i in range(number))
            x = concatenate([mean(x[(..., part, *rest)], axis, keepdims=True) for part in parts], axis)
    return x


def _windows(
    name: str, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Windows:
    """Return the windows of a pooling. With `ceil_mode`, the padding holds all of the last window."""
    images(name, x)
    _not_empty(name, x)
    kernel = pair(name, "kernel_size", kernel_size, 1)
    strides = kernel if stride is None else pair(name, "stride", stride, 1)
    windows = Windows(kernel, strides, dilation=pair(name, "dilation", dilation, 1))
    before = pair(name, "padding", padding, 0)
    if any(n > extent // 2 for n, extent in zip(before, windows.extent, strict=True)):
        raise SettingError(
            f"{name}: padding {padding!r} is more than half of kernel_size {kernel_size!r}; use less"
        )
    sides: Any = []
    for n, extent, step, least in zip(x.shape[-2:], windows.extent, strides, before, strict=True):
        if n + 2 * least < extent:
            raise ShapeError(
                f"{name}: kernel_size {kernel_size!r} spans {extent} elements, more than x of shape "
                f"{x.shape} has with padding {padding!r}; use a smaller kernel"
            )
        count = (n + 2 * least - extent) // step + 1
        if ceil_mode:
            count = -(-(n + 2 * least - extent) // step) + 1
            if (count - 1) * step >= n + least:  # the last window would begin beyond the image
                count -= 1
        sides.append((least, max((count - 1) * step + extent - n - least, 0)))
    return windows._replace(padding=tuple(sides))


def _not_empty(name: str, x: Any) -> None:
    if 0 in x.shape[-2:]:
        raise ShapeError(f"{name}: x of shape {x.shape} has no rows or columns; give at least one")


def _elements(n: int, count: int, kernel: int, step: int, before: int, with_padding: bool) -> Array:
    """Return how many elements along an axis count in each window."""
    low, high = (-before, n + before) if with_padding else (0, n)
    starts = xp.arange(count) * step - before
    return xp.clip(starts + kernel, low, high) - xp.clip(starts, low, high)


def _of_batch(function: Any, x: Any) -> Any:
    """Apply a function of a batch of images to a batch, or to one image."""
    return function(x) if x.ndim == 4 else squeeze(function(expand_dims(x, 0)), 0)
