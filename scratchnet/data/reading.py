"""How the samples of a data set become the inputs of a network: what a saved model has to know."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scratchnet.data.table import Column

IMAGES, CIFAR, FOLDER, TABLE = "images", "cifar", "folder", "table"
FORMS = IMAGES, CIFAR, FOLDER, TABLE


class Reading(NamedTuple):
    """The form of a data set, and what prepares its samples for a network."""

    form: str
    """"images" (a set in MNIST's form), "cifar", "folder" (image files), or "table"."""
    shape: tuple[int, ...]
    """Of a sample: (1, h, w), (channels, h, w) or (features,)."""
    task: str
    """"classification", "binary", "multilabel" or "regression"."""
    class_names: tuple[str, ...]
    """Of the classes, or of the labels. Empty for regression."""
    mean: np.ndarray
    """float32, on the host, of the training samples; it broadcasts with a batch of inputs."""
    std: np.ndarray
    """The same."""
    features: tuple[Column, ...] = ()
    """The columns of a table's inputs: their names, or their numbers if the table has no header."""
    targets: tuple[Column, ...] = ()
    """The columns of a table's targets."""
    drawn_by: int | None = None
    """The seed that drew the samples for validation; None if the data have a set of their own."""

    @property
    def outputs(self) -> int:
        """The number of outputs of the network."""
        if self.task == "binary":
            return 1
        return len(self.targets) if self.task == "regression" else len(self.class_names)

    @property
    def things(self) -> str:
        """What the samples are called."""
        return "rows" if self.form == TABLE else "images"

    def prepared(self, values: np.ndarray) -> np.ndarray:
        """Return (values - mean) / std, float32. Pixels are numbers from 0 to 1."""
        values = values.astype(np.float32, copy=False)
        if self.form == IMAGES:
            values = values.reshape(len(values), -1)
        with np.errstate(over="ignore"):  # of a model changed by hand; `predict` refuses infinity
            prepared: np.ndarray = (values - self.mean) / self.std
        return prepared
