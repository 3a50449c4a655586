"""Pictures of a training run and of its network. Each is a matplotlib Figure and needs no display."""

from scratchnet.results.plots.confusion import plot_confusion_matrix
from scratchnet.results.plots.images import plot_images
from scratchnet.results.plots.metrics import plot_metrics
from scratchnet.results.plots.regression import plot_predictions
from scratchnet.results.plots.saving import check_plot_path
from scratchnet.results.plots.weights import plot_weights

__all__ = [
    "check_plot_path",
    "plot_confusion_matrix",
    "plot_images",
    "plot_metrics",
    "plot_predictions",
    "plot_weights",
]
