"""Normalization: batch, layer, group and root mean square, with the arguments of torch.nn.functional.

Each function shifts and scales parts of an array to mean 0 and variance 1. They differ in the part: the
elements of a channel in the whole batch, those of a sample, or those of a group of channels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backends import Array, active, xp
from backends.errors import kind_of
from backends.plain.normalization import broadcast_axes
from scratchnet.core.function import Function, Operand, T, array_of
from scratchnet.core.modes import no_grad
from scratchnet.core.share import Share, share
from scratchnet.errors import OperandError, ShapeError
from scratchnet.functions.elementwise import at_least_float32, sqrt, square
from scratchnet.functions.joining import concatenate
from scratchnet.functions.reduction import mean, sum
from scratchnet.functions.shape import (
    astype,
    check_floating,
    in_float32,
    integer,
    integers,
    reshape,
    shape_of,
)


class Normalize(Function):
    """(x − mean) / √(variance + eps) · weight + bias, with the statistics of x over some axes.

    Attributes:
        mean: the mean that `forward` computed, in float64. The axes have size 1.
        variance: the variance, the squares divided by their number, as `mean`.
    """

    rule = (
        "∂L/∂x = (g − mean(g) − n · mean(g · n)) / √(variance + eps), g = grad · weight; "
        "∂L/∂weight = Σ grad · n; "
        "∂L/∂bias = Σ grad; "
        "n is (x − mean) / √(variance + eps)"
    )
    operations = (8, 11, 1, 0)
    samples = (
        ([(3, 4)], {"axes": (1,)}),
        ([(3, 4), (4,), (4,)], {"axes": (1,)}),
        ([(2, 3, 4), (3, 4)], {"axes": (1, 2)}),
        ([(3, 2, 2, 3), (2,), (2,)], {"axes": (0, 2, 3), "along": (2, 1, 1)}),
        ([(5, 2), (2,), (2,)], {"axes": (0,)}),
    )
    constants = ("mean", "variance")

    def __init__(
        self, axes: tuple[int, ...], eps: float = 1e-5, along: tuple[int, ...] | None = None
    ) -> None:
        """Set the axes and eps, and the shape in which weight and bias broadcast with x."""
        self.axes, self.eps, self.along = axes, eps, along

    def forward(self, x: Array, weight: Array | None = None, bias: Array | None = None) -> Array:
        """The normalized array, of the shape and dtype of x."""
        wide = at_least_float32(x)
        y, self.mean, self.variance = active().normalize(
            wide, self.axes, self._along(weight, wide), self._along(bias, wide), self.eps
        )
        self.keep(x, weight)
        return y.astype(x.dtype, copy=False)

    def backward(self, grad: Any, x: Any, weight: Any) -> tuple[Any, ...]:
        """Return what the rule says, computed in float32 if x is float16."""
        needs = (*self.needs_grad, False, False)[:3]
        if isinstance(grad, Operand):
            found = self._rule(*(None if each is None else _wide(each) for each in (grad, x, weight)))
        else:
            wide = at_least_float32(x)
            found = active().normalize_backward(
                at_least_float32(grad), wide, self.axes, self._along(weight, wide),
                (self.mean, self.variance), self.eps, needs,
            )  # fmt: skip
        to_x, *others = found
        others = [None if each is None else each.reshape(weight.shape) for each in others]
        return (to_x, *others)[: len(self.needs_grad)]

    def _rule(self, grad: Any, x: Any, weight: Any) -> tuple[Any, Any, Any]:
        """The rule in differentiable functions. We first subtract a constant, to keep digits."""
        x = x - self.mean.astype(x.dtype)
        centered = x - mean(x, self.axes, keepdims=True)
        variance = mean(square(centered), self.axes, keepdims=True)
        inverse = (variance + self.eps) ** -0.5
        normal, scaled, to_weight, to_bias = centered * inverse, grad, None, None
        if weight is not None:
            weight = reshape(weight, self.along or weight.shape)
            scaled = grad * weight
            others = broadcast_axes(x.ndim, weight.shape)
            to_weight, to_bias = sum(grad * normal, others), sum(grad, others)
        share = mean(scaled * normal, self.axes, keepdims=True)
        to_x = inverse * (scaled - mean(scaled, self.axes, keepdims=True) - normal * share)
        return to_x, to_weight, to_bias

    def _along(self, weight: Array | None, x: Array) -> Array | None:
        """Return a weight or a bias in x's dtype, in the shape that broadcasts with x."""
        if weight is None:
            return None
        return weight.reshape(self.along or weight.shape).astype(x.dtype, copy=False)


class SumOfShares(Function):
    """The sum of the arrays that all shares of a batch give; see `scratchnet/core/share.py`."""

    rule = "∂L/∂x = the sum of the gradients that all shares have at the sum"
    operations = (1, 1, 0)
    samples = (([(3,)], {}), ([(2, 3)], {}))

    def __init__(self, of: Share | None = None) -> None:
        """Set the share; None if it is the only one."""
        self.of = of

    def forward(self, x: Array) -> Array:
        """The sum over all shares. A share without rows counts nothing."""
        if self.of is None:
            return x.copy()
        return self.of.sum(x if self.of.counts else xp.zeros_like(x))

    def backward(self, grad: Any) -> Any:
        """Add up the gradients of all shares: each of them uses the sum."""
        total = SumOfShares(self.of).on(grad)
        # A share without rows takes part in this sum too, and its own row is not in the forward sum.
        return total if self.of is None or self.of.counts else total * 0.0


def layer_norm(
    x: T,
    normalized_shape: int | tuple[int, ...],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> T:
    """Normalize over the last axes: each sample gets mean 0 and variance 1.

    Source: Ba, Kiros and Hinton, Layer Normalization, 2016.

    Args:
        x: a Variable or an array of shape (..., *normalized_shape), floating.
        normalized_shape: the sizes of the axes to normalize over; an integer for the last axis.
        weight: a factor for each element of a sample, of shape normalized_shape; None means 1.
        bias: a number to add to each element, as `weight`; None means 0.
        eps: a number that is added to the variance, so that it is never 0.

    Returns:
        A Variable or an array of the shape and dtype of x: (x - mean) / √(variance + eps) · weight +
        bias.

    Raises:
        ShapeError: x does not end with normalized_shape, or weight or bias has another shape.
        OperandError: x is not floating.
    """
    sizes = _last_sizes("layer_norm", x, normalized_shape, weight=weight, bias=bias)
    axes = tuple(range(x.ndim - len(sizes), x.ndim))
    return _normalized(Normalize(axes, eps), x, weight, bias)


def rms_norm(
    x: T, normalized_shape: int | tuple[int, ...], weight: Any = None, eps: float | None = None
) -> T:
    """Divide by the root mean square over the last axes: x / √(mean(x²) + eps) · weight.

    Source: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.

    Args:
        x: a Variable or an array of shape (..., *normalized_shape), floating.
        normalized_shape: the sizes of the axes to average over; an integer for the last axis.
        weight: a factor for each element of a sample, of shape normalized_shape; None means 1.
        eps: a number that is added to the mean; None means the smallest step from 1 in the dtype of x,
            or in float32 for float16.

    Returns:
        A Variable or an array of the shape and dtype of x.

    Raises:
        ShapeError: x does not end with normalized_shape, or the weight has another shape.
        OperandError: x is not floating.
    """
    sizes = _last_sizes("rms_norm", x, normalized_shape, weight=weight)
    axes = tuple(range(x.ndim - len(sizes), x.ndim))
    operands = (x,) if weight is None else (x, weight)
    return in_float32(lambda *given: _rms_norm(axes, eps, *given), *operands)


def _rms_norm(axes: tuple[int, ...], eps: float | None, x: Any, weight: Any = None) -> Any:
    added = float(np.finfo(x.dtype).eps) if eps is None else eps
    y = x * (mean(square(x), axes, keepdims=True) + added) ** -0.5
    return y if weight is None else y * weight


def group_norm(x: T, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> T:
    """Normalize over groups of channels: each group of each sample gets mean 0 and variance 1.

    Source: Wu and He, Group Normalization, 2018.

    Args:
        x: a Variable or an array of shape (n, channels, ...), floating.
        num_groups: the number of groups; it divides the number of channels.
        weight: a factor for each channel, of shape (channels,); None means 1.
        bias: a number to add to each channel, as `weight`; None means 0.
        eps: a number that is added to the variance, so that it is never 0.

    Returns:
        A Variable or an array of the shape and dtype of x.

    Raises:
        ShapeError: x has no channels, the groups do not divide them, or weight or bias has another
            shape.
        OperandError: x is not floating.
    """
    channels = _channels("group_norm", x, weight=weight, bias=bias)
    groups = integer("group_norm", "num_groups", num_groups)
    if groups < 1 or channels % groups:
        raise ShapeError(
            f"group_norm: {groups} groups do not divide the {channels} channels of shape {x.shape}; "
            "give a number that does"
        )
    apart = (len(x), groups, math.prod(x.shape[1:]) // groups)  # -1 would not do for no samples
    y = reshape(Normalize((2,), eps).on(reshape(x, apart)), x.shape)
    along = (channels,) + (1,) * (x.ndim - 2)
    y = y if weight is None else y * reshape(weight, along)
    return y if bias is None else y + reshape(bias, along)


def batch_norm(
    x: T,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> T:
    """Normalize each channel: in training over the batch, otherwise by the running statistics.

    Source: Ioffe and Szegedy, Batch Normalization, 2015.

    Args:
        x: a Variable or an array of shape (n, channels, ...), floating.
        running_mean: the mean of each channel, of shape (channels,): a Buffer, a Variable or an array.
            In training it changes in place to (1 - momentum) · running_mean + momentum · mean. None is
            allowed in training.
        running_var: the variance of each channel, as `running_mean`. It receives the unbiased variance,
            whose squares are divided by their number less 1.
        weight: a factor for each channel, of shape (channels,); None means 1.
        bias: a number to add to each channel, as `weight`; None means 0.
        training: whether to use the statistics of the batch, and to update the running ones.
        momentum: the share of the batch in the running statistics: a number, or a 0-d array.
        eps: a number that is added to the variance, so that it is never 0.

    Returns:
        A Variable or an array of the shape and dtype of x.

    Raises:
        ShapeError: x has no channels; in training, a channel has only one value; or weight, bias or a
            running statistic has another shape.
        OperandError: x is not floating, or there are no running statistics outside of training.
    """
    running = {"running_mean": running_mean, "running_var": running_var}
    channels = _channels("batch_norm", x, weight=weight, bias=bias, **running)
    along = (channels,) + (1,) * (x.ndim - 2)
    axes = (0, *range(2, x.ndim))
    if not training:
        if running_mean is None or running_var is None:
            raise OperandError(
                "batch_norm: outside of training it needs running_mean and running_var; give both, or "
                "training=True"
            )
        return _by_statistics(x, array_of(running_mean), array_of(running_var), weight, bias, along, eps)
    mine = share.get()
    rows = len(x) if mine is None or not mine.total else mine.total
    number = math.prod(x.shape[i] for i in axes[1:]) * rows
    if number < 2:
        raise ShapeError(
            f"batch_norm: in training each channel needs more than one value, but shape {x.shape} has "
            f"{number}; give a larger batch, or call eval()"
        )
    if mine is None:
        function = Normalize(axes, eps, along)
        y = _normalized(function, x, weight, bias)
        mean, unbiased = function.mean, function.variance * (number / (number - 1))
    else:
        y, mean, unbiased = _by_shares(mine, x, axes, along, weight, bias, eps)
    for statistic, found in ((running_mean, mean), (running_var, unbiased)):
        if statistic is not None:
            _move(statistic, found.reshape(channels), momentum)
    return y


def _by_shares(
    mine: Share,
    x: Any,
    axes: tuple[int, ...],
    along: tuple[int, ...],
    weight: Any,
    bias: Any,
    eps: float,
) -> tuple[Any, Array, Array]:
    """Normalize over all shares of a batch. Return the result, the mean, and the unbiased variance."""
    wide = astype(x, "float64")
    count = xp.full((1,), math.prod(x.shape[i] for i in axes), xp.float64)
    sums = SumOfShares(mine).on(concatenate([sum(wide, axes), count]))
    number = sums[-1]
    centered = wide - reshape(sums[:-1] / number, along)
    squares = SumOfShares(mine).on(sum(square(centered), axes))
    y = centered * reshape((squares / number + eps) ** -0.5, along)
    y = astype(y, at_least_float32(array_of(x)).dtype)
    y = y if weight is None else y * reshape(weight, along)
    y = astype(y if bias is None else y + reshape(bias, along), x.dtype)
    found, others = array_of(sums), array_of(squares)
    return y, found[:-1] / found[-1], others / (found[-1] - 1)


def _move(statistic: Any, found: Array, momentum: Any) -> None:
    """Move a running statistic towards what a batch gave, in place."""
    former = array_of(statistic)
    moved = former + (found - former) * array_of(momentum)
    with no_grad():
        statistic[...] = moved.astype(former.dtype, copy=False)


def _by_statistics(
    x: Any, center: Array, variance: Array, weight: Any, bias: Any, along: tuple[int, ...], eps: float
) -> Any:
    """Return (x - center) / √(variance + eps) · weight + bias."""

    def compute(x: Any, *parameters: Any) -> Any:
        inverse = ((variance.astype(xp.float64) + eps) ** -0.5).astype(x.dtype)
        scale = inverse if weight is None else parameters[0] * inverse
        y = (x - center.astype(x.dtype).reshape(along)) * reshape(scale, along)
        return y if bias is None else y + reshape(parameters[-1], along)

    return in_float32(compute, x, *(each for each in (weight, bias) if each is not None))


def _normalized(function: Normalize, x: Any, weight: Any, bias: Any) -> Any:
    """Apply a Normalize. A bias without a weight is added afterwards."""
    if weight is None:
        y = function.on(x)
        return y if bias is None else y + reshape(bias, function.along or bias.shape)
    return function.on(x, weight) if bias is None else function.on(x, weight, bias)


def _wide(x: Any) -> Any:
    return astype(x, "float32") if x.dtype.char == "e" else x


def _check(name: str, x: Any, shape: tuple[int, ...], parameters: dict[str, Any]) -> None:
    """Raise an error unless x is floating, and each parameter has this shape."""
    check_floating(name, "x", x)
    for what, each in parameters.items():
        if each is not None and each.shape != shape:
            raise ShapeError(
                f"{name}: {what} has shape {each.shape}, but x of shape {x.shape} needs {shape}"
            )


def _last_sizes(name: str, x: Any, normalized_shape: Any, **parameters: Any) -> tuple[int, ...]:
    """Return normalized_shape as a tuple that x's shape and the parameters fit."""
    sizes = integers(name, "normalized_shape", normalized_shape)
    shape = shape_of(name, "x", x)
    if not sizes or shape[-len(sizes) :] != sizes:
        wanted = "".join(f", {size}" for size in sizes)
        raise ShapeError(
            f"{name}: input has shape {shape}, but normalized_shape is {sizes}, so it must be "
            f"(...{wanted}); reshape the input, or change normalized_shape"
        )
    _check(name, x, sizes, parameters)
    return sizes


def _channels(name: str, x: Any, **parameters: Any) -> int:
    """Return the number of channels, the size of the second axis."""
    shape = shape_of(name, "x", x)
    if len(shape) < 2:
        raise ShapeError(
            f"{name}: input has shape {shape}, but it must be (n, channels, ...); reshape the input"
        )
    _check(name, x, shape[1:2], parameters)
    return int(shape[1])
