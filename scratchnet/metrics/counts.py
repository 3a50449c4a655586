"""Precision, recall and F1, from how often each class was found, missed, and taken for another."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from backends import Array
from scratchnet.errors import SettingError
from scratchnet.metrics.arguments import Pair, is_elementwise, labelled, pair
from scratchnet.metrics.binary import decisions
from scratchnet.metrics.metric import metric


class Counts(NamedTuple):
    """How often each class was found; arrays (classes,), float64, and their library.

    Attributes:
        xp: the library.
        right: how often the class was predicted and true.
        predicted: how often it was predicted.
        true: how often it was true.
        task: "binary" (class 1 is the positive one), "classes" or "labels".
    """

    xp: Any
    right: Array
    predicted: Array
    true: Array
    task: str


@metric()
def precision(
    outputs: Any,
    targets: Any,
    *,
    average: str | None = None,
    threshold: float = 0.0,
    ignore_index: int | None = None,
    multilabel: bool = True,
) -> Any:
    """Return the precision: of the samples predicted to be of a class, the share that are.

    Args:
        outputs: floating. (n,) or (n, 1): yes above the threshold. (..., classes) with integer targets
            (...): the largest is the class. (n, labels) with targets of the same shape: each label is
            one if it is above the threshold.
        targets: integers, booleans or floating; see `accuracy`, `binary_accuracy` and
            `multilabel_accuracy`.
        average: "binary": of the positive class. "macro": the mean over classes, of those that occur in
            predictions or targets, or over all labels. "micro": of all classes together. "weighted": the
            mean, each class weighted by its number of samples. None is "binary" if there is one output
            per sample, otherwise "macro".
        threshold: 0 for logits; give 0.5 for probabilities.
        ignore_index: a label whose rows do not count.
        multilabel: what floating targets of the same shape mean. True: several labels for each sample.
            False: probabilities of classes, such as one-hot rows; the true class is the most probable.
            `MetricsCollector` takes False with a loss of classes.

    Returns:
        A number from 0 to 1, float64, as scikit-learn's with `zero_division=0`: a class that is never
        predicted counts as 0.

    Raises:
        ShapeError: the shapes do not fit.
        OperandError: the labels of classes are not integers.
        LabelError: a target is not a class. On a GPU it counts as a miss.
        SettingError: the average is unknown, or "binary" with more than two classes.
    """
    found = _counts("precision", outputs, targets, average, threshold, ignore_index, multilabel)
    return _averaged(found, average, lambda each: (each.right, each.predicted))


@metric()
def recall(
    outputs: Any,
    targets: Any,
    *,
    average: str | None = None,
    threshold: float = 0.0,
    ignore_index: int | None = None,
    multilabel: bool = True,
) -> Any:
    """Return the recall: of the samples of a class, the share that was found.

    Arguments, result and errors are those of `precision`. A class without samples counts as 0.
    """
    found = _counts("recall", outputs, targets, average, threshold, ignore_index, multilabel)
    return _averaged(found, average, lambda each: (each.right, each.true))


@metric()
def f1(
    outputs: Any,
    targets: Any,
    *,
    average: str | None = None,
    threshold: float = 0.0,
    ignore_index: int | None = None,
    multilabel: bool = True,
) -> Any:
    """Return the F1 score, the harmonic mean of precision and recall.

    Arguments, result and errors are those of `precision`.
    """
    found = _counts("f1", outputs, targets, average, threshold, ignore_index, multilabel)
    return _averaged(found, average, lambda each: (2 * each.right, each.predicted + each.true))


def _counts(
    name: str,
    outputs: Any,
    targets: Any,
    average: str | None,
    threshold: float,
    ignore_index: int | None,
    multilabel: bool,
) -> Counts:
    """Count, after the shapes have shown what the outputs mean."""
    given = pair(name, outputs, targets)
    single = given.outputs.ndim == 1 or given.outputs.shape[-1] == 1
    if multilabel and is_elementwise(given.outputs, given.targets) and not single:
        found = _of_labels(name, given.outputs, given.targets, threshold)
    elif single:
        found = _of_two(name, given, threshold, ignore_index)
    else:
        found = _of_classes(name, given.outputs, given.targets, ignore_index)
    if average == "binary" and (found.task == "labels" or len(found.true) > 2):
        raise SettingError(
            f'{name}: average is "binary", and there are {len(found.true)} {found.task}; give "macro", '
            '"micro" or "weighted"'
        )
    return found


def _of_labels(name: str, outputs: Array, targets: Array, threshold: float) -> Counts:
    found = decisions(name, outputs, targets, threshold)
    labels = outputs.shape[-1]
    predicted, true = (each.reshape(-1, labels) for each in (found.predicted, found.positive))
    right, predicted, true = (
        each.sum(0, dtype=np.float64) for each in (predicted & true, predicted, true)
    )
    return Counts(found.xp, right, predicted, true, "labels")


def _of_two(name: str, given: Pair, threshold: float, ignore_index: int | None) -> Counts:
    xp, targets, counted = given.backend.xp, given.targets, None
    if ignore_index is not None:
        counted = targets.reshape(-1) != ignore_index
        targets = xp.where(targets == ignore_index, 0, targets)
    found = decisions(name, given.outputs, targets, threshold)
    predicted, true = (each.reshape(-1).astype(np.int64) for each in (found.predicted, found.positive))
    return _counted(xp, predicted, true, 2, counted, "binary")


def _of_classes(name: str, outputs: Array, targets: Array, ignore_index: int | None) -> Counts:
    found = labelled(name, outputs, targets, ignore_index, soft=True)
    classes = found.outputs.shape[-1]
    predicted = found.outputs.argmax(-1)
    return _counted(found.xp, predicted, found.labels, classes, found.counted, "classes")


def _counted(
    xp: Any, predicted: Array, true: Array, classes: int, counted: Array | None, task: str
) -> Counts:
    """Count classes (n,). What does not count gets a place of its own, after the classes."""
    if counted is not None:
        predicted, true = (xp.where(counted, each, classes) for each in (predicted, true))
    right = xp.where(predicted == true, true, classes)
    right, predicted, true = (
        xp.bincount(each, minlength=classes + 1)[:classes].astype(np.float64)
        for each in (right, predicted, true)
    )
    return Counts(xp, right, predicted, true, task)


def _averaged(found: Counts, average: str | None, parts: Any) -> Any:
    """Return one number. `parts` returns numerator and denominator of counts."""
    xp = found.xp
    average = average or ("binary" if found.task == "binary" else "macro")
    if average == "micro":
        right, predicted, true = found.right.sum(), found.predicted.sum(), found.true.sum()
        return _share(xp, *parts(Counts(xp, right, predicted, true, found.task)))
    scores = _share(xp, *parts(found))
    if average == "binary":
        return scores[1]
    if average == "weighted":
        weights = found.true
    elif found.task == "labels":
        weights = xp.ones_like(scores)
    else:
        weights = (found.predicted + found.true > 0).astype(np.float64)
    return _share(xp, (scores * weights).sum(), weights.sum())


def _share(xp: Any, part: Array, whole: Array) -> Any:
    """Return part / whole, and 0 for 0 / 0."""
    return xp.where(whole == 0, 0.0, part / xp.where(whole == 0, 1.0, whole))[()]
