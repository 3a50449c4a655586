"""A network's predictions for every image of a data set, and its mistakes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from backends import Array, LabelError, check, to_host, xp
from scratchnet.core.function import array_of
from scratchnet.core.modes import no_grad
from scratchnet.data.loader import DataLoader
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
_ROUNDING = 0.01  # for a sum of probabilities, float16 too


class Predictions:
    """A network's predictions for n images, on the host.

    Args:
        log_probabilities: (n, classes), floating, one row per image, as `log_softmax` returns them.
        labels: (n,), integers, the true classes. None if they are not known.
        class_names: the name of each class. None uses numbers.

    Attributes:
        probabilities: (n, classes); each row sums to 1.
        predicted: (n,), the most probable class of each image.
        class_names: the name of each class.

    Raises:
        ShapeError: there are no classes, or not one label per image.
        OperandError: the labels are not integers.
        LabelError: a label is not a class.
        DataError: the probabilities of an image do not sum to 1, or a class has no name.
    """

    def __init__(
        self,
        log_probabilities: np.ndarray,
        labels: np.ndarray | None = None,
        class_names: Iterable[str] | None = None,
    ) -> None:
        told = np.asarray(log_probabilities)
        if told.ndim != 2 or not told.shape[1]:
            raise ShapeError(
                f"Predictions: log_probabilities of shape {told.shape}; give (images, classes)"
            )
        with np.errstate(over="ignore"):  # the error below names it
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
        """Return the number of images."""
        return len(self.predicted)

    @property
    def labels(self) -> np.ndarray:
        """The true classes, (n,). Raises `OperandError` if they are not known."""
        if self._labels is None:
            raise OperandError("Predictions: the labels of these images are not known; predict a loader")
        return self._labels

    @property
    def losses(self) -> np.ndarray:
        """-log of the true class's probability, (n,). The mean is the softmax loss."""
        picked: np.ndarray = self._log_probabilities[np.arange(len(self)), self.labels]
        return -picked

    def confusion_matrix(self) -> np.ndarray:
        """Count how often images of a class (row) get a class (column): (classes, classes), int64."""
        classes = len(self.class_names)
        pairs = self.labels.astype(np.int64) * classes + self.predicted
        return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)

    def class_accuracy(self) -> np.ndarray:
        """Return the fraction of each class that is right: (classes,), float64; NaN without images."""
        counts = self.confusion_matrix()
        images = counts.sum(axis=1)
        accuracy = np.full(len(counts), np.nan)
        np.divide(counts.diagonal(), images, accuracy, where=images > 0)
        return accuracy

    def worst(self, k: int) -> np.ndarray:
        """Return the k mistakes with the largest losses, largest first, or all if there are fewer.

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
    """Run the network on a data set, batch by batch, in evaluation mode and without a graph.

    Args:
        net: a network that returns logits (n, classes).
        data: a loader, which is read in its own order; or images (n, …), arrays of the active backend,
            prepared as in training. Then the labels are not known.

    Returns:
        The predictions on the host. The results are copied at once, and so are the labels.

    Raises:
        OperandError: `net` is not a Module.
        DataError: there are no images.
        NonFiniteLossError: the network returns NaN for an image.
        LabelError: a label is not a class.
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
