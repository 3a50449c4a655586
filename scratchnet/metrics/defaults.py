"""Metrics by name, and those that belong to a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scratchnet.errors import SettingError
from scratchnet.losses.kinds import OF_CLASSES, OF_NUMBERS, OF_TWO, opened
from scratchnet.metrics.binary import binary_accuracy, multilabel_accuracy
from scratchnet.metrics.classification import accuracy, perplexity, top_k
from scratchnet.metrics.counts import f1, precision, recall
from scratchnet.metrics.metric import Metric
from scratchnet.metrics.regression import mean_absolute_error, mean_squared_error, r2

_KNOWN = {
    each.__name__: each
    for each in (
        accuracy, top_k, binary_accuracy, multilabel_accuracy, precision, recall, f1,
        mean_absolute_error, mean_squared_error, r2, perplexity,
    )
}  # fmt: skip
_THRESHOLDS = {"logits": 0.0, "probabilities": 0.5, "scores": 0.0}
_FOR_NUMBERS = {each.__name__ for each in (mean_absolute_error, mean_squared_error, r2)}
_SHORT = {"acc": "accuracy", "mae": "mean_absolute_error", "mse": "mean_squared_error"}


def named(name: str, loss: Any = None) -> Metric:
    """Return the metric of this name, with the options that follow from the loss.

    "accuracy" is that of the loss, so `binary_accuracy` for a loss of two classes.

    Args:
        name: such as "accuracy", "f1" or "mean_absolute_error".
        loss: the loss function. None leaves the options at their defaults.

    Raises:
        SettingError: there is no metric of this name; the message has those with a near name. Or it is
            one for classes, and the loss is one for numbers.
    """
    if name not in _KNOWN:
        from difflib import get_close_matches

        near = [_SHORT[name]] if name in _SHORT else get_close_matches(str(name), _KNOWN)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise SettingError(
            f"there is no metric {name!r}; {hint}known are {', '.join(_KNOWN)}; give those of "
            "scikit-learn as functions, such as sn.metrics.from_sklearn(roc_auc_score)"
        )
    function, _ = opened(loss)
    if function in OF_NUMBERS and name not in _FOR_NUMBERS:
        raise SettingError(
            f"{name} is a metric for classes, and {function.__name__} is a loss for numbers; give "
            f"{', '.join(sorted(_FOR_NUMBERS))}, or for one-hot targets the function sn.metrics.{name}"
        )
    return for_loss(loss).get(name) or suited(_KNOWN[name], loss)


def for_loss(loss: Any) -> dict[str, Metric]:
    """Return the metrics that are measured with a loss unless others are given.

    Args:
        loss: a loss function, or a `functools.partial` of one.

    Returns:
        The accuracy, under the name "accuracy", for the losses of classes and of two classes. Nothing
        for other functions: no accuracy makes sense there.
    """
    function, _ = opened(loss)
    if function in OF_CLASSES:
        return {"accuracy": suited(accuracy, loss)}
    if function in OF_TWO:
        return {"accuracy": suited(binary_accuracy, loss)}
    return {}


def suited(metric: Callable[..., Any], loss: Any) -> Any:
    """Return the metric with the options that follow from the loss, except those that it was given.

    These are `threshold=0.5` for `binary_cross_entropy`, whose outputs are probabilities, the
    `ignore_index` of a `functools.partial`, and `multilabel=False` for the losses of classes.

    Args:
        metric: a `Metric`. Any other function is returned unchanged.
        loss: a loss function, or a `functools.partial` of one.
    """
    if not isinstance(metric, Metric):
        return metric
    function, given = opened(loss)
    follow = {
        "ignore_index": given.get("ignore_index"),
        "threshold": _THRESHOLDS.get(OF_TWO.get(function, "")),
        "multilabel": False if function in OF_CLASSES else None,
    }
    options = {
        name: value
        for name, value in follow.items()
        if value is not None and name in metric.accepts and name not in metric.options
    }
    return metric(**options) if options else metric
