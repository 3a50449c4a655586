"""Plot predicted numbers against the true ones, and what is left between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scratchnet.errors import OperandError
from scratchnet.metrics import mean_absolute_error, r2
from scratchnet.results.plots.saving import check_plot_path, save_figure
from scratchnet.training.predictions import Predictions

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from scratchnet.results.plots.figure import Figure

_MOST_OUTPUTS, _MOST_POINTS = 4, 5000
_POINT, _LINE = "#08519c", "#c05a00"


def plot_predictions(
    predictions: Predictions,
    path: str | Path | None = None,
    title: str | None = None,
    overwrite: bool = False,
) -> Figure:
    """Plot predicted against true numbers, and the residuals, predicted - true, against the predicted.

    Points on the line are exactly right. Up to four outputs per sample have a row of plots each; more
    are shown together. Of more than 5,000 points, the density is shown.

    Args:
        predictions: of regression, with targets.
        path: the file to save the figure to, .png or .svg. None only returns the figure.
        title: the text above it; by default how many samples there are.
        overwrite: whether the file may replace one that scratchnet did not write.

    Raises:
        OperandError: this is not a Predictions object, the targets are not known, or the task is
            another.
        SettingError: the figure cannot be saved at this path.
    """
    check_plot_path(path, overwrite)
    if not isinstance(predictions, Predictions):
        kind = type(predictions).__name__
        raise OperandError(f"plot_predictions: a {kind}; give predict(net, loader)")
    if predictions.task != "regression":
        raise OperandError(
            f"plot_predictions: these are predictions of {predictions.task}; use plot_confusion_matrix"
        )
    from scratchnet.results.plots.figure import Figure

    columns = columns_of(predictions)
    figure = Figure(figsize=(10, 4.4 * len(columns) + 0.3), dpi=120, layout="constrained")
    for (left, right), (name, predicted, true) in zip(
        figure.subplots(len(columns), 2, squeeze=False), columns, strict=True
    ):
        _points(left, true, predicted)
        ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
        left.plot(ends, ends, color=_LINE, linewidth=1, label="exactly right")
        left.legend(frameon=False, loc="upper left")
        error, score = float(mean_absolute_error(predicted, true)), float(r2(predicted, true))
        left.set_title(f"{name}mean absolute error {error:.4g}, R² {score:.4f}")
        left.set_xlabel("true value")
        left.set_ylabel("predicted value")
        _points(right, predicted, predicted - true)
        right.axhline(0, color=_LINE, linewidth=1)
        right.set_title(f"{name}residuals")
        right.set_xlabel("predicted value")
        right.set_ylabel("predicted - true")
        for axes in (left, right):
            axes.grid(alpha=0.3)
    figure.suptitle(title or f"{len(predictions):,} {predictions.thing}s", parse_math=False)
    save_figure(figure, path, overwrite)
    return figure


def columns_of(predictions: Predictions) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return a text, the predicted and the true numbers of each output; of many outputs, of all at once.

    The text is empty for one output. Numbers that are not finite are left out.
    """
    found = predictions.predicted.reshape(len(predictions), -1).astype(np.float64)
    true = predictions.targets.reshape(found.shape).astype(np.float64)
    outputs = found.shape[1]
    if outputs == 1 or outputs > _MOST_OUTPUTS:
        name = "" if outputs == 1 else f"all {outputs:,} outputs: "
        columns = [(name, found.reshape(-1), true.reshape(-1))]
    else:
        columns = [(f"output {i}: ", found[:, i], true[:, i]) for i in range(outputs)]
    kept = [np.isfinite(each) & np.isfinite(goal) for _, each, goal in columns]
    return [
        (name, each[which], goal[which]) for (name, each, goal), which in zip(columns, kept, strict=True)
    ]


def _points(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    if len(x) > _MOST_POINTS:
        axes.hexbin(x, y, gridsize=60, bins="log", cmap="Blues", mincnt=1, linewidths=0.2)
    else:
        axes.plot(x, y, "o", color=_POINT, markersize=4, alpha=0.5, markeredgewidth=0)
