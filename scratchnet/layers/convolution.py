"""The layers of convolution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from backends import Array
from scratchnet.errors import SettingError, ShapeError
from scratchnet.functions import conv1d, conv2d, conv_transpose2d
from scratchnet.functions.shape import shape_of
from scratchnet.layers.arguments import floating, generator, parameter, size, sizes
from scratchnet.layers.initializers import Initializer, uniform
from scratchnet.layers.module import Module
from scratchnet.variable import Variable


class _Convolution(Module):
    """What the layers of convolution share: their settings, weight and bias.

    A subclass sets `axes`, the number of axes of a kernel.
    """

    axes: ClassVar[int] = 2
    transposed: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        weight_init: Initializer | None,
        bias_init: Initializer | None,
        rng: Any,
        dtype: Any,
    ) -> None:
        name = type(self).__name__
        self.in_channels = size(name, "in_channels", in_channels)
        self.out_channels = size(name, "out_channels", out_channels)
        self.kernel_size: Any = sizes(name, "kernel_size", kernel_size, self.axes)
        self.stride: Any = sizes(name, "stride", stride, self.axes)
        self.dilation: Any = sizes(name, "dilation", dilation, self.axes)
        self.groups = size(name, "groups", groups)
        self.padding: Any = padding
        if padding not in ("same", "valid"):
            self.padding = sizes(name, "padding", padding, self.axes, 0)
        elif self.transposed:
            raise SettingError(f"{name}: padding is {padding!r}; give integers")
        elif padding == "same" and set(self.stride) != {1}:
            raise SettingError(f'{name}: padding="same" needs stride 1, but stride is {stride!r}')
        for what in ("in_channels", "out_channels"):
            if getattr(self, what) % self.groups:
                raise SettingError(
                    f"{name}: groups={groups} does not divide {what}={getattr(self, what)}; use groups "
                    "that divide both numbers of channels"
                )
        rng, kind = generator(name, rng), floating(name, dtype)
        channels = self.in_channels, self.out_channels
        first, second = channels if self.transposed else channels[::-1]
        shape = (first, second // self.groups, *self.kernel_size)
        bound = 1 / math.sqrt(math.prod(shape[1:]))  # PyTorch's initial values
        drawn = uniform(-bound, bound)
        self.weight = parameter(f"{name}: weight", weight_init or drawn, shape, rng, kind)
        self.bias = None
        if bias:
            self.bias = parameter(f"{name}: bias", bias_init or drawn, channels[1:], rng, kind)

    def extra_repr(self) -> str:
        """Return the settings that differ from their defaults, as `print` shows them."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        defaults = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1}
        for what, default in defaults.items():
            given = getattr(self, what, default)
            if given not in (default, (default,) * self.axes):
                text += f", {what}={given!r}"
        return text if self.bias is not None else f"{text}, bias=False"

    def _check(self, x: Any) -> None:
        """Raise an error unless x is a batch of the right number of channels, or one element of it."""
        name = type(self).__name__
        shape = shape_of(name, "x", x)
        places = len(shape) - self.axes - 1
        if places not in (0, 1) or shape[places] != self.in_channels:
            inner = "height, width" if self.axes == 2 else "length"
            raise ShapeError(
                f"{name}: input has shape {shape}, but this layer expects (n, {self.in_channels}, "
                f"{inner}); reshape the input, or create the layer with another in_channels"
            )


class Conv2d(_Convolution):
    """A convolution of images: each result is the weighted sum of a window, plus a bias.

        layer = sn.Conv2d(3, 8, 3, padding=1, rng=0)
        y = layer(x)  # x is (n, 3, 28, 28), y is (n, 8, 28, 28)

    Args:
        in_channels: the channels of the input.
        out_channels: the channels of the result.
        kernel_size: the height and width of the windows: an integer, or a pair.
        stride: the distance between two windows: an integer, or a pair.
        padding: the zeros to add on each side: an integer, or a pair. "valid" adds none. "same" adds as
            many as keep height and width; it needs stride 1.
        dilation: the distance between two elements of a window: an integer, or a pair.
        groups: the channels are divided into so many groups; each result sees only its group.
        bias: whether the layer adds a bias.
        weight_init: an initializer `(shape, rng) -> array` for the weight; see `sn.initializers`. By
            default weight and bias are drawn uniformly between ±1 / √fan_in, as in PyTorch.
        bias_init: an initializer for the bias; not used without a bias.
        rng: a generator or a seed from which the layer draws the parameters; None uses a random seed.
        dtype: the floating dtype of the parameters.

    Attributes:
        weight: a Variable of shape (out_channels, in_channels / groups, *kernel_size).
        bias: a Variable of shape (out_channels,); None without a bias.

    Raises:
        SettingError: a setting is out of its range, `groups` does not divide the channels, the dtype is
            not floating, or an initializer returns something other than a finite floating array.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            weight_init, bias_init, rng, dtype,
        )  # fmt: skip

    def forward(self, x: Variable | Array) -> Variable:
        """Map x (n, in_channels, height, width) to (n, out_channels, windows down, windows across).

        A single image (in_channels, height, width) has a result without the first axis.

        Raises:
            ShapeError: x has other channels or axes, or the kernel is larger than the padded image.
            OperandError: x is not a Variable or an array.
        """
        self._check(x)
        settings = self.stride, self.padding, self.dilation, self.groups
        return conv2d(x, self.weight, self.bias, *settings)  # type: ignore[no-any-return]


class Conv1d(_Convolution):
    """A convolution of sequences: each result is the weighted sum of a window, plus a bias.

        layer = sn.Conv1d(3, 8, 5, padding="same", rng=0)
        y = layer(x)  # x is (n, 3, 100), y is (n, 8, 100)

    Arguments, attributes and errors are those of `Conv2d`, with one axis: kernel_size, stride, padding
    and dilation are one integer each, and the weight has shape (out_channels, in_channels / groups,
    kernel_size).
    """

    axes = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int | str = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            weight_init, bias_init, rng, dtype,
        )  # fmt: skip

    def forward(self, x: Variable | Array) -> Variable:
        """Map x (n, in_channels, length) to (n, out_channels, windows); the first axis may be missing.

        Raises:
            ShapeError: x has other channels or axes, or the kernel is larger than the padded sequence.
            OperandError: x is not a Variable or an array.
        """
        self._check(x)
        padding = self.padding if isinstance(self.padding, str) else self.padding[0]
        settings = self.stride[0], padding, self.dilation[0], self.groups
        return conv1d(x, self.weight, self.bias, *settings)  # type: ignore[no-any-return]


class ConvTranspose2d(_Convolution):
    """A transposed convolution: each element times the weight, added up to a larger image, plus a bias.

        layer = sn.ConvTranspose2d(8, 3, 2, stride=2, rng=0)
        y = layer(x)  # x is (n, 8, 14, 14), y is (n, 3, 28, 28)

    Args:
        in_channels: the channels of the input.
        out_channels: the channels of the result.
        kernel_size: the height and width of the kernel: an integer, or a pair.
        stride: the distance in the result between two elements of the input: an integer, or a pair.
        padding: the rows and columns to remove on each side of the result: an integer, or a pair.
        output_padding: the rows and columns to add below and right of the result.
        groups: the channels are divided into so many groups; each result sees only its group.
        bias: whether the layer adds a bias.
        dilation: the distance in the result between two elements of the kernel.
        weight_init: as in `Conv2d`, and so are the arguments that follow.
        bias_init: an initializer for the bias.
        rng: a generator or a seed.
        dtype: the floating dtype of the parameters.

    Attributes:
        weight: a Variable of shape (in_channels, out_channels / groups, *kernel_size).
        bias: a Variable of shape (out_channels,); None without a bias.

    Raises:
        SettingError: as in `Conv2d`.
    """

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        output_padding: int | tuple[int, int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, int] = 1,
        *,
        weight_init: Initializer | None = None,
        bias_init: Initializer | None = None,
        rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            weight_init, bias_init, rng, dtype,
        )  # fmt: skip
        self.output_padding: Any = sizes("ConvTranspose2d", "output_padding", output_padding, 2, 0)

    def forward(self, x: Variable | Array) -> Variable:
        """Map x (n, in_channels, height, width) to a larger (n, out_channels, height, width).

        Raises:
            ShapeError: x has other channels or axes, or the result would be empty.
            OperandError: x is not a Variable or an array.
            SettingError: output_padding is not smaller than the stride or the dilation.
        """
        self._check(x)
        settings = self.stride, self.padding, self.output_padding, self.groups, self.dilation
        return conv_transpose2d(x, self.weight, self.bias, *settings)  # type: ignore[no-any-return]
