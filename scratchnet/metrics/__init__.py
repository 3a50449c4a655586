"""Metrics: figures that show how good the outputs of a network are, for people to read.

A metric is a function of outputs and targets, in this order. It takes NumPy arrays, arrays of the active
backend or Variables. Called with options alone, it returns the metric with these options:

    sn.metrics.f1(outputs, targets, average="macro")
    sn.metrics.f1(average="macro")(outputs, targets)
"""

from scratchnet.metrics.binary import binary_accuracy, multilabel_accuracy
from scratchnet.metrics.classification import accuracy, perplexity, top_k
from scratchnet.metrics.counts import f1, precision, recall
from scratchnet.metrics.defaults import for_loss, named, suited
from scratchnet.metrics.metric import Metric
from scratchnet.metrics.other import from_sklearn
from scratchnet.metrics.regression import mean_absolute_error, mean_squared_error, r2

__all__ = [
    "Metric",
    "accuracy",
    "binary_accuracy",
    "f1",
    "for_loss",
    "from_sklearn",
    "mean_absolute_error",
    "mean_squared_error",
    "multilabel_accuracy",
    "named",
    "perplexity",
    "precision",
    "r2",
    "recall",
    "suited",
    "top_k",
]
