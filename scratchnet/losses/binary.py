"""The losses for two classes."""

from __future__ import annotations

from typing import Any

from backends import Array, LabelError, xp
from scratchnet.core.function import T, array_of
from scratchnet.errors import OperandError
from scratchnet.functions import BinaryCrossEntropy, relu, softplus, where
from scratchnet.functions.shape import in_float32
from scratchnet.losses.arguments import (
    check_reduction,
    checked,
    constant,
    pair,
    reduced,
    refuse_unknown,
)
from scratchnet.losses.kinds import OF_TWO


def binary_cross_entropy_with_logits(
    logits: T, target: Any, weight: Any = None, pos_weight: Any = None, reduction: str = "mean"
) -> T:
    """Return the cross-entropy of sigmoid(logits), for two classes, or for several labels at once.

    The loss of an element is target · softplus(-logit) + (1 - target) · softplus(logit). It is accurate
    for every logit, also where the sigmoid is nearly 0 or 1.

        loss = sn.binary_cross_entropy_with_logits(net(x), [[1], [0]])

    Args:
        logits: the outputs before the sigmoid, floating, of any shape.
        target: probabilities of the positive class, of the logits' shape: numbers from 0 to 1, integers
            or booleans.
        weight: a factor of each loss, which broadcasts to the logits' shape. The mean still divides by
            the number of elements, as in PyTorch.
        pos_weight: a factor of each positive target, which broadcasts to the logits' shape.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss in the dtype of the logits: of shape (), or with "none" of the logits' shape.

    Raises:
        ShapeError: the shapes differ, a weight does not broadcast, or a mean is asked of no elements.
        OperandError: the logits are not floating, or the targets are not numbers.
        LabelError: a target is below 0 or above 1, on NumPy. On a GPU the loss is NaN.
        SettingError: the reduction is unknown.
    """
    name = "binary_cross_entropy_with_logits"
    check_reduction(name, reduction)
    target = pair(name, logits, target, reduction, "softmax_loss")

    def compute(x: Any, t: Any) -> Any:
        losses = t * softplus(-x)
        if pos_weight is not None:
            losses = losses * constant(name, "pos_weight", pos_weight, x)
        losses = losses + (1 - t) * softplus(x)
        return _finished(name, losses, t, weight, reduction)

    return in_float32(compute, logits, target)  # type: ignore[no-any-return]


def binary_cross_entropy(
    probabilities: T, target: Any, weight: Any = None, reduction: str = "mean"
) -> T:
    """Return the mean of -target · log(p) - (1 - target) · log(1 - p), for probabilities p.

    Prefer `binary_cross_entropy_with_logits`, which also learns where the sigmoid is exactly 0 or 1. As
    in PyTorch, the logarithms are at least -100, and the gradient divides by at least 1e-12.

    Args:
        probabilities: numbers from 0 to 1, floating, of any shape.
        target: probabilities of the same shape: numbers from 0 to 1, integers or booleans.
        weight: a factor of each loss, which broadcasts to the shape of the probabilities.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss in the dtype of the probabilities: of shape (), or with "none" of their shape.

    Raises:
        ShapeError: the shapes differ, the weight does not broadcast, or a mean is asked of no elements.
        OperandError: the probabilities are not floating, or, on NumPy, one is below 0 or above 1. On a
            GPU the loss is NaN then.
        LabelError: a target is below 0 or above 1, on NumPy. On a GPU the loss is NaN.
        SettingError: the reduction is unknown.
    """
    name = "binary_cross_entropy"
    check_reduction(name, reduction)
    target = pair(name, probabilities, target, reduction, "softmax_loss")
    outside = _outside(probabilities)
    fix = "is no probability; for logits use binary_cross_entropy_with_logits"
    refuse_unknown(name, probabilities, ~outside, OperandError, fix)

    def compute(p: Any, t: Any) -> Any:
        losses = BinaryCrossEntropy().on(where(outside, xp.nan, p), t)
        return _finished(name, losses, t, weight, reduction)

    return in_float32(compute, probabilities, target)  # type: ignore[no-any-return]


def hinge_loss(output: T, target: Any, reduction: str = "mean") -> T:
    """Return the mean of max(0, 1 - target · output), the loss of support vector machines.

    Source: Bishop, Pattern Recognition and Machine Learning, section 7.1.2.

    Args:
        output: floating, of any shape; its sign is the predicted class.
        target: -1 or 1, of the same shape.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss in the dtype of the output: of shape (), or with "none" of the output's shape.

    Raises:
        ShapeError: the shapes differ, or a mean is asked of no elements.
        OperandError: the output is not floating, or the targets are not numbers.
        LabelError: a target is neither -1 nor 1, on NumPy. On a GPU the loss is NaN.
        SettingError: the reduction is unknown.
    """
    check_reduction("hinge_loss", reduction)
    target = pair("hinge_loss", output, target, reduction)
    known = xp.abs(array_of(target)) == 1
    fix = "is not a target of -1 or 1; for 0 and 1 give 2 * target - 1"

    def compute(x: Any, t: Any) -> Any:
        losses = checked("hinge_loss", relu(1 - t * x), t, known, LabelError, fix)
        return reduced(losses, reduction)

    return in_float32(compute, output, target)  # type: ignore[no-any-return]


def _finished(name: str, losses: Any, target: Any, weight: Any, reduction: str) -> Any:
    """Return the weighted losses, reduced, if the targets are probabilities."""
    if weight is not None:
        losses = losses * constant(name, "weight", weight, losses)
    fix = "is not a target from 0 to 1"
    return reduced(checked(name, losses, target, ~_outside(target), LabelError, fix), reduction)


def _outside(probabilities: Any) -> Array:
    """Return where numbers are below 0 or above 1. NaN is not: it makes the loss NaN."""
    array = array_of(probabilities)
    return (array < 0) | (array > 1)


OF_TWO.update(
    {
        binary_cross_entropy_with_logits: "logits",
        binary_cross_entropy: "probabilities",
        hinge_loss: "scores",
    }
)
