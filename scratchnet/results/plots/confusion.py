"""Plot which classes the network confuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backends.errors import printable
from scratchnet.errors import OperandError
from scratchnet.results.plots.saving import check_plot_path, save_figure
from scratchnet.training.predictions import Predictions

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from scratchnet.results.plots.figure import Figure

_RIGHT, _WRONG, _INK = "#7db8e8", "#f5a962", "#1a1a1a"  # on both the ink has a contrast above 8
_MANY = 25
"""With more classes the cells are smaller, and those without samples are empty."""

_MOST_INCHES, _LEAST_CELL, _LEAST_TEXT = 20.0, 0.2, 5.0
_MOST_LABELS = 100
_COUNTS = ("found", "missed", "false alarms", "rightly none")


def plot_confusion_matrix(
    predictions: Predictions,
    path: str | Path | None = None,
    title: str | None = None,
    overwrite: bool = False,
) -> Figure:
    """Plot counts of samples: the row is the true class, the column the predicted one.

    Right predictions are blue, by their fraction of the class. Mistakes are orange, relative to the most
    frequent one. For multi-label predictions there is a row for each label: how often it was found,
    missed, a false alarm, and rightly not there.

    Args:
        predictions: with targets, and not of regression.
        path: the file to save the figure to, .png or .svg. None only returns the figure.
        title: the text above it; by default how many samples are right.
        overwrite: whether the file may replace one that scratchnet did not write.

    Raises:
        OperandError: this is not a Predictions object, the targets are not known, or the task is
            regression.
        SettingError: the figure cannot be saved at this path.
    """
    check_plot_path(path, overwrite)
    if not isinstance(predictions, Predictions):
        kind = type(predictions).__name__
        raise OperandError(f"plot_confusion_matrix: a {kind}; give predict(net, loader)")
    counts = predictions.confusion_matrix()
    if predictions.task == "multilabel":
        figure = _of_labels(counts[:_MOST_LABELS], predictions, title)
    else:
        figure = _of_classes(counts, predictions, title)
    save_figure(figure, path, overwrite)
    return figure


def _of_classes(counts: np.ndarray, predictions: Predictions, title: str | None) -> Figure:
    from scratchnet.results.plots.figure import Figure

    names, classes = predictions.class_names, len(counts)
    right, wrong = shares(counts)
    digits, many = len(f"{counts.max(initial=0):,}"), classes > _MANY
    cell = max(_LEAST_CELL, 15 / classes) if many else max(0.62, 0.09 * digits)
    cell = min(cell, _MOST_INCHES / classes)
    side = max(2 + cell * classes, 4.2)
    text = min(9.0, cell * 72 / (0.7 * digits))  # points; a digit is about 0.6 of them wide
    figure = Figure(figsize=(side, side), dpi=120, layout="constrained")
    axes = figure.subplots()
    diagonal = np.eye(classes, dtype=bool)
    _paint(axes, right, ~diagonal, _RIGHT)
    _paint(axes, wrong, diagonal | (counts == 0), _WRONG)
    if text >= _LEAST_TEXT:
        for (row, column), count in np.ndenumerate(counts):
            if count or not many:
                axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=text, color=_INK)
    places = range(0, classes, max(1, round(0.13 / cell)))
    shown = [shortened(names[place]) for place in places]
    size = 8 if many else 10
    axes.set_xticks(places, shown, parse_math=False, fontsize=size)
    if many:
        axes.tick_params(axis="x", labelrotation=90)
    else:
        for label in axes.get_xticklabels():
            label.set(rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, shown, parse_math=False, fontsize=size)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    total, hits = int(counts.sum()), int(counts.trace())
    what = f"{predictions.thing}s" if predictions.predicted.ndim == 1 else "predictions"
    axes.set_title(title or f"{hits:,} of {total:,} {what} are right", parse_math=False)
    return figure


def _of_labels(counts: np.ndarray, predictions: Predictions, title: str | None) -> Figure:
    """Plot a table: a row for each label, and columns of counts."""
    from scratchnet.results.plots.figure import Figure

    table = by_label(counts)
    labels = len(table)
    figure = Figure(figsize=(6.5, max(1.6 + 0.3 * labels, 2.5)), dpi=120, layout="constrained")
    axes = figure.subplots()
    true, false = table[:, :2].sum(axis=1), table[:, 2:].sum(axis=1)
    share = table / np.stack([true, true, false, false], axis=1).clip(1)
    errors = np.zeros(table.shape, bool)
    errors[:, 1:3] = True
    _paint(axes, share, errors, _RIGHT, "auto")
    _paint(axes, share, ~errors, _WRONG, "auto")
    for (row, column), count in np.ndenumerate(table):
        axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=9, color=_INK)
    axes.set_xticks(range(4), _COUNTS)
    axes.xaxis.tick_top()
    axes.set_yticks(range(labels), map(shortened, predictions.class_names[:labels]), parse_math=False)
    axes.set_ylabel("label")
    total = predictions.predicted.size
    hits = int((predictions.predicted == predictions.targets).sum())
    told = f"{hits:,} of {total:,} labels are right"
    if labels < len(predictions.class_names):
        told += f"; the first {labels} of {len(predictions.class_names)}"
    axes.set_title(title or told, parse_math=False)
    return figure


def _paint(
    axes: Axes, values: np.ndarray, hidden: np.ndarray, colour: str, aspect: str = "equal"
) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("", ["white", colour])
    axes.imshow(np.ma.masked_array(values, hidden), colours, vmin=0, vmax=1, aspect=aspect)  # type: ignore[arg-type]


def by_label(counts: np.ndarray) -> np.ndarray:
    """Return the counts of matrices (labels, 2, 2): found, missed, false alarms, rightly none."""
    return np.stack([counts[:, 1, 1], counts[:, 1, 0], counts[:, 0, 1], counts[:, 0, 0]], axis=1)


def shortened(name: str, most: int = 24) -> str:
    """Return a name in one printable line, with at most so many characters."""
    name = printable(name)
    return name if len(name) <= most else name[: most - 1] + "…"


def shares(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the color strength of each cell, from 0 to 1, as a right prediction and as a mistake.

    Args:
        counts: (classes, classes), a confusion matrix.

    Returns:
        The fraction of its row; and the fraction of the largest count outside the diagonal.
    """
    largest = (counts - np.diag(counts.diagonal())).max(initial=0)
    return counts / counts.sum(axis=1, keepdims=True).clip(1), counts / max(largest, 1)
