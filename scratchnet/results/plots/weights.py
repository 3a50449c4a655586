"""Plot the weights of the first layer as images: the patterns that its units look for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from backends import to_host
from scratchnet.errors import OperandError
from scratchnet.layers import Linear, Module
from scratchnet.layers.arguments import size
from scratchnet.results.plots.saving import check_plot_path, save_figure

if TYPE_CHECKING:
    from pathlib import Path

    from scratchnet.results.plots.figure import Figure

COLOURS = "RdBu_r"  # negative blue, positive red: also for color-blind readers
_GAP = 2  # pixels between two images


def plot_weights(
    net: Module, path: str | Path | None = None, most: int = 100, overwrite: bool = False
) -> Figure:
    """Plot the weights of each unit of the first layer, one per pixel: blue below 0, red above.

    Args:
        net: its first layer with a matrix of weights must be a `Linear` that reads square images.
        path: the file to save the figure to, .png or .svg. None only returns the figure.
        most: the largest number of units to show. Those with the largest weights come first.
        overwrite: whether the file may replace one that scratchnet did not write.

    Raises:
        OperandError: this is not a Module, or it has no such layer.
        SettingError: `most` is not a positive integer, or the figure cannot be saved at this path.
    """
    check_plot_path(path, overwrite)
    if not isinstance(net, Module):
        raise OperandError(f"plot_weights: a {type(net).__name__}; give a Module")
    most = size("plot_weights", "most", most)
    images = first_layer_images(net)
    units = strongest(images, most)
    from scratchnet.results.plots.figure import Figure

    columns = _columns(len(units))
    rows, side = math.ceil(len(units) / columns), images.shape[1]
    step = side + _GAP
    mosaic = np.full((rows * step - _GAP, columns * step - _GAP), np.nan, np.float32)
    for place, unit in enumerate(units):
        top, left = place // columns * step, place % columns * step
        mosaic[top : top + side, left : left + side] = images[unit]
    figure = Figure(figsize=(8, 0.6 + 7 * rows / columns), dpi=120, layout="constrained")
    axes = figure.subplots()
    limit = bound(images[units])
    drawn = axes.imshow(mosaic, COLOURS, vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_axis_off()
    shown = f"{len(units)} of {len(images)}" if len(units) < len(images) else f"{len(units)}"
    axes.set_title(f"the weights of {shown} unit{'s' if len(images) > 1 else ''} of the first layer")
    figure.colorbar(drawn, ax=axes, fraction=0.04, pad=0.02, label="weight", extend="both")
    save_figure(figure, path, overwrite)
    return figure


def _columns(images: int) -> int:
    """Return rows and columns: nearly a square, with few empty places."""
    square = math.ceil(math.sqrt(images))
    return min(range(square, square + 3), key=lambda columns: -images % columns)


def first_layer_images(net: Module) -> np.ndarray:
    """Return the weights of the first `Linear` layer, (units, side, side), on the host.

    Raises:
        OperandError: there is none, or it does not read square images. Behind a layer with a matrix of
            weights, such as a convolution, it does not read images.
    """
    first = next((each for each in net.modules() if isinstance(each, Linear)), None)
    side = math.isqrt(first.in_features) if first else 0
    told = "is not there"
    if first is not None:
        matrix = next((each for each in net.parameters() if each.ndim > 1), None)
        told = (
            "" if side**2 == first.in_features else f"reads {first.in_features} numbers, no square image"
        )
        told = told if first.weight is matrix else "comes after another layer with weights"
    if first is None or told:
        raise OperandError(
            f"{type(net).__name__}: its first Linear layer {told}; weights are shown as images where it "
            "reads the pixels of one"
        )
    weights: np.ndarray = np.array(to_host(first.weight.data), order="C")
    return weights.reshape(-1, side, side)


def strongest(images: np.ndarray, most: int) -> np.ndarray:
    """Return at most this many units, those with the largest sums of squares first."""
    strength = (images.astype(np.float64) ** 2).sum(axis=(1, 2))
    return np.argsort(-strength, kind="stable")[:most]


def bound(images: np.ndarray) -> float:
    """Return the end of the color scale in both directions: 1/1000 of the weights is beyond it."""
    return float(np.quantile(np.abs(images), 0.999)) or 1.0
