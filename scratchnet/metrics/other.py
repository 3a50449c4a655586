"""Metrics of other libraries."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from backends import to_host
from backends.registry import owner
from scratchnet.core.function import array_of
from scratchnet.errors import OperandError
from scratchnet.metrics.arguments import check_single
from scratchnet.metrics.metric import Metric

_SMALLER_IS_BETTER = "error", "loss", "deviance", "distance"


def from_sklearn(function: Callable[..., Any], **options: Any) -> Metric:
    """Make a metric of a function (targets, outputs, **options), as scikit-learn has them.

    The function gets NumPy arrays of the whole data set, and the outputs as they are. If it compares
    labels, take them first:

        sn.metrics.from_sklearn(sklearn.metrics.explained_variance_score)
        lambda outputs, targets: f1_score(targets, outputs.argmax(-1), average="macro")

    Args:
        function: such as `sklearn.metrics.roc_auc_score`.
        options: its options, given with every call.

    Returns:
        A metric with the function's name. Smaller numbers are better if the name ends in error, loss,
        deviance or distance.

    Raises:
        OperandError: `function` cannot be called. When the metric is called: the function refuses the
            arrays.
    """
    if not callable(function):
        raise OperandError(f"from_sklearn: function is a {type(function).__name__}; give a function")
    name = _name_of(function)
    turned = partial(_turned, function, options)
    turned.__name__, turned.__doc__ = name, function.__doc__  # type: ignore[attr-defined]
    return Metric(turned, larger_is_better=not name.endswith(_SMALLER_IS_BETTER))


def _turned(function: Callable[..., Any], options: dict[str, Any], outputs: Any, targets: Any) -> Any:
    name = _name_of(function)
    check_single(name, "outputs", outputs)
    check_single(name, "targets", targets)
    targets, outputs = _on_host(targets), _on_host(outputs)
    try:
        return function(targets, outputs, **options)
    except ValueError as error:
        line = " ".join(str(error).split())
        labels = "outputs.argmax(-1)" if outputs.ndim > 1 and outputs.shape[-1] > 1 else "outputs > 0"
        raise OperandError(
            f"{name}: {line}; for labels give lambda outputs, targets: {name}(targets, {labels})"
        ) from error


def _name_of(function: Any) -> str:
    function = getattr(function, "func", function)  # of a partial
    return str(getattr(function, "__name__", type(function).__name__))


def _on_host(given: Any) -> np.ndarray:
    array = array_of(given)
    return to_host(array) if owner(array) else np.asarray(array)
