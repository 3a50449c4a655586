"""What a network says of every image of a set, and where it is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from backends import Array, LabelError, check, to_host, xp
from scratchnet.core.function import array_of
from scratchnet.core.modes import no_grad
from scratchnet.data import DataLoader
from scratchnet.errors import (
    DataError,
    NonFiniteLossError,
    OperandError,
    SettingError,
    ShapeError,
)
from scratchnet.functions import log_softmax
from scratchnet.layers import Module
from scratchnet.variable import Variable

_AT_ONCE = 1000
_ROUNDING = 0.01  # of a sum of probabilities, float16 too


class Predictions:
    """What a network says of n images, on the host.

    Args:
        log_probabilities: (n, classes), floating, a row an image: what `log_softmax` gives.
        labels: (n,), integers, the true classes; None where they are not known.
        class_names: of each class; None calls them by their numbers.

    Attributes:
        probabilities: (n, classes); each row sums to 1.
        predicted: (n,), the most probable class of each.
        class_names: a name for each class.

    Raises:
        ShapeError: there are no classes, or not as many labels as images.
        OperandError: the labels are no integers.
        LabelError: a label is no class.
        DataError: the probabilities of an image do not sum to 1, or not every class has a name.
    """

    def __init__(
        self,
        log_probabilities: np.ndarray,
        labels: np.ndarray | None = None,
        class_names: Iterable[str] | None = None,
    ) -> None:
        """See the class."""
        told = np.asarray(log_probabilities)
        if told.ndim != 2 or not told.shape[1]:
            raise ShapeError(
                f"Predictions: log_probabilities of shape {told.shape}; give (images, classes)"
            )
        with np.errstate(over="ignore"):  # it is told below
            self.probabilities: np.ndarray = np.exp(told)
        sums = self.probabilities.sum(axis=1)
        apart = ~np.isclose(sums, 1, atol=_ROUNDING)
        if apart.any():
            row = int(apart.argmax())
            raise DataError(
                f"Predictions: the probabilities of row {row} sum to {sums[row]:.4g}, not 1; of logits "
                "take log_softmax first"
            )
        self._log_probabilities, self._labels = told, None if labels is None else np.asarray(labels)
        self.predicted: np.ndarray = told.argmax(axis=1)
        images, classes = told.shape
        self.class_names = tuple(map(str, range(classes) if class_names is None else class_names))
        if len(self.class_names) != classes:
            raise DataError(f"Predictions: {len(self.class_names)} class names for {classes} classes")
        if self._labels is not None:
            _check_labels(self._labels, images, classes)

    def __len__(self) -> int:
        """The number of images."""
        return len(self.predicted)

    @property
    def labels(self) -> np.ndarray:
        """(n,), the true classes; raises `OperandError` where they are not known."""
        if self._labels is None:
            raise OperandError("Predictions: the labels of these images are not known; predict a loader")
        return self._labels

    @property
    def losses(self) -> np.ndarray:
        """(n,): -log of the true class's probability; their mean is the softmax loss."""
        picked: np.ndarray = self._log_probabilities[np.arange(len(self)), self.labels]
        return -picked

    def confusion_matrix(self) -> np.ndarray:
        """(classes, classes), int64: how many images of the row's class are taken for the column's."""
        classes = len(self.class_names)
        pairs = self.labels.astype(np.int64) * classes + self.predicted
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    def class_accuracy(self) -> np.ndarray:
        """(classes,), float64: the part of each class that is seen as it; NaN where it has no image."""
        counts = self.confusion_matrix()
        images = counts.sum(axis=1)
        accuracy = np.full(len(counts), np.nan)
        np.divide(counts.diagonal(), images, accuracy, where=images > 0)
        return accuracy

    def worst(self, k: int) -> np.ndarray:
        """(k,), or fewer if fewer are wrong: the wrong ones by their losses, the largest first.

        Raises:
            OperandError: the labels are not known.
            SettingError: k is negative.
        """
        if k < 0:
            raise SettingError(f"worst: k is {k}; it must be an integer from 0 on")
        (wrong,) = np.nonzero(self.predicted != self.labels)
        order = np.argsort(-self.losses[wrong], kind="stable")
        return wrong[order[:k]]


def predict(net: Module, data: DataLoader | Array) -> Predictions:
    """What the network says of a set: batch by batch, in evaluation mode, without a graph.

    Args:
        net: gives logits (n, classes).
        data: a loader, whose own order it is, whatever training does; or images (n, …) of the active
            backend, as the network saw them in training, whose labels are not known.

    Returns:
        All of it on the host: one copy for what is said, and one for the labels.

    Raises:
        OperandError: the network is none.
        DataError: there are no images.
        NonFiniteLossError: what the network gives for an image is NaN.
        LabelError: a label is no class.
    """
    if not isinstance(net, Module):
        raise OperandError(f"predict: net is a {type(net).__name__}; the order is net, data")
    if not isinstance(data, DataLoader):
        check("predict", "data", data)
    training, found, labels = net.training, [], []
    net.eval()
    try:
        with no_grad():
            for x, y in _batches(data):
                found.append(log_softmax(net(x), axis=1).data)
                if y is not None:
                    labels.append(array_of(y).reshape(-1))
    finally:
        net.train(training)
    if not sum(map(len, found)):
        raise DataError("predict: no images; give at least one")
    said = to_host(xp.concatenate(found))
    unknown = np.isnan(said).any(axis=1)
    if unknown.any():
        raise NonFiniteLossError(
            f"predict: the network gives NaN for image {int(unknown.argmax())}; train it again, with a "
            "lower learning rate"
        )
    known = to_host(xp.concatenate(labels)) if labels else None
    return Predictions(said, known, getattr(data, "class_names", None))


def _check_labels(labels: np.ndarray, images: int, classes: int) -> None:
    if labels.shape != (images,):
        raise ShapeError(
            f"Predictions: labels of shape {labels.shape} for {images} images; give one an image"
        )
    if labels.dtype.kind not in "iu":
        raise OperandError(f"Predictions: labels of {labels.dtype}; they must be integers")
    beyond = (labels < 0) | (labels >= classes)
    if beyond.any():
        image = int(beyond.argmax())
        raise LabelError(f"label {labels[image]} of image {image} is not one of 0 to {classes - 1}")


def _batches(data: DataLoader | Array) -> Iterator[tuple[Any, Any]]:
    if isinstance(data, DataLoader):
        yield from data.in_order()
        return
    for start in range(0, len(data), _AT_ONCE):
        yield Variable(data[start : start + _AT_ONCE], requires_grad=False), None
