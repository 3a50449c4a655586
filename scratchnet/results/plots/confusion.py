"""Plot which classes the network confuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scratchnet.errors import OperandError
from scratchnet.results.plots.saving import check_plot_path, save_figure
from scratchnet.training.predictions import Predictions

if TYPE_CHECKING:
    from pathlib import Path

    from scratchnet.results.plots.figure import Figure

_RIGHT, _WRONG, _INK = "#7db8e8", "#f5a962", "#1a1a1a"  # on both the ink has a contrast above 8
_INCHES = 0.62  # a cell


def plot_confusion_matrix(
    predictions: Predictions, path: str | Path | None = None, title: str | None = None
) -> Figure:
    """Plot counts of images: the row is the true class, the column the predicted one.

    Right predictions are blue, by their fraction of the class. Mistakes are orange, relative to the most
    frequent one.

    Args:
        predictions: with labels.
        path: the file to save the figure to, .png or .svg. None only returns the figure.
        title: the text above it; by default how many images are right.

    Raises:
        OperandError: this is not a Predictions object, or the labels are not known.
        SettingError: the figure cannot be saved at this path.
    """
    if path is not None:
        check_plot_path(path)
    if not isinstance(predictions, Predictions):
        kind = type(predictions).__name__
        raise OperandError(f"plot_confusion_matrix: a {kind}; give predict(net, loader)")
    counts = predictions.confusion_matrix()
    from matplotlib.colors import LinearSegmentedColormap

    from scratchnet.results.plots.figure import Figure

    names, classes = predictions.class_names, len(counts)
    right, wrong = shares(counts)
    side = 2 + _INCHES * classes
    figure = Figure(figsize=(side, side), dpi=120, layout="constrained")
    axes = figure.subplots()
    diagonal = np.eye(classes, dtype=bool)
    for values, hidden, colour in ((right, ~diagonal, _RIGHT), (wrong, diagonal, _WRONG)):
        colours = LinearSegmentedColormap.from_list("", ["white", colour])
        axes.imshow(np.ma.masked_array(values, hidden), colours, vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=9, color=_INK)
    axes.set_xticks(
        range(classes), names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False
    )
    axes.set_yticks(range(classes), names, parse_math=False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    total, hits = int(counts.sum()), int(counts.trace())
    axes.set_title(title or f"{hits:,} of {total:,} images are right", parse_math=False)
    save_figure(figure, path)
    return figure


def shares(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the color strength of each cell, from 0 to 1, as a right prediction and as a mistake.

    Args:
        counts: (classes, classes), a confusion matrix.

    Returns:
        The fraction of its row; and the fraction of the largest count outside the diagonal.
    """
    largest = (counts - np.diag(counts.diagonal())).max(initial=0)
    return counts / counts.sum(axis=1, keepdims=True).clip(1), counts / max(largest, 1)
