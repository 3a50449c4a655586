"""Metrics: figures that show how good the outputs of a network are, for people to read.

A metric is a function of outputs and targets, in this order. It takes NumPy arrays, arrays of the active
backend or Variables. Called with options alone, it returns the metric with these options:

    sn.metrics.f1(outputs, targets, average="macro")
    sn.metrics.f1(average="macro")(outputs, targets)

Each name is imported when it is first used. `__init__.pyi` is the same table for type checkers.
"""

from scratchnet.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "binary": "binary_accuracy multilabel_accuracy",
        "classification": "accuracy perplexity top_k",
        "counts": "f1 precision recall",
        "defaults": "for_loss named suited",
        "metric": "Metric",
        "other": "from_sklearn",
        "regression": "mean_absolute_error mean_squared_error r2",
    },
)
