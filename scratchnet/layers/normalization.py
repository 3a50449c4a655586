"""The normalization layers: batch, layer, group and root mean square."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backends import xp
from scratchnet.core.share import share
from scratchnet.errors import SettingError, ShapeError
from scratchnet.functions import batch_norm, group_norm, layer_norm, rms_norm
from scratchnet.functions.shape import shape_of
from scratchnet.layers.arguments import floating, number, size
from scratchnet.layers.module import Buffer, Module
from scratchnet.variable import Variable


class _BatchNorm(Module):
    """What BatchNorm1d and BatchNorm2d share."""

    input_shapes: tuple[str, ...] = ()
    """The shapes that the input may have, for the message."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        rng: Any = None,  # noqa: ARG002 - every layer with parameters takes it
        dtype: Any = np.float32,
    ) -> None:
        name = type(self).__name__
        self.num_features = size(name, "num_features", num_features)
        self.eps, self.momentum = number(name, "eps", eps), momentum
        if momentum is not None:
            self.momentum = number(name, "momentum", momentum)
        self.affine, self.track_running_stats = affine, track_running_stats
        shape, kind = (self.num_features,), floating(name, dtype)
        self.weight = Variable(xp.ones(shape, kind), name="weight") if affine else None
        self.bias = Variable(xp.zeros(shape, kind), name="bias") if affine else None
        of_batches = track_running_stats
        self.running_mean = Buffer(xp.zeros(shape, kind), "running_mean") if of_batches else None
        self.running_var = Buffer(xp.ones(shape, kind), "running_var") if of_batches else None
        self.num_batches_tracked: Any = Buffer(xp.zeros((), xp.int64)) if of_batches else None

    def extra_repr(self) -> str:
        """Return the settings, as `print` shows them."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def forward(self, x: Any) -> Any:
        """Normalize each channel of x; in training mode, also update the running statistics.

        Raises:
            ShapeError: x has another number of axes or channels; or, in training, a channel has only
                one value.
            OperandError: x is not a floating Variable or array.
        """
        name = type(self).__name__
        shape = shape_of(name, "x", x)
        axes = [each.count(",") + 1 for each in self.input_shapes]
        if len(shape) not in axes or shape[1] != self.num_features:
            wanted = " or ".join(self.input_shapes).replace("channels", str(self.num_features))
            raise ShapeError(
                f"{name}: input has shape {shape}, but this layer expects {wanted}; reshape the input, "
                "or create the layer with another num_features"
            )
        mine = share.get()
        alone = mine is None or mine.total == 1
        if self.training and alone and math.prod(shape) == self.num_features:
            raise ShapeError(
                f"{name}: input has shape {shape}, one value per channel, which has no variance; in "
                "training give a larger batch, or call eval() first"
            )
        momentum: Any = self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked += 1
            if momentum is None:  # the average of all batches
                momentum = 1 / self.num_batches_tracked.data
        own = self.training or self.running_mean is None
        moved = (self.running_mean, self.running_var) if self.training or not own else (None, None)
        return batch_norm(x, *moved, self.weight, self.bias, own, momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """Batch normalization of vectors or sequences: each channel gets mean 0 and variance 1.

        layer = sn.BatchNorm1d(100)
        y = layer(x)  # x and y are (n, 100), or (n, 100, length)

    In training mode, the statistics are those of the batch. In eval mode, they are the running
    statistics, moving averages over the batches of training.

    Args:
        num_features: the number of channels.
        eps: a number that is added to the variance, so that it is never 0.
        momentum: the share of a new batch in the running statistics. None means the average of all
            batches.
        affine: whether the layer multiplies by a weight and adds a bias.
        track_running_stats: whether the layer keeps running statistics. Without them it uses those of
            the batch in eval mode, too.
        rng: taken as in every layer with parameters, but this one draws nothing.
        dtype: the floating dtype of parameters and running statistics.

    Attributes:
        weight: a Variable of shape (num_features,), 1 at first; None if not affine.
        bias: a Variable of shape (num_features,), 0 at first; None if not affine.
        running_mean: a Buffer of shape (num_features,).
        running_var: a Buffer of shape (num_features,): the unbiased variance.
        num_batches_tracked: a Buffer, int64, of shape (): the number of batches so far.

    Raises:
        SettingError: num_features is not a positive integer, eps or momentum is not a number, or the
            dtype is not floating.
    """

    input_shapes = "(n, channels)", "(n, channels, length)"


class BatchNorm2d(_BatchNorm):
    """Batch normalization of images: each channel gets mean 0 and variance 1.

        layer = sn.BatchNorm2d(32)
        y = layer(x)  # x and y are (n, 32, height, width)

    Arguments, attributes and errors are those of `BatchNorm1d`. The mean of a channel is taken over the
    batch, the height and the width.
    """

    input_shapes = ("(n, channels, height, width)",)


class _LastAxes(Module):
    """What LayerNorm and RMSNorm share."""

    def _start(self, normalized_shape: Any, eps: Any, affine: bool, dtype: Any) -> None:
        name = type(self).__name__
        several = normalized_shape if isinstance(normalized_shape, (tuple, list)) else [normalized_shape]
        if not several:
            raise SettingError(f"{name}: normalized_shape is empty; give at least one size")
        self.normalized_shape = tuple(size(name, "normalized_shape", each) for each in several)
        self.eps: Any = eps if eps is None else number(name, "eps", eps)
        self.elementwise_affine = affine
        self.weight = self._parameter(xp.ones, "weight", dtype) if affine else None

    def _parameter(self, values: Any, name: str, dtype: Any) -> Variable:
        kind = floating(type(self).__name__, dtype)
        return Variable(values(self.normalized_shape, kind), name=name)

    def extra_repr(self) -> str:
        """Return the settings, as `print` shows them."""
        shown = f"{self.normalized_shape}, eps={self.eps}"
        return f"{shown}, elementwise_affine={self.elementwise_affine}"


class LayerNorm(_LastAxes):
    """Layer normalization: each sample gets mean 0 and variance 1 over its last axes.

        layer = sn.LayerNorm(64)
        y = layer(x)  # x and y are (..., 64)

    Args:
        normalized_shape: the sizes of the last axes, over which the layer normalizes; an integer for
            the last axis.
        eps: a number that is added to the variance, so that it is never 0.
        elementwise_affine: whether the layer multiplies by a weight and adds a bias.
        bias: whether it adds a bias, if it has a weight.
        rng: taken as in every layer with parameters, but this one draws nothing.
        dtype: the floating dtype of the parameters.

    Attributes:
        weight: a Variable of shape normalized_shape, 1 at first; None if not affine.
        bias: a Variable of shape normalized_shape, 0 at first; None without a bias.

    Raises:
        SettingError: a size is not a positive integer, eps is not a number, or the dtype is not
            floating.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        rng: Any = None,  # noqa: ARG002 - every layer with parameters takes it
        dtype: Any = np.float32,
    ) -> None:
        self._start(normalized_shape, number("LayerNorm", "eps", eps), elementwise_affine, dtype)
        has_bias = elementwise_affine and bias
        self.bias = self._parameter(xp.zeros, "bias", dtype) if has_bias else None

    def forward(self, x: Any) -> Any:
        """Normalize x of shape (..., *normalized_shape).

        Raises:
            ShapeError: x does not end with normalized_shape.
            OperandError: x is not a floating Variable or array.
        """
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(_LastAxes):
    """Root mean square normalization: each sample is divided by the root of its mean square.

        layer = sn.RMSNorm(64)
        y = layer(x)  # x and y are (..., 64)

    Args:
        normalized_shape: the sizes of the last axes, over which the layer averages; an integer for the
            last axis.
        eps: a number that is added to the mean square; None means the smallest step from 1 in the dtype
            of the input, or in float32 for float16.
        elementwise_affine: whether the layer multiplies by a weight.
        rng: taken as in every layer with parameters, but this one draws nothing.
        dtype: the floating dtype of the weight.

    Attributes:
        weight: a Variable of shape normalized_shape, 1 at first; None if not affine.

    Raises:
        SettingError: a size is not a positive integer, eps is not a number, or the dtype is not
            floating.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        rng: Any = None,  # noqa: ARG002 - every layer with parameters takes it
        dtype: Any = np.float32,
    ) -> None:
        self._start(normalized_shape, eps, elementwise_affine, dtype)

    def forward(self, x: Any) -> Any:
        """Normalize x of shape (..., *normalized_shape).

        Raises:
            ShapeError: x does not end with normalized_shape.
            OperandError: x is not a floating Variable or array.
        """
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Module):
    """Group normalization: each group of channels of each sample gets mean 0 and variance 1.

        layer = sn.GroupNorm(4, 32)
        y = layer(x)  # x and y are (n, 32, ...)

    Args:
        num_groups: the number of groups; it divides num_channels.
        num_channels: the number of channels.
        eps: a number that is added to the variance, so that it is never 0.
        affine: whether the layer multiplies by a weight and adds a bias.
        rng: taken as in every layer with parameters, but this one draws nothing.
        dtype: the floating dtype of the parameters.

    Attributes:
        weight: a Variable of shape (num_channels,), 1 at first; None if not affine.
        bias: a Variable of shape (num_channels,), 0 at first; None if not affine.

    Raises:
        SettingError: the groups do not divide the channels, a size is not a positive integer, eps is
            not a number, or the dtype is not floating.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        rng: Any = None,  # noqa: ARG002 - every layer with parameters takes it
        dtype: Any = np.float32,
    ) -> None:
        self.num_groups = size("GroupNorm", "num_groups", num_groups)
        self.num_channels = size("GroupNorm", "num_channels", num_channels)
        if self.num_channels % self.num_groups:
            raise SettingError(
                f"GroupNorm: {num_groups} groups do not divide {num_channels} channels; give a number "
                "that does"
            )
        self.eps, self.affine = number("GroupNorm", "eps", eps), affine
        shape, kind = (self.num_channels,), floating("GroupNorm", dtype)
        self.weight = Variable(xp.ones(shape, kind), name="weight") if affine else None
        self.bias = Variable(xp.zeros(shape, kind), name="bias") if affine else None

    def extra_repr(self) -> str:
        """Return the settings, as `print` shows them."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"

    def forward(self, x: Any) -> Any:
        """Normalize x of shape (n, num_channels, ...).

        Raises:
            ShapeError: x has another number of channels.
            OperandError: x is not a floating Variable or array.
        """
        shape = shape_of("GroupNorm", "x", x)
        if len(shape) < 2 or shape[1] != self.num_channels:
            raise ShapeError(
                f"GroupNorm: input has shape {shape}, but this layer expects (n, {self.num_channels}, "
                "...); reshape the input, or create the layer with another num_channels"
            )
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
