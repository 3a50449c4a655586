"""Plot what was measured during training; of a classifier, the original's four pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from backends.errors import printable
from scratchnet.errors import OperandError, SettingError
from scratchnet.results.plots.saving import check_plot_path, save_figure
from scratchnet.training.metrics import MetricsCollector

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from scratchnet.results.plots.figure import Figure

_SETS = {"train": "training", "valid": "validation"}
_PALE, _DARK = "#9ecae1", "#08519c"


def plot_metrics(
    metrics: MetricsCollector,
    path: str | Path | None = None,
    title: str | None = None,
    overwrite: bool = False,
) -> Figure:
    """Plot everything that was measured: each minibatch pale, the mean of each epoch dark.

    The loss and each metric have a column; training is above validation. A metric of the whole data set,
    such as R², has one value per epoch. It needs no display. A notebook shows the figure.

    Args:
        metrics: the collector, after training.
        path: the file to save the figure to, .png or .svg. None only returns the figure.
        title: the text above the pictures; by default the name of the data.
        overwrite: whether the file may replace one that scratchnet did not write.

    Raises:
        OperandError: this is not a MetricsCollector.
        SettingError: nothing was collected yet, or the figure cannot be saved at this path.
    """
    check_plot_path(path, overwrite)
    if not isinstance(metrics, MetricsCollector):
        raise OperandError(f"plot_metrics: a {type(metrics).__name__}; give a MetricsCollector")
    if not metrics.epochs:
        raise SettingError("plot_metrics: no epoch was collected yet; call fit first")
    from scratchnet.results.plots.figure import Figure

    names = list(dict.fromkeys(each.partition("_")[2] for each in metrics.measures))
    sets = [each for each in _SETS if f"{each}_loss" in metrics.measures]
    size = (max(5 * len(names), 5.5), 3.4 * len(sets) + 0.2)
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    grid = figure.subplots(len(sets), len(names), squeeze=False)
    legend: dict[str, Any] = {}
    for (row, column), axes in np.ndenumerate(grid):
        name, which = names[column], sets[row]
        _draw(axes, metrics, f"{which}_{name}")
        axes.set_title(f"{_SETS[which]} {name.replace('_', ' ')}", parse_math=False)
        axes.set_ylabel(name.replace("_", " "), parse_math=False)
        axes.grid(alpha=0.3)
        legend |= {str(line.get_label()): line for line in axes.lines}
    figure.legend(
        list(legend.values()), list(legend), loc="outside lower center", ncols=len(legend), frameon=False
    )
    source = str(getattr(metrics.train or metrics.valid, "source", ""))
    figure.suptitle(title or printable(source), parse_math=False)
    save_figure(figure, path, overwrite)
    return figure


def _draw(axes: Axes, metrics: MetricsCollector, measure: str) -> None:
    """Draw a figure of all epochs, and of the minibatches if it was measured for each."""
    means = [epoch[measure] for epoch in metrics.epochs]
    series = metrics.series.get(measure, [])
    if series:
        batches = len(series) // len(means)
        axes.plot(series, color=_PALE, linewidth=0.7, label="minibatch")
        places = [(epoch + 1) * batches - 1 for epoch in range(len(means))]
        axes.set_xlabel("minibatch evaluated")
        label = "mean of the epoch"
    else:
        places, label = list(range(len(means))), "whole data set"
        axes.set_xlabel("epoch")
    axes.plot(places, means, color=_DARK, marker="o", markersize=3.5, label=label)
