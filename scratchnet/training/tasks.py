"""What the outputs of a network mean: classes, yes or no, labels, or numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from scratchnet import losses
from scratchnet.errors import SettingError
from scratchnet.losses.kinds import OF_CLASSES, OF_TWO, opened

TASKS = "classification", "binary", "multilabel", "regression"


class Meaning(NamedTuple):
    """What outputs mean.

    Attributes:
        task: one of `TASKS`.
        form: "logits" (a softmax or a sigmoid makes them probabilities), "probabilities", "scores" (only
            their sign means something) or "values".
        ignored: a label that does not count, or None.
    """

    task: str
    form: str
    ignored: int | None = None


def meaning_of(
    outputs: np.ndarray, targets: np.ndarray | None, loss: Any = None, task: str | None = None
) -> Meaning:
    """Return what outputs mean, from the loss and the task if they are given, else from the targets.

    Integer targets (n,) with several outputs per sample are labels of classes. Without a loss, all other
    outputs are numbers, except several outputs per sample without any targets: these are classes.

    Args:
        outputs: (n, …).
        targets: (n, …); None if they are not known.
        loss: a loss function, or a `functools.partial` of one; None if it is not known.
        task: one of `TASKS`; None follows the loss.

    Raises:
        SettingError: the task is unknown.
    """
    if task is not None and task not in TASKS:
        known = '", "'.join(TASKS)
        raise SettingError(f'task is {task!r}; it must be "{known}" or None')
    function, options = opened(loss)
    of_two = function in OF_TWO
    several = outputs.ndim > 1 and outputs.shape[-1] > 1
    if task is None:
        if function in OF_CLASSES or (function is losses.kl_divergence and several):
            task = "classification"
        elif of_two and not is_soft(targets):
            task = "multilabel" if several else "binary"
        else:
            task = _guessed(outputs, targets, several, loss)
    if task == "classification":
        return Meaning(task, "logits", options.get("ignore_index"))
    form = OF_TWO.get(function, "logits")
    return Meaning(task, "values" if task == "regression" and not of_two else form)


def _guessed(outputs: np.ndarray, targets: np.ndarray | None, several: bool, loss: Any) -> str:
    if targets is None:
        labels = several and outputs.ndim == 2 and loss is None
    else:
        shape = outputs.shape[:-1]
        labels = several and targets.dtype.kind in "iu" and targets.shape in (shape, (*shape, 1))
    return "classification" if labels else "regression"


def is_soft(targets: np.ndarray | None) -> bool:
    """Whether there are targets between yes and no, such as the pixels of an autoencoder."""
    if targets is None or targets.dtype.kind != "f":
        return False
    return not np.isin(targets, (-1, 0, 1)).all()


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return the log-probabilities of classes along the last axis, at least in float32."""
    logits = logits.astype(np.promote_types(logits.dtype, np.float32), copy=False)
    with np.errstate(invalid="ignore"):  # +inf: the caller names it
        shifted = logits - logits.max(axis=-1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(logits))
    result: np.ndarray = np.where(logits >= 0, 1, small) / (1 + small)
    return result


def losses_of_two(outputs: np.ndarray, positive: np.ndarray, form: str) -> np.ndarray:
    """Return the loss of each output, for targets that mean yes or no.

    Args:
        outputs: floating.
        positive: booleans of the same shape.
        form: see `Meaning`. For scores the loss is `hinge_loss`, otherwise the cross-entropy.
    """
    result: np.ndarray
    if form == "probabilities":
        with np.errstate(divide="ignore"):
            result = -np.log(np.where(positive, outputs, 1 - outputs)).clip(-100)
        return result
    signed = np.where(positive, outputs, -outputs)
    if form == "scores":
        result = (1 - signed).clip(0)
    else:
        result = np.log1p(np.exp(-np.abs(signed))) - signed.clip(max=0)
    return result
