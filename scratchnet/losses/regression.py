"""The losses for numbers as targets."""

from __future__ import annotations

from typing import Any

from scratchnet.core.function import T
from scratchnet.functions import absolute, clip, square
from scratchnet.functions.shape import in_float32
from scratchnet.losses.arguments import check_reduction, number, pair, reduced
from scratchnet.losses.kinds import OF_NUMBERS


def mse_loss(output: T, target: Any, reduction: str = "mean") -> T:
    """Return the mean squared error, the mean of (output - target)².

    Args:
        output: floating, of any shape.
        target: numbers of the same shape: a Variable, an array or a list.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss in the dtype of the output: of shape (), or with "none" of the output's shape.

    Raises:
        ShapeError: the shapes differ, also if they would broadcast, or a mean is asked of no elements.
        OperandError: the output is not floating, or the targets are not numbers, or are class labels.
        SettingError: the reduction is unknown.
    """
    check_reduction("mse_loss", reduction)
    target = pair("mse_loss", output, target, reduction, "softmax_loss")
    return in_float32(lambda x, t: reduced(square(x - t), reduction), output, target)  # type: ignore[no-any-return]


def l1_loss(output: T, target: Any, reduction: str = "mean") -> T:
    """Return the mean absolute error, the mean of |output - target|. At 0 the gradient is 0.

    Arguments, result and errors are those of `mse_loss`.
    """
    check_reduction("l1_loss", reduction)
    target = pair("l1_loss", output, target, reduction, "softmax_loss")
    return in_float32(lambda x, t: reduced(absolute(x - t), reduction), output, target)  # type: ignore[no-any-return]


def huber_loss(output: T, target: Any, reduction: str = "mean", delta: float = 1.0) -> T:
    """Return the mean of d² / 2 for small differences d, of delta · (|d| - delta / 2) for large ones.

    Source: Huber, Robust Estimation of a Location Parameter, 1964.

    Args:
        output: as in `mse_loss`.
        target: as in `mse_loss`.
        reduction: "mean", "sum" or "none".
        delta: the difference from which on the loss is linear, a number above 0.

    Returns:
        The loss, as in `mse_loss`.

    Raises:
        SettingError: delta is not above 0, or the reduction is unknown.
        ShapeError: as in `mse_loss`.
        OperandError: as in `mse_loss`.
    """
    check_reduction("huber_loss", reduction)
    delta = number("huber_loss", "delta", delta)
    target = pair("huber_loss", output, target, reduction, "softmax_loss")

    def compute(x: Any, t: Any) -> Any:
        difference = x - t
        near = clip(difference, -delta, delta)
        return reduced(near * (difference - 0.5 * near), reduction)

    return in_float32(compute, output, target)  # type: ignore[no-any-return]


OF_NUMBERS.update((mse_loss, l1_loss, huber_loss))
