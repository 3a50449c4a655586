"""Plot images with their true and predicted classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backends import to_host
from scratchnet.data.fashion_mnist import FashionMnistDataLoader
from scratchnet.errors import OperandError, SettingError
from scratchnet.results.plots.saving import check_plot_path, save_figure
from scratchnet.training.predictions import Predictions

if TYPE_CHECKING:
    from pathlib import Path

    from scratchnet.results.plots.figure import Figure

_COLUMNS = 5
_RIGHT, _WRONG = "#0b5394", "#9c4400"  # on white both have a contrast above 6


def plot_images(
    loader: FashionMnistDataLoader,
    which: Sequence[int] | np.ndarray,
    predictions: Predictions | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Plot images as they were before centering, each under its true class.

    Args:
        loader: the loader of the images.
        which: positions in the loader's own order, such as `predictions.worst(20)`.
        predictions: the result of `predict` for the loader. Adds the predicted class and its
            probability.
        path: the file to save the figure to, .png or .svg. None only returns the figure.

    Raises:
        OperandError: the loader has no images, `which` are not positions, or the predictions belong to
            other data.
        DataError: there is no such image.
        SettingError: `which` is empty, or the figure cannot be saved at this path.
    """
    if path is not None:
        check_plot_path(path)
    if not isinstance(loader, FashionMnistDataLoader):
        raise OperandError(f"plot_images: a {type(loader).__name__}; give a FashionMnistDataLoader")
    if predictions is not None and len(predictions) != loader.num_samples:
        raise OperandError(
            f"plot_images: predictions for {len(predictions)} images, and the loader has "
            f"{loader.num_samples}; give predict(net, loader)"
        )
    images, labels = loader.pixels(which), to_host(loader.labels)
    if not len(images):
        raise SettingError("plot_images: no image is named; give their places in the loader")
    from scratchnet.results.plots.figure import Figure

    columns = min(_COLUMNS, len(images))
    rows, names = math.ceil(len(images) / columns), loader.class_names or ()
    figure = Figure(figsize=(1.85 * columns, 2.1 * rows), dpi=120, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axes in grid:
        axes.set_axis_off()
    for axes, image, place in zip(grid, images, which, strict=False):
        axes.imshow(image, "gray", vmin=0, vmax=255)
        label, text, colour = labels[place], names[labels[place]], _RIGHT
        if predictions is not None:
            seen = int(predictions.predicted[place])
            colour = _RIGHT if seen == label else _WRONG
            text += f"\nseen as {names[seen]}, {percent(predictions.probabilities[place, seen])}"
        axes.set_title(text, fontsize=8, color=colour, parse_math=False)
    save_figure(figure, path)
    return figure


def percent(probability: float) -> str:
    """Return a probability as text. It is 100 % only if it is exactly 1."""
    return "> 99.9 %" if 0.9995 <= probability < 1 else f"{100 * probability:.1f} %"
