"""Metrics for yes or no, once or several times for each sample."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from backends import Array
from scratchnet.errors import ShapeError
from scratchnet.metrics.arguments import elementwise
from scratchnet.metrics.metric import metric


class Decisions(NamedTuple):
    """What was decided and what is true: booleans of the outputs' shape, and the library of both."""

    xp: Any
    predicted: Array
    positive: Array


@metric(mean_over_samples=True)
def binary_accuracy(outputs: Any, targets: Any, *, threshold: float = 0.0) -> Any:
    """Return the share of outputs on the right side of the threshold.

    Args:
        outputs: of any shape, such as (n,) or (n, 1). Above the threshold they mean yes.
        targets: 0 and 1, or -1 and 1, integers, booleans or floating, one for each output. (n,) fits
            outputs of (n, 1). Above 0.5 they mean yes.
        threshold: 0 for logits and for `hinge_loss`; give 0.5 for probabilities.

    Returns:
        A number from 0 to 1, float64.

    Raises:
        ShapeError: the shapes do not fit.
        LabelError: a target is below -1 or above 1. On a GPU it counts as -1 or 1.
    """
    found = decisions("binary_accuracy", outputs, targets, threshold, "accuracy")
    return (found.predicted == found.positive).mean(dtype=np.float64)


@metric(mean_over_samples=True)
def multilabel_accuracy(outputs: Any, targets: Any, *, threshold: float = 0.0) -> Any:
    """Return the share of labels that are right, over all samples and labels.

    Args:
        outputs: (..., labels). Above the threshold a sample has the label.
        targets: 0 and 1 of the same shape.
        threshold: 0 for logits; give 0.5 for probabilities.

    Returns:
        A number from 0 to 1, float64: the mean of the accuracies of the labels.

    Raises:
        ShapeError: the shapes do not fit, or there is no axis of labels.
        LabelError: a target is below -1 or above 1. On a GPU it counts as -1 or 1.
    """
    found = decisions("multilabel_accuracy", outputs, targets, threshold, "accuracy")
    shape = found.predicted.shape
    if len(shape) < 2:
        raise ShapeError(
            f"multilabel_accuracy: outputs of shape {shape} have no axis of labels; use binary_accuracy"
        )
    return (found.predicted == found.positive).mean(dtype=np.float64)


def decisions(name: str, outputs: Any, targets: Any, threshold: float, instead: str = "") -> Decisions:
    """Return which outputs and which targets mean yes. `instead`: see `elementwise`."""
    found = elementwise(name, outputs, targets, instead)
    known = (found.targets >= -1) & (found.targets <= 1)
    found.refuse(name, known, "is not one of two classes; they are 0 and 1, or -1 and 1")
    return Decisions(found.backend.xp, found.outputs > threshold, found.targets > 0.5)
