"""The losses for classes: cross-entropy after a softmax, and negative log-likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np

from backends import Array, LabelError, active, xp
from scratchnet.core.function import T, array_of
from scratchnet.errors import OperandError, SettingError, ShapeError
from scratchnet.functions import Div, SoftmaxCrossEntropy, astype, log_softmax, take_along_axis, where
from scratchnet.functions import sum as sum_of
from scratchnet.functions.shape import in_float32
from scratchnet.functions.softmax import labels_for
from scratchnet.losses.arguments import (
    check_reduction,
    constant,
    divisor_of_share,
    number,
    operand,
    reduced,
)
from scratchnet.losses.kinds import OF_CLASSES


def softmax_loss(
    logits: T,
    target: Any,
    weight: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> T:
    """Return the mean cross-entropy, the mean of -log softmax(logits)[target].

    One kernel computes the loss of labels and its gradient, (softmax - one-hot) / n. Large logits do not
    overflow. `plain_softmax_loss` computes the same with plain Functions, and so does this function if
    an option is given. The original calls it SoftmaxLoss.

        loss = sn.softmax_loss(net(x), labels)

    Args:
        logits: the outputs of the network before the softmax, floating, of shape (..., classes). The
            classes lie along the last axis, also if there are more than two. (PyTorch has them on axis
            1.)
        target: labels, integers in 0 … classes - 1, of shape (...) or (..., 1): a Variable, an array or
            a list. Or probabilities, floating, of the logits' shape.
        weight: (classes,), a factor of the loss for each class. The mean then divides by the sum of the
            weights of the labels. With probabilities it divides by the number of rows.
        ignore_index: a label whose rows do not count. The mean is NaN if no row counts.
        label_smoothing: from 0 to 1; the share of each target that goes to all classes in equal parts.
            Source: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, Rethinking the Inception Architecture,
            2016.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss in the dtype of the logits: of shape (), or with "none" of shape (...).

    Raises:
        ShapeError: the shapes do not fit together, or a mean is asked of an empty batch.
        OperandError: the target holds neither integers nor probabilities of the logits' shape, or the
            logits are not floating.
        LabelError: a label is out of range, on NumPy. On a GPU the loss is NaN instead, because an
            error would make the host wait at every step.
        SettingError: label_smoothing is outside 0 to 1, the reduction is unknown, or ignore_index is
            given with probabilities.
    """
    plain = weight is None and ignore_index is None and not label_smoothing and reduction == "mean"
    if not plain or not hasattr(target, "dtype"):
        target = operand("softmax_loss", "targets", target)
    if plain and target.dtype.kind != "f":
        return SoftmaxCrossEntropy().on(logits, target)  # type: ignore[no-any-return]
    if not _holds_probabilities(logits, target):
        check_reduction("softmax_loss", reduction)
        _check_labels("softmax_loss", logits, target, ignore_index, reduction)
    return plain_softmax_loss(logits, target, weight, ignore_index, label_smoothing, reduction)


def plain_softmax_loss(
    logits: T,
    target: Any,
    weight: Any = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> T:
    """Return the same as `softmax_loss`, as a composition of plain Functions: its specification.

    A label out of range makes the loss NaN on every backend. Otherwise arguments, result and errors are
    those of `softmax_loss`.
    """
    name = "softmax_loss"
    check_reduction(name, reduction)
    smoothing = number(name, "label_smoothing", label_smoothing, 0, 1)
    target = operand(name, "targets", target)
    if _holds_probabilities(logits, target):
        if ignore_index is not None:
            raise SettingError(f"{name}: ignore_index is for labels, and the targets are probabilities")
        return _of_probabilities(logits, target, weight, smoothing, reduction)  # type: ignore[no-any-return]
    labels = array_of(target)
    labels_for(logits, labels, name, reduction)

    def compute(x: Any) -> Any:
        return _of_labels(name, log_softmax(x), labels, weight, ignore_index, smoothing, reduction)

    return in_float32(compute, logits)  # type: ignore[no-any-return]


def nll_loss(
    log_probabilities: T,
    labels: Any,
    weight: Any = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> T:
    """Return the negative log-likelihood, the mean of -log_probabilities[label].

    After `log_softmax` it is `softmax_loss`, which is faster.

    Args:
        log_probabilities: floating, of shape (..., classes), such as the result of `log_softmax`.
        labels: integers in 0 … classes - 1, of shape (...) or (..., 1).
        weight: as in `softmax_loss`.
        ignore_index: as in `softmax_loss`.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss in the dtype of the log-probabilities: of shape (), or with "none" of shape (...).

    Raises:
        ShapeError: the shapes do not fit together, or a mean is asked of an empty batch.
        OperandError: the labels are not integers, or the log-probabilities are not floating.
        LabelError: a label is out of range, on NumPy. On a GPU the loss is NaN.
        SettingError: the reduction is unknown.
    """
    check_reduction("nll_loss", reduction)
    labels = operand("nll_loss", "labels", labels)
    _check_labels("nll_loss", log_probabilities, labels, ignore_index, reduction)

    def compute(log_p: Any) -> Any:
        return _of_labels("nll_loss", log_p, array_of(labels), weight, ignore_index, 0.0, reduction)

    return in_float32(compute, log_probabilities)  # type: ignore[no-any-return]


def _check_labels(name: str, logits: Any, target: Any, ignore_index: int | None, reduction: str) -> None:
    """Raise an error unless the target holds labels that fit the logits, and `ignore_index`."""
    if ignore_index is not None and not isinstance(ignore_index, (int, np.integer)):
        raise SettingError(f"{name}: ignore_index is {ignore_index!r}; it must be an integer or None")
    labels = labels_for(logits, array_of(target), name, reduction).astype(xp.int64, copy=False)
    classes = logits.shape[-1]
    row = active().first_false(_known(labels, classes) | _ignored(labels, ignore_index))
    if row is not None:
        raise LabelError(
            f"{name}: label {labels[row]} in row {row} is not one of the {classes} classes; labels go "
            f"from 0 to {classes - 1}"
        )


def _of_labels(
    name: str,
    log_p: Any,
    labels: Array,
    weight: Any,
    ignore_index: int | None,
    smoothing: float,
    reduction: str,
) -> Any:
    """Return the cross-entropy of labels and log-probabilities.

    Args:
        name: the loss, for messages.
        log_p: (..., classes), float32 or float64.
        labels: (...) or (..., 1), of any integers. One that is no class makes the loss NaN.
        weight: as in `softmax_loss`.
        ignore_index: as in `softmax_loss`.
        smoothing: the label_smoothing of `softmax_loss`.
        reduction: as in `softmax_loss`.
    """
    *rows, classes = log_p.shape
    labels = labels.reshape(rows).astype(xp.int64, copy=False)
    known, counted = _known(labels, classes), ~_ignored(labels, ignore_index)
    labels = xp.where(known, labels, 0)
    total = counted.astype(log_p.dtype)
    of_label = take_along_axis(log_p, labels[..., None], -1).reshape(rows)
    if weight is not None:
        weight = _of_classes(name, weight, log_p)
        total = total * weight[labels]
        of_label = _times(of_label, weight[labels])
    losses = -of_label
    if smoothing:
        of_all = log_p if weight is None else _times(log_p, weight)
        losses = losses * (1 - smoothing) - sum_of(of_all, -1) * (smoothing / classes)
    losses = where(known, losses, xp.nan)
    losses = where(counted, losses, 0.0)
    if reduction != "mean":
        return reduced(losses, reduction)
    divisor = sum_of(total)
    if weight is not None or ignore_index is not None:
        divisor = divisor_of_share(divisor)
    return Div().on(sum_of(losses), where(divisor == 0, xp.nan, divisor))


def _of_probabilities(logits: Any, target: Any, weight: Any, smoothing: float, reduction: str) -> Any:
    """Return the cross-entropy of logits and probabilities, both of shape (..., classes)."""
    classes = logits.shape[-1]
    if 0 in logits.shape and reduction == "mean":
        raise ShapeError(
            f"softmax_loss: logits of shape {logits.shape} are an empty batch, which has no mean"
        )

    def compute(x: Any, t: Any) -> Any:
        t = t * (1 - smoothing) + smoothing / classes if smoothing else t
        if weight is not None:
            t = t * _of_classes("softmax_loss", weight, x)
        return reduced(_cross_entropy(log_softmax(x), t), reduction)

    return in_float32(compute, logits, astype(target, logits.dtype))


def _of_classes(name: str, weight: Any, like: Any) -> Any:
    """Return the weights of the classes in the dtype of `like`, which has a last axis of classes."""
    weight = constant(name, "weight", weight, like)
    if weight.shape != like.shape[-1:]:
        raise ShapeError(
            f"{name}: weight has shape {weight.shape}; it must be {like.shape[-1:]}, with one "
            "factor for each class"
        )
    return weight


def _cross_entropy(log_p: Any, target: Any) -> Any:
    """Return -Σ target · log_p along the last axis."""
    return -sum_of(_times(log_p, target), -1)


def _times(log_p: Any, factor: Any) -> Any:
    """Return log_p · factor. 0 · (-∞) counts as 0, for a class excluded by -∞."""
    nothing = (array_of(factor) == 0) & (array_of(log_p) == -xp.inf)
    return where(nothing, 0.0, log_p) * factor


def _holds_probabilities(logits: Any, target: Any) -> bool:
    """Return whether the target is floating and has the logits' shape.

    Raises:
        OperandError: there is only one class, whose probability is always 1.
    """
    kinds = [getattr(getattr(each, "dtype", None), "kind", "") for each in (logits, target)]
    if kinds != ["f", "f"] or target.shape != logits.shape:
        return False
    if logits.shape[-1:] == (1,):
        raise OperandError(
            f"softmax_loss: logits of shape {logits.shape} have one class, so its probability is always "
            "1; use mse_loss for numbers, or binary_cross_entropy_with_logits for two classes"
        )
    return True


def _known(labels: Array, classes: int) -> Array:
    return (labels >= 0) & (labels < classes)


def _ignored(labels: Array, ignore_index: int | None) -> Array:
    return xp.zeros(labels.shape, bool) if ignore_index is None else labels == ignore_index


OF_CLASSES.update((softmax_loss, plain_softmax_loss, nll_loss))
