"""Metrics for numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from scratchnet.metrics.arguments import elementwise
from scratchnet.metrics.metric import metric


@metric(mean_over_samples=True, larger_is_better=False)
def mean_absolute_error(outputs: Any, targets: Any) -> Any:
    """Return the mean of |output - target|, over all samples and outputs.

    Args:
        outputs: numbers of any shape.
        targets: numbers of the same shape. (n,) fits outputs of (n, 1).

    Returns:
        A number from 0 on, float64.

    Raises:
        ShapeError: the shapes do not fit.
        OperandError: they do not hold real numbers.
    """
    found = elementwise("mean_absolute_error", outputs, targets)
    return abs(found.outputs - found.targets).mean(dtype=np.float64)


@metric(mean_over_samples=True, larger_is_better=False)
def mean_squared_error(outputs: Any, targets: Any) -> Any:
    """Return the mean of (output - target)², over all samples and outputs.

    Arguments, result and errors are those of `mean_absolute_error`.
    """
    found = elementwise("mean_squared_error", outputs, targets)
    apart = found.outputs - found.targets
    return (apart * apart).mean(dtype=np.float64)


@metric()
def r2(outputs: Any, targets: Any) -> Any:
    """Return the coefficient of determination, 1 - Σ(target - output)² / Σ(target - mean)².

    With several outputs per sample it is the mean of theirs. Where all targets are equal it is 1 if the
    outputs are exactly right, otherwise 0, as in scikit-learn.

    Args:
        outputs: numbers of shape (n, ...).
        targets: numbers of the same shape. (n,) fits outputs of (n, 1).

    Returns:
        A number up to 1, float64. Outputs that are always the mean of the targets have 0, and worse ones
        a negative number. NaN for one sample.

    Raises:
        ShapeError: the shapes do not fit.
        OperandError: they do not hold real numbers.
    """
    found = elementwise("r2", outputs, targets)
    xp, n = found.backend.xp, len(found.outputs)
    y, t = (each.reshape(n, -1).astype(np.float64) for each in (found.outputs, found.targets))
    left = ((t - y) ** 2).sum(0)
    whole = ((t - t.mean(0)) ** 2).sum(0)
    constant = whole == 0
    scores = xp.where(constant, left == 0, 1 - left / xp.where(constant, 1, whole))
    return scores.mean() if n > 1 else scores.mean() * xp.nan
