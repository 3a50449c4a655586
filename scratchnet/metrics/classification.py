"""Metrics for classes: one of several for each sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from scratchnet.errors import SettingError
from scratchnet.metrics.arguments import labelled
from scratchnet.metrics.metric import metric


@metric(mean_over_samples=True)
def accuracy(outputs: Any, targets: Any, *, ignore_index: int | None = None) -> Any:
    """Return the share of samples whose largest output is that of the true class.

    Args:
        outputs: (..., classes), floating: logits, log-probabilities or probabilities.
        targets: labels, integers of shape (...) or (..., 1); or probabilities, floating, of the outputs'
            shape: then the true class is the most probable.
        ignore_index: a label whose rows do not count.

    Returns:
        A number from 0 to 1, float64. NaN if no row counts.

    Raises:
        ShapeError: the shapes do not fit, or there is one output per sample: see `binary_accuracy`.
        OperandError: the labels are not integers.
        LabelError: a label is not a class. On a GPU it counts as wrong.
    """
    found = labelled("accuracy", outputs, targets, ignore_index, soft=True)
    return found.mean(found.outputs.argmax(-1) == found.labels)


@metric(mean_over_samples=True)
def top_k(outputs: Any, targets: Any, *, k: int = 5, ignore_index: int | None = None) -> Any:
    """Return the share of samples whose true class is among the k largest outputs.

    Of equal outputs the first counts as the largest, as in argmax. So `top_k(k=1)` is `accuracy`.

    Args:
        outputs: see `accuracy`.
        targets: see `accuracy`.
        k: how many outputs may be the true class's. It must be less than the number of classes.
        ignore_index: see `accuracy`.

    Returns:
        A number from 0 to 1, float64.

    Raises:
        SettingError: there are not more than k classes, so that every sample would count as right.
    """
    found = labelled("top_k", outputs, targets, ignore_index, soft=True)
    xp, classes = found.xp, found.outputs.shape[-1]
    if k >= classes:
        raise SettingError(
            f"top_k: k is {k}, and there are {classes} classes, so every sample would count as right; "
            "give a smaller k"
        )
    labels = xp.minimum(found.labels, classes - 1)[:, None]
    score = xp.take_along_axis(found.outputs, labels, -1)
    # NaN counts as larger than any number, as in argmax.
    before = ~(found.outputs <= score) | ((found.outputs == score) & (xp.arange(classes) < labels))
    return found.mean((before.sum(-1) < k) & (found.labels < classes))


@metric(larger_is_better=False)
def perplexity(outputs: Any, targets: Any, *, ignore_index: int | None = None) -> Any:
    """Return exp of the mean cross-entropy, exp(mean(-log softmax(outputs)[target])).

    Args:
        outputs: logits or log-probabilities (..., classes), floating.
        targets: labels, integers of shape (...) or (..., 1).
        ignore_index: see `accuracy`.

    Returns:
        A number from 1 on, float64: so many equally probable classes would be as uncertain.

    Raises:
        ShapeError: the shapes do not fit.
        OperandError: the labels are not integers.
        LabelError: a label is not a class. On a GPU the perplexity is NaN.
    """
    found = labelled("perplexity", outputs, targets, ignore_index)
    xp, classes = found.xp, found.outputs.shape[-1]
    logits = found.outputs.astype(np.promote_types(found.outputs.dtype, np.float32), copy=False)
    shifted = logits - logits.max(-1, keepdims=True)
    labels = xp.minimum(found.labels, classes - 1)[:, None]
    of_label = xp.take_along_axis(shifted, labels, -1)[:, 0]
    losses = xp.log(xp.exp(shifted).sum(-1)) - of_label
    return xp.exp(found.mean(xp.where(found.labels < classes, losses, xp.nan)))
