"""The layers of pooling. They have no parameters."""

from __future__ import annotations

from typing import Any, TypeAlias

from backends import Array
from scratchnet.errors import SettingError
from scratchnet.functions import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from scratchnet.layers.arguments import size, sizes
from scratchnet.layers.module import Module
from scratchnet.variable import Variable

Size: TypeAlias = int | tuple[int, int]


class _Pooling(Module):
    """What the layers with windows share: the sizes, and how `print` shows them."""

    def __init__(self, kernel_size: Size, stride: Size | None, padding: Size, ceil_mode: bool) -> None:
        name = type(self).__name__
        self.kernel_size: Any = sizes(name, "kernel_size", kernel_size, 2)
        self.stride: Any = self.kernel_size if stride is None else sizes(name, "stride", stride, 2)
        self.padding: Any = sizes(name, "padding", padding, 2, 0)
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        """Return the sizes, and the settings that differ from their defaults, as `print` shows them."""
        text = f"kernel_size={self.kernel_size}, stride={self.stride}"
        defaults: dict[str, Any] = {
            "padding": (0, 0), "dilation": (1, 1), "ceil_mode": False, "count_include_pad": True,
            "divisor_override": None,
        }  # fmt: skip
        for what, default in defaults.items():
            given = getattr(self, what, default)
            text += "" if given == default else f", {what}={given!r}"
        return text

    def _check_padding(self, extents: tuple[int, ...]) -> None:
        if any(n > extent // 2 for n, extent in zip(self.padding, extents, strict=True)):
            raise SettingError(
                f"{type(self).__name__}: padding {self.padding} is more than half of kernel_size "
                f"{self.kernel_size}; use less"
            )


class MaxPool2d(_Pooling):
    """The maximum of each window.

        layer = sn.MaxPool2d(2)
        y = layer(x)  # x is (n, 3, 28, 28), y is (n, 3, 14, 14)

    Args:
        kernel_size: the height and width of the windows: an integer, or a pair.
        stride: the distance between two windows: an integer, or a pair. None means kernel_size.
        padding: the rows and columns to add on each side, at most half of the kernel. They never count.
        dilation: the distance between two elements of a window: an integer, or a pair.
        ceil_mode: whether a window may reach beyond the end of the padded image.

    Raises:
        SettingError: a setting is not an integer or a pair, or out of its range.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.dilation: Any = sizes("MaxPool2d", "dilation", dilation, 2)
        pairs = zip(self.kernel_size, self.dilation, strict=True)
        self._check_padding(tuple((n - 1) * step + 1 for n, step in pairs))

    def forward(self, x: Variable | Array) -> Variable:
        """Map x (n, channels, height, width) to (n, channels, windows down, windows across).

        The first axis may be missing.

        Raises:
            ShapeError: x has another number of axes, or the kernel is larger than the padded image.
            OperandError: x is not a Variable or an array.
        """
        settings = self.stride, self.padding, self.dilation, self.ceil_mode
        return max_pool2d(x, self.kernel_size, *settings)


class AvgPool2d(_Pooling):
    """The mean of each window.

        layer = sn.AvgPool2d(2)
        y = layer(x)  # x is (n, 3, 28, 28), y is (n, 3, 14, 14)

    Args:
        kernel_size: the height and width of the windows: an integer, or a pair.
        stride: the distance between two windows: an integer, or a pair. None means kernel_size.
        padding: the rows and columns of zeros to add on each side, at most half of the kernel.
        ceil_mode: whether a window may reach beyond the end of the padded image.
        count_include_pad: whether the elements of the padding count in the mean.
        divisor_override: the number by which each sum is divided; None means the number of elements.

    Raises:
        SettingError: a setting is not an integer or a pair, or out of its range.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self._check_padding(self.kernel_size)
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override
        if divisor_override is not None:
            self.divisor_override = size("AvgPool2d", "divisor_override", divisor_override)

    def forward(self, x: Variable | Array) -> Variable:
        """Map x (n, channels, height, width) to (n, channels, windows down, windows across).

        The first axis may be missing.

        Raises:
            ShapeError: x has another number of axes, or the kernel is larger than the padded image.
            OperandError: x is not a Variable or an array.
        """
        settings = self.ceil_mode, self.count_include_pad, self.divisor_override
        return avg_pool2d(x, self.kernel_size, self.stride, self.padding, *settings)


class AdaptiveAvgPool2d(Module):
    """Means over windows that give a result of a fixed size.

        layer = sn.AdaptiveAvgPool2d(1)
        y = layer(x)  # x is (n, 64, 7, 7), y is (n, 64, 1, 1)

    Args:
        output_size: the height and width of the result: an integer, or a pair. None in place of a number
            keeps that size of the input.

    Raises:
        SettingError: the size is not an integer or a pair, or not positive.
    """

    def __init__(self, output_size: int | None | tuple[int | None, int | None]) -> None:
        several: Any = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * 2
        sizes("AdaptiveAvgPool2d", "output_size", [1 if n is None else n for n in several], 2)
        self.output_size: Any = tuple(several)

    def extra_repr(self) -> str:
        """Return the size of the result, as `print` shows it."""
        return f"output_size={self.output_size}"

    def forward(self, x: Variable | Array) -> Variable:
        """Map x (n, channels, height, width) to (n, channels, *output_size).

        The first axis may be missing.

        Raises:
            ShapeError: x has another number of axes, or no rows or columns.
            OperandError: x is not a Variable or an array.
        """
        return adaptive_avg_pool2d(x, self.output_size)
