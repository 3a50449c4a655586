"""A network's predictions for every sample of a data set, and its mistakes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from backends import LabelError
from scratchnet.errors import DataError, OperandError, SettingError, ShapeError
from scratchnet.training.tasks import TASKS, log_softmax, losses_of_two, sigmoid

_ROUNDING = 0.01  # for a sum of probabilities, float16 too
_FORMS = {"classification": "log-probabilities", "binary": "logits", "multilabel": "logits"}


class Predictions:
    """A network's predictions for n samples, on the host.

        found = sn.predict(net, loader, sn.softmax_loss)

    Args:
        outputs: (n, …), floating, one row per sample. For classification, (n, classes) as `log_softmax`
            returns them.
        targets: the true labels, of shape (n,), for classification; 0 and 1 (or -1 and 1) of the
            outputs' shape for binary and multi-label predictions; numbers of the outputs' shape for
            regression. None if they are not known.
        class_names: the name of each class; of each label, for multi-label predictions. None uses
            numbers.
        task: "classification", "binary" (one output per sample), "multilabel" (one output per label) or
            "regression".
        form: what the outputs are: "log-probabilities", "logits", "probabilities", "scores" (only their
            sign means something) or "values". None takes log-probabilities for classification, values
            for regression, and otherwise logits.
        ignored: a label of classification that does not count, or None.
        thing: what a sample is called in texts.

    Attributes:
        outputs: as the network returned them.
        task: see above.
        predicted: (n,), the most probable class of each sample; for binary predictions 0 or 1; (n,
            labels), 0 or 1, for multi-label predictions; the values themselves for regression.
        class_names: the name of each class or label; empty for regression.

    Raises:
        ShapeError: there are no classes, or targets do not fit the outputs.
        OperandError: the labels are not integers.
        LabelError: a label is not a class.
        DataError: the probabilities of a sample do not sum to 1, or a class has no name.
        SettingError: the task is unknown.
    """

    def __init__(
        self,
        outputs: np.ndarray,
        targets: np.ndarray | None = None,
        class_names: Iterable[str] | None = None,
        task: str = "classification",
        form: str | None = None,
        ignored: int | None = None,
        thing: str = "sample",
    ) -> None:
        if task not in TASKS:
            raise SettingError(f"Predictions: task is {task!r}; it must be one of {', '.join(TASKS)}")
        self.outputs, self.task, self.thing = np.asarray(outputs), task, thing
        self.form, self._ignored = form or _FORMS.get(task, "values"), ignored
        self._probabilities: np.ndarray | None = None
        if task == "classification":
            names = self._read_classes()
        elif task == "regression":
            names = 0
            turned = self.form == "logits"
            self.predicted: np.ndarray = sigmoid(self.outputs) if turned else self.outputs
        else:
            names = self._read_decisions()
        given = range(names) if class_names is None else class_names
        self.class_names = tuple(map(str, given)) if names else ()
        if len(self.class_names) != names:
            kind = "label" if task == "multilabel" else "class"
            raise DataError(
                f"Predictions: {len(self.class_names)} class names for {names} "
                f"{kind}{'es' if kind == 'class' else 's'}"
            )
        self._targets = None if targets is None else self._fitting(np.asarray(targets))

    def _read_classes(self) -> int:
        told = self.outputs
        if told.ndim < 2 or not told.shape[-1] or (told.ndim > 2 and self.form != "logits"):
            raise ShapeError(
                f"Predictions: log_probabilities of shape {told.shape}; give (samples, classes)"
            )
        if self.form == "logits":
            told = log_softmax(told)
        self._log_probabilities = told
        with np.errstate(over="ignore"):  # the error below names it
            self._probabilities = np.exp(told)
        sums = self._probabilities.sum(axis=-1).reshape(-1)
        apart = ~np.isclose(sums, 1, atol=_ROUNDING)
        if apart.any():
            row = int(apart.argmax())
            raise DataError(
                f"Predictions: the probabilities of row {row} sum to {sums[row]:.4g}, not 1; of logits "
                "take log_softmax first"
            )
        self.predicted = self.outputs.argmax(axis=-1)  # as accuracy does; log_softmax makes new ties
        return int(told.shape[-1])

    def _read_decisions(self) -> int:
        """Read the outputs of binary and multi-label predictions. Return the number of names."""
        shape = self.outputs.shape
        if self.task == "binary" and self.outputs.size != len(self.outputs):
            raise ShapeError(f"Predictions: binary outputs of shape {shape}; give (n,) or (n, 1)")
        if self.task == "multilabel" and (len(shape) < 2 or not shape[-1]):
            raise ShapeError(f"Predictions: multi-label outputs of shape {shape}; give (n, labels)")
        rows = self.outputs.reshape(-1) if self.task == "binary" else self.outputs
        if self.form != "scores":
            self._probabilities = rows if self.form == "probabilities" else sigmoid(rows)
        self.predicted = (rows > (0.5 if self.form == "probabilities" else 0)).astype(np.int64)
        return 2 if self.task == "binary" else int(shape[-1])

    def _fitting(self, targets: np.ndarray) -> np.ndarray:
        """Return the targets in the shape of `predicted`."""
        if self.task == "classification":
            return self._labels_of(targets)
        shape, given = self.predicted.shape, targets.shape
        if targets.size != self.predicted.size or given[:1] != shape[:1]:
            raise ShapeError(
                f"Predictions: targets of shape {given} and outputs of shape {self.outputs.shape}; give "
                "one target for each output"
            )
        targets = targets.reshape(shape)
        if self.task == "regression":
            return targets
        beyond = ~((targets >= -1) & (targets <= 1))
        if beyond.any():
            sample = int(np.argwhere(beyond)[0][0])
            raise LabelError(
                f"target {targets[beyond][0]} of sample {sample} is not one of two classes; they are 0 "
                "and 1, or -1 and 1"
            )
        return (targets > 0.5).astype(np.int64)

    def _labels_of(self, targets: np.ndarray) -> np.ndarray:
        shape, classes = self.predicted.shape, len(self.class_names)
        if targets.dtype.kind == "f" and targets.shape == self.outputs.shape:  # probabilities
            targets = targets.argmax(axis=-1)
        if targets.shape not in (shape, (*shape, 1)):
            raise ShapeError(
                f"Predictions: labels of shape {targets.shape} for {len(self.outputs)} {self.thing}s; "
                f"give one for each {self.thing}"
            )
        if targets.dtype.kind not in "iu":
            raise OperandError(f"Predictions: labels of {targets.dtype}; they must be integers")
        targets = targets.reshape(shape)
        beyond = ((targets < 0) | (targets >= classes)) & (targets != self._ignored)
        if beyond.any():
            place = int(np.argwhere(beyond)[0][0])
            raise LabelError(
                f"label {targets[beyond][0]} of {self.thing} {place} is not one of 0 to {classes - 1}"
            )
        return targets

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.predicted)

    @property
    def probabilities(self) -> np.ndarray:
        """The probabilities of the classes, (n, classes); each row sums to 1.

        For binary predictions those of class 1, (n,). For multi-label predictions those of each label,
        (n, labels). Raises `OperandError` if there are none: for regression, and with `hinge_loss`.
        """
        if self._probabilities is None:
            what = "scores" if self.form == "scores" else "numbers"
            raise OperandError(
                f"Predictions: the outputs are {what} without probabilities; see predicted"
            )
        return self._probabilities

    @property
    def targets(self) -> np.ndarray:
        """The true classes, labels or numbers. Raises `OperandError` if they are not known."""
        if self._targets is None:
            raise OperandError(
                f"Predictions: the targets of these {self.thing}s are not known; predict a loader with "
                "targets"
            )
        return self._targets

    @property
    def has_targets(self) -> bool:
        """Whether the targets are known."""
        return self._targets is not None

    @property
    def labels(self) -> np.ndarray:
        """The targets, under the name that classification has for them."""
        return self.targets

    @property
    def residuals(self) -> np.ndarray:
        """`predicted - targets`, for regression. Raises `OperandError` for another task."""
        if self.task != "regression":
            raise OperandError(f"Predictions: residuals are of regression, and this is {self.task}")
        residuals: np.ndarray = self.predicted - self.targets
        return residuals

    @property
    def losses(self) -> np.ndarray:
        """The loss of each sample, (n,): the mean over its outputs that count.

        For classification, -log of the true class's probability. For binary and multi-label predictions
        the cross-entropy, or `hinge_loss` of scores. For regression the squared error.
        """
        if self.task == "classification":
            known = np.where(self._counted, self.targets, 0)
            picked = np.take_along_axis(self._log_probabilities, known[..., None], axis=-1)[..., 0]
            whole = np.where(self._counted, -picked, 0).reshape(len(self), -1).sum(axis=1)
            losses: np.ndarray = whole / self._counted.reshape(len(self), -1).sum(axis=1).clip(1)
            return losses
        if self.task == "regression":
            each = self.residuals.astype(np.float64) ** 2
        else:
            each = losses_of_two(
                self.outputs.reshape(self.predicted.shape), self.targets == 1, self.form
            )
        mean: np.ndarray = each.reshape(len(self), -1).mean(axis=1)
        return mean

    @property
    def _counted(self) -> np.ndarray:
        """Whether a prediction counts, in the shape of `predicted`."""
        return np.asarray(self.targets != self._ignored) & np.ones(self.predicted.shape, bool)

    @property
    def wrong(self) -> np.ndarray:
        """Whether anything is wrong, (n,), booleans. For regression, whether it is not exact."""
        apart = self.predicted != self.targets
        if self.task == "classification":
            apart = apart & self._counted
        wrong: np.ndarray = apart.reshape(len(self), -1).any(axis=1)
        return wrong

    def confusion_matrix(self) -> np.ndarray:
        """Count how often samples of a class (row) get a class (column): (classes, classes), int64.

        For multi-label predictions there is one such matrix for each label, (labels, 2, 2).

        Raises:
            OperandError: the labels are not known, or the task is regression.
        """
        if self.task == "regression":
            raise OperandError(
                "Predictions: numbers have no confusion matrix; see residuals and plot_predictions"
            )
        if self.task == "multilabel":
            labels = len(self.class_names)
            rows = np.arange(labels) * 4 + self.targets * 2 + self.predicted
            return np.bincount(rows.reshape(-1), minlength=4 * labels).reshape(labels, 2, 2)
        classes, counted = len(self.class_names), self._counted
        pairs = self.targets[counted].astype(np.int64) * classes + self.predicted[counted]
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    def class_accuracy(self) -> np.ndarray:
        """Return the fraction of each class that is right: (classes,), float64; NaN without samples.

        For multi-label predictions, the fraction of samples in which each label is right: (labels,).
        """
        counts = self.confusion_matrix()
        if self.task == "multilabel":
            right: np.ndarray = counts[:, [0, 1], [0, 1]].sum(axis=1) / counts.sum(axis=(1, 2)).clip(1)
            return right
        samples = counts.sum(axis=1)
        accuracy = np.full(len(counts), np.nan)
        np.divide(counts.diagonal(), samples, accuracy, where=samples > 0)
        return accuracy

    def worst(self, k: int) -> np.ndarray:
        """Return the k mistakes with the largest losses, largest first, or all if there are fewer.

        Raises:
            OperandError: the labels are not known.
            SettingError: k is not an integer from 0 on.
        """
        if not isinstance(k, (int, np.integer)) or k < 0:
            raise SettingError(f"worst: k is {k}; it must be an integer from 0 on")
        (wrong,) = np.nonzero(self.wrong)
        order = np.argsort(-self.losses[wrong], kind="stable")
        return wrong[order[:k]]

    def chance(self, place: int) -> float | None:
        """Return the probability of what was predicted for a sample; None if there is not just one."""
        if self.predicted.ndim > 1 or self._probabilities is None:
            return None
        seen, chance = self.predicted[place], self._probabilities[place]
        if self.task == "binary":
            return float(chance if seen else 1 - chance)
        return float(chance[seen])

    def words(self, place: int, target: bool = False) -> str:
        """Return the prediction, or the target, of a sample as text."""
        value = (self.targets if target else self.predicted)[place]
        if self.task == "multilabel" and value.ndim == 1:
            return ", ".join(np.array(self.class_names, object)[value == 1]) or "none"
        if value.ndim:
            shown = " ".join(_text(self, each) for each in value.reshape(-1)[:_SHOWN])
            return shown + (" …" if value.size > _SHOWN else "")
        return _text(self, value)


_SHOWN = 8


def _text(found: Predictions, value: Any) -> str:
    if found.task == "regression":
        return f"{value:.4g}"
    inside = 0 <= value < len(found.class_names)
    return found.class_names[value] if inside else "–"
