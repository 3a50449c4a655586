"""Plot images with what they are and what they are taken for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backends import active, to_host
from scratchnet.data.arrays import ArrayDataLoader
from scratchnet.data.loader import DataLoader
from scratchnet.data.pictures import pixels_of
from scratchnet.data.samples import parts_of
from scratchnet.errors import OperandError, SettingError
from scratchnet.results.plots.confusion import shortened
from scratchnet.results.plots.saving import check_plot_path, save_figure
from scratchnet.training.predictions import Predictions

if TYPE_CHECKING:
    from pathlib import Path

    from scratchnet.results.plots.figure import Figure

_COLUMNS = 5
_RIGHT, _WRONG = "#0b5394", "#9c4400"  # on white both have a contrast above 6


def plot_images(
    loader: DataLoader,
    which: Sequence[int] | np.ndarray,
    predictions: Predictions | None = None,
    path: str | Path | None = None,
    overwrite: bool = False,
) -> Figure:
    """Plot images, each under its true class or target, and what it is taken for.

    The images of the library's own data sets are shown as they were before centering. Others may have
    any size: (h, w), (1, h, w) or (3, h, w), or the h² pixels of a square. Values from 0 to 1, or from 0
    to 255, are shown as they are; others are stretched for each image.

    Args:
        loader: the loader of the images: of arrays, or of a data set.
        which: positions in the loader's own order, such as `predictions.worst(20)`.
        predictions: the result of `predict` for the loader. Adds the prediction and its probability.
        path: the file to save the figure to, .png or .svg. None only returns the figure.
        overwrite: whether the file may replace one that scratchnet did not write.

    Raises:
        OperandError: the loader has no images, `which` are not positions, or the predictions belong to
            other data.
        DataError: there is no such image.
        SettingError: `which` is empty, or the figure cannot be saved at this path.
    """
    check_plot_path(path, overwrite)
    if not isinstance(loader, DataLoader):
        raise OperandError(
            f"plot_images: a {type(loader).__name__}; give a FashionMnistDataLoader or another loader "
            "of images"
        )
    if predictions is not None and len(predictions) != loader.num_samples:
        raise OperandError(
            f"plot_images: predictions for {len(predictions)} images, and the loader has "
            f"{loader.num_samples}; give predict(net, loader)"
        )
    images = pixels_of(loader, which)
    if not len(images):
        raise SettingError("plot_images: no image is named; give their places in the loader")
    from scratchnet.results.plots.figure import Figure

    columns = min(_COLUMNS, len(images))
    rows = math.ceil(len(images) / columns)
    height, width = images.shape[1:3]
    tall = 1.85 * min(max(height / width, 0.4), 2.5)
    figure = Figure(figsize=(1.85 * columns, (tall + 0.35) * rows), dpi=120, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axes in grid:
        axes.set_axis_off()
    for axes, image, place in zip(grid, images, which, strict=False):
        axes.imshow(image, "gray", vmin=0, vmax=255)
        true = _true_text(loader, int(place), predictions)
        lines, colour = [true] if true else [], _RIGHT
        if predictions is not None:
            seen = predictions.words(place)
            lines.append(f"seen as {shortened(seen)}{chance_of(predictions, place)}")
            if true and predictions.task != "regression" and predictions.wrong[place]:
                colour = _WRONG
        axes.set_title("\n".join(lines), fontsize=8, color=colour, parse_math=False)
    save_figure(figure, path, overwrite)
    return figure


def chance_of(predictions: Predictions, place: int) -> str:
    """Return ", 97.1 %", the probability of what was predicted; empty if there is not just one."""
    chance = predictions.chance(place)
    return "" if chance is None else f", {percent(chance)}"


def _true_text(loader: DataLoader, place: int, predictions: Predictions | None) -> str:
    """Return the true class or target as text; empty if it is not known."""
    if predictions is not None and predictions.has_targets:
        return shortened(predictions.words(place, target=True))
    if isinstance(loader, ArrayDataLoader) and isinstance(loader.targets, active().array_type):
        target = to_host(loader.targets[place])
    elif not isinstance(loader, ArrayDataLoader) and hasattr(loader, "dataset"):
        target = np.asarray(parts_of(loader.dataset[place], "")[1])
    else:
        return ""
    if target.size != 1 or target.dtype.kind not in "biuf":
        return ""
    names, value = loader.class_names, target.reshape(()).item()
    named = names is not None and target.dtype.kind in "iu" and 0 <= value < len(names)
    return shortened(names[value]) if named and names else f"{value:.4g}"


def percent(probability: float) -> str:
    """Return a probability as text. It is 100 % only if it is exactly 1."""
    return "> 99.9 %" if 0.9995 <= probability < 1 else f"{100 * probability:.1f} %"
