"""The original's four pictures, in one figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scratchnet.errors import OperandError, SettingError
from scratchnet.results.plots.saving import check_plot_path, save_figure
from scratchnet.training.metrics import MetricsCollector

if TYPE_CHECKING:
    from pathlib import Path

    from scratchnet.results.plots.figure import Figure

_TITLES = ("training loss", "validation loss", "training accuracy", "validation accuracy")
_PALE, _DARK = "#9ecae1", "#08519c"


def plot_metrics(
    metrics: MetricsCollector, path: str | Path | None = None, title: str | None = None
) -> Figure:
    """Plot loss and accuracy on both data sets: each minibatch pale, the mean of each epoch dark.

    It needs no display. A notebook shows the figure.

    Args:
        metrics: the collector, after training.
        path: the file to save the figure to, .png or .svg. None only returns the figure.
        title: the text above the four pictures; by default the name of the data.

    Raises:
        OperandError: this is not a MetricsCollector.
        SettingError: nothing was collected yet, or the figure cannot be saved at this path.
    """
    if path is not None:
        check_plot_path(path)
    if not isinstance(metrics, MetricsCollector):
        raise OperandError(f"plot_metrics: a {type(metrics).__name__}; give a MetricsCollector")
    if not metrics.epochs:
        raise SettingError("plot_metrics: no epoch was collected yet; call fit first")
    from scratchnet.results.plots.figure import Figure

    figure = Figure(figsize=(10, 7), dpi=120, layout="constrained")
    # In EpochMetrics and in the series alike: training above, validation below.
    order = 0, 2, 1, 3
    for axes, which in zip(figure.subplots(2, 2).flat, order, strict=True):
        name, series = list(metrics.series.items())[which]
        means = [epoch[name] for epoch in metrics.epochs]
        batches = len(series) // len(means)
        axes.plot(series, color=_PALE, linewidth=0.7, label="minibatch")
        ends = [(epoch + 1) * batches - 1 for epoch in range(len(means))]
        axes.plot(ends, means, color=_DARK, marker="o", markersize=3.5, label="mean of the epoch")
        axes.set_title(_TITLES[which])
        axes.set_xlabel("minibatch evaluated")
        axes.set_ylabel("loss" if which < 2 else "accuracy")
        axes.grid(alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()  # the same in all four
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    source = getattr(metrics.train, "source", "")
    figure.suptitle(title or source, parse_math=False)
    save_figure(figure, path)
    return figure
