"""Convolutions of images, and of sequences as images with one row.

Three Functions compute sums of products over windows. Conv2d computes its result, ConvTranspose2d the
images, and Conv2dWeight the weight, each from the other two. So the gradients of each Function are the
other two, and every derivative exists. Source: Dumoulin and Visin, A guide to convolution arithmetic for
deep learning, 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from backends import Array, active, xp
from backends.errors import kind_of
from backends.windows import Pair, Windows
from scratchnet.core.function import Function
from scratchnet.errors import OperandError, SettingError, ShapeError
from scratchnet.functions.elementwise import at_least_float32
from scratchnet.functions.reduction import sum
from scratchnet.functions.shape import expand_dims, shape_of, squeeze

_STRIDED = Windows((2, 3), (2, 1), ((1, 1), (0, 2)), (1, 2))


class Conv2d(Function):
    """The sum of the products of a weight with each window of an image, plus a bias if there is one."""

    rule = (
        "∂L/∂x = conv_transpose2d(grad, weight); "
        "∂L/∂weight = Σ grad · x over images and windows; "
        "∂L/∂bias = Σ grad over images and windows"
    )
    samples = (
        ([(2, 3, 5, 4), (2, 3, 3, 3), (2,)], {"windows": Windows((3, 3), padding=((1, 1), (1, 1)))}),
        ([(2, 4, 5, 6), (6, 2, 2, 3)], {"windows": _STRIDED, "groups": 2}),
        ([(1, 9, 4, 4), (2, 9, 1, 1)], {"windows": Windows((1, 1))}),
    )

    def __init__(self, windows: Windows, groups: int = 1) -> None:
        """Set the windows, and the number of groups of channels."""
        self.windows, self.groups = windows, groups

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        """Map x (n, channels, rows, columns) and weight (features, channels / groups, *kernel) to y."""
        self.keep(x if self.needs_grad[1] else None, weight)
        self.size = x.shape[2:]
        kernel, settings = active().conv2d, (self.windows, self.groups)
        return _in_float32(lambda x, w, b=None: kernel(x, w, b, *settings), *_present(x, weight, bias))

    def backward(self, grad: Any, x: Any, weight: Any) -> tuple[Any, ...]:
        """Apply the two other Functions; sum grad for the bias."""
        to_x, to_weight, *to_bias = self.needs_grad
        return (
            ConvTranspose2d(self.windows, self.size, self.groups).on(grad, weight) if to_x else None,
            Conv2dWeight(self.windows, self.groups).on(x, grad) if to_weight else None,
            *(sum(grad, (0, 2, 3)) if needed else None for needed in to_bias),
        )


class ConvTranspose2d(Function):
    """The gradient of Conv2d at its images: each element times the weight, added up at its window."""

    rule = (
        "∂L/∂x = conv2d(grad, weight); "
        "∂L/∂weight = Σ x · grad over images and windows; "
        "∂L/∂bias = Σ grad over images, rows and columns"
    )
    samples = (
        (
            [(2, 2, 3, 2), (2, 3, 3, 3), (3,)],
            {"windows": Windows((3, 3), (2, 2), ((1, 1), (1, 1))), "size": (6, 4)},
        ),
        ([(2, 6, 3, 4), (6, 2, 2, 3)], {"windows": _STRIDED, "size": (4, 6), "groups": 2}),
    )

    def __init__(self, windows: Windows, size: Pair, groups: int = 1) -> None:
        """Set the windows, the rows and columns of the result, and the number of groups."""
        self.windows, self.size, self.groups = windows, size, groups

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        """Map x (n, features, windows down, windows across) to (n, channels, rows, columns)."""
        self.keep(x if self.needs_grad[1] else None, weight)
        self.count, settings = x.shape[2:], (self.windows, self.groups, self.size)
        kernel = active().conv_transpose2d
        return _in_float32(lambda x, w, b=None: kernel(x, w, b, *settings), *_present(x, weight, bias))

    def backward(self, grad: Any, x: Any, weight: Any) -> tuple[Any, ...]:
        """Apply the two other Functions; sum grad for the bias."""
        to_x, to_weight, *to_bias = self.needs_grad
        at_x = None
        if to_x:
            at_x = Conv2d(self.windows, self.groups).on(grad, weight)
            if at_x.shape[2:] != self.count:  # with an output_padding of at least the stride
                at_x = at_x[:, :, : self.count[0], : self.count[1]]
        return (
            at_x,
            Conv2dWeight(self.windows, self.groups).on(grad, x) if to_weight else None,
            *(sum(grad, (0, 2, 3)) if needed else None for needed in to_bias),
        )


class Conv2dWeight(Function):
    """The gradient of Conv2d at its weight: products of images with y, added up over all windows."""

    rule = "∂L/∂x = conv_transpose2d(y, grad); ∂L/∂y = conv2d(x, grad)"
    samples = (
        ([(2, 3, 5, 4), (2, 2, 5, 4)], {"windows": Windows((3, 3), padding=((1, 1), (1, 1)))}),
        ([(2, 4, 4, 6), (2, 6, 3, 4)], {"windows": _STRIDED, "groups": 2}),
    )

    def __init__(self, windows: Windows, groups: int = 1) -> None:
        """Set the windows, and the number of groups of channels."""
        self.windows, self.groups = windows, groups

    def forward(self, x: Array, y: Array) -> Array:
        """Map x (n, channels, rows, columns) and y (n, features, down, across) to the weight's shape."""
        self.keep(x if self.needs_grad[1] else None, y if self.needs_grad[0] else None)
        self.size, self.count, kernel = x.shape[2:], y.shape[2:], active().conv2d_weight
        return _in_float32(lambda x, y: kernel(x, y, self.windows, self.groups), x, y)

    def backward(self, grad: Any, x: Any, y: Any) -> tuple[Any, Any]:
        """Apply the two other Functions."""
        at_y = None
        if self.needs_grad[1]:
            at_y = Conv2d(self.windows, self.groups).on(x, grad)
            if at_y.shape[2:] != self.count:
                at_y = at_y[:, :, : self.count[0], : self.count[1]]
        to_x = self.needs_grad[0]
        return (
            ConvTranspose2d(self.windows, self.size, self.groups).on(y, grad) if to_x else None,
            at_y,
        )


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Any:
    """Return the convolution of images, the weighted sum of each window, as torch's conv2d.

        y = sn.conv2d(x, weight, padding="same")  # x is (n, 3, 28, 28), weight is (8, 3, 3, 3)

    Args:
        x: a Variable or an array of shape (n, channels, height, width), or (channels, height, width).
        weight: a Variable or an array of shape (features, channels / groups, kernel height, width).
        bias: a Variable or an array of shape (features,), or None.
        stride: the distance between two windows: an integer, or a pair for rows and columns.
        padding: the zeros to add on each side: an integer, or a pair. "valid" adds none. "same" adds as
            many as keep height and width; it needs stride 1.
        dilation: the distance between two elements of a window: an integer, or a pair.
        groups: the channels and the features are divided into so many groups, and the features of a
            group see only its channels.

    Returns:
        A Variable or an array of shape (n, features, windows down, windows across).

    Raises:
        ShapeError: the channels do not fit, the groups do not divide the features, the kernel is larger
            than the padded image, or an operand has another number of axes.
        SettingError: a setting is not an integer or a pair, or out of its range.
    """
    _check("conv2d", x, weight, bias, groups, 2)
    windows = _windows("conv2d", weight.shape[2:], stride, padding, dilation)
    return _convolved("conv2d", x, weight, bias, windows, groups)


def conv1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int = 1,
    padding: int | str = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Any:
    """Return the convolution of sequences, as `torch.nn.functional.conv1d`.

    Args:
        x: a Variable or an array of shape (n, channels, length), or (channels, length).
        weight: a Variable or an array of shape (features, channels / groups, kernel length).
        bias: as in `conv2d`; so are the other arguments, with one integer each, and the errors.
        stride: the distance between two windows.
        padding: the zeros to add on each side, or "same" or "valid".
        dilation: the distance between two elements of a window.
        groups: the number of groups of channels.

    Returns:
        A Variable or an array of shape (n, features, windows).

    Raises:
        ShapeError: as in `conv2d`.
        SettingError: as in `conv2d`.
    """
    _check("conv1d", x, weight, bias, groups, 1)
    kernel = (1, *weight.shape[2:])
    step = (1, *pair("conv1d", "stride", stride, 1, 1))
    apart = (1, *pair("conv1d", "dilation", dilation, 1, 1))
    sides = padding if isinstance(padding, str) else (0, *pair("conv1d", "padding", padding, 0, 1))
    windows = _windows("conv1d", kernel, step, sides, apart)
    y = _convolved("conv1d", expand_dims(x, -2), expand_dims(weight, -2), bias, windows, groups)
    return squeeze(y, -2)


def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    output_padding: int | Pair = 0,
    groups: int = 1,
    dilation: int | Pair = 1,
) -> Any:
    """Return larger images: each element times the weight, added up, as torch's conv_transpose2d.

    With the same settings, it is the gradient of `conv2d` at its images.

    Args:
        x: a Variable or an array of shape (n, channels, height, width), or (channels, height, width).
        weight: a Variable or an array of shape (channels, features / groups, kernel height, width).
        bias: a Variable or an array of shape (features,), or None.
        stride: the distance in the result between two elements of x: an integer, or a pair.
        padding: the rows and columns to remove on each side of the result.
        output_padding: the rows and columns to add below and right of the result, smaller than the
            stride or the dilation.
        groups: the number of groups of channels.
        dilation: the distance in the result between two elements of the kernel.

    Returns:
        A Variable or an array of shape (n, features, height, width), where the new height is
        (height - 1) · stride - 2 · padding + dilation · (kernel - 1) + output_padding + 1.

    Raises:
        ShapeError: the channels do not fit, the groups do not divide them, an operand has another number
            of axes, or the result would be empty.
        SettingError: a setting is not an integer or a pair, or out of its range.
    """
    name = "conv_transpose2d"
    _check(name, x, weight, bias, groups, 2, transposed=True)
    windows = _windows(name, weight.shape[2:], stride, pair(name, "padding", padding, 0), dilation)
    more = pair(name, "output_padding", output_padding, 0)
    if any(n >= max(two) for n, *two in zip(more, windows.stride, windows.dilation, strict=True)):
        raise SettingError(
            f"{name}: output_padding {output_padding!r} must be smaller than stride {stride!r} or "
            f"dilation {dilation!r}"
        )
    each = zip(x.shape[-2:], windows.stride, windows.padding, windows.extent, more, strict=True)
    high, wide = (
        (n - 1) * step - before - after + extent + m for n, step, (before, after), extent, m in each
    )
    if min(high, wide) < 1:
        raise ShapeError(
            f"{name}: x of shape {x.shape} gives {high} x {wide} elements; use less padding"
        )
    batch = x if x.ndim == 4 else expand_dims(x, 0)
    y = ConvTranspose2d(windows, (high, wide), groups).on(*_present(batch, weight, bias))
    return y if x.ndim == 4 else squeeze(y, 0)


def pair(name: str, what: str, given: Any, least: int, count: int = 2) -> Any:
    """Return one integer for each axis; one integer stands for all of them.

    Args:
        name: the function, for messages.
        what: the argument, for messages.
        given: an integer, or a tuple or list of `count` integers.
        least: the smallest integer that is allowed.
        count: the number of axes.

    Raises:
        SettingError: it is something else.
    """
    several = tuple(given) if isinstance(given, (tuple, list)) else (given,) * count
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in several)
    if len(several) != count or not whole or min(several) < least:
        more = f", or {count} of them" if count > 1 else ""
        raise SettingError(f"{name}: {what} is {given!r}; give an integer of at least {least}{more}")
    return tuple(map(int, several))


def images(name: str, x: Any, axes: int = 2) -> None:
    """Check that x is a batch of images or sequences with channels, or one of them.

    Raises:
        OperandError: it is not a Variable or an array.
        ShapeError: it has another number of axes.
    """
    shape = shape_of(name, "x", x)
    if len(shape) not in (axes + 1, axes + 2):
        inner = "channels, height, width" if axes == 2 else "channels, length"
        raise ShapeError(
            f"{name}: x has shape {shape}; it must be (n, {inner}) or ({inner}); reshape it"
        )


def _check(
    name: str, x: Any, weight: Any, bias: Any, groups: Any, axes: int, transposed: bool = False
) -> None:
    images(name, x, axes)
    shape = shape_of(name, "weight", weight)
    if len(shape) != axes + 2 or 0 in shape:
        raise ShapeError(
            f"{name}: weight has shape {shape}; it must have {axes + 2} axes of at least one element"
        )
    (groups,) = pair(name, "groups", groups, 1, 1)
    channels = shape[0] if transposed else shape[1] * groups
    if shape[0] % groups:
        raise ShapeError(
            f"{name}: {groups} groups do not divide the first axis of a weight of shape {shape}; use "
            "groups that divide it"
        )
    if x.shape[-axes - 1] != channels:
        raise ShapeError(
            f"{name}: x of shape {x.shape} has {x.shape[-axes - 1]} channels, but a weight of shape "
            f"{shape} with groups={groups} expects {channels}"
        )
    features = shape[1] * groups if transposed else shape[0]
    if bias is not None and getattr(bias, "shape", ()) != (features,):
        raise ShapeError(
            f"{name}: bias has shape {getattr(bias, 'shape', ())}; it must be ({features},), one "
            "number for each feature"
        )


def _windows(name: str, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Windows:
    """Return the windows that these settings describe."""
    strides, dilations = pair(name, "stride", stride, 1), pair(name, "dilation", dilation, 1)
    windows = Windows(tuple(kernel), strides, dilation=dilations)
    if not isinstance(padding, str):
        sides: Any = tuple((n, n) for n in pair(name, "padding", padding, 0))
    elif padding == "same":
        if strides != (1, 1):
            raise SettingError(f'{name}: padding="same" needs stride 1, but stride is {stride!r}')
        sides = tuple(((extent - 1) // 2, extent // 2) for extent in windows.extent)
    elif padding == "valid":
        return windows
    else:
        raise SettingError(f'{name}: padding is {padding!r}; give integers, "same" or "valid"')
    return windows._replace(padding=sides)


def _convolved(name: str, x: Any, weight: Any, bias: Any, windows: Windows, groups: int) -> Any:
    """Apply Conv2d to a batch of images, or to one image."""
    size = windows.padded(x.shape[-2:])
    if any(n < extent for n, extent in zip(size, windows.extent, strict=True)):
        (high, wide), (rows, columns) = size, windows.extent
        raise ShapeError(
            f"{name}: a kernel that spans {rows} x {columns} is larger than x of shape {x.shape}, "
            f"which has {high} x {wide} with padding; use a smaller kernel or more padding"
        )
    batch = x if x.ndim == 4 else expand_dims(x, 0)
    y = Conv2d(windows, groups).on(*_present(batch, weight, bias))
    return y if x.ndim == 4 else squeeze(y, 0)


def _present(*operands: Any) -> tuple[Any, ...]:
    """Return the operands without a bias that is None."""
    return tuple(each for each in operands if each is not None)


def _in_float32(kernel: Callable[..., Array], *arrays: Array) -> Array:
    """Return kernel(*arrays) in the common dtype of the arrays; float16 is computed in float32."""
    dtype = xp.result_type(*(each.dtype for each in arrays))
    return kernel(*map(at_least_float32, arrays)).astype(dtype, copy=False)
