"""Whether a larger figure is a better one, by its name."""

from __future__ import annotations

_GROW = "accuracy", "precision", "recall", "f1", "r2", "auc", "top_k"


def larger_is_better(name: str) -> bool:
    """Return whether a figure of this name should grow, such as `valid_accuracy` and `macro_f1`.

    These are accuracy, precision, recall, f1, r2, auc, top_k, and names that end so. Every other figure
    should shrink.
    """
    return name.endswith(_GROW)
