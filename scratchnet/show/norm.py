"""The Euclidean norm, also where a square would be no number any more."""

from __future__ import annotations

from typing import Any

import numpy as np

from backends import Array


def norm(array: Array, library: Any) -> Array:
    """The root of the sum of the squares, float64 and computed where the array lies.

    Args:
        array: of any shape.
        library: the array's: `np`, or `xp`.
    """
    if array.size == 0:
        return library.zeros(())
    with np.errstate(all="ignore"):  # what has no finite norm is shown so
        sizes = abs(array.astype(np.float64))
        largest = sizes.max()
        usual = (largest > 0) & (largest < np.inf)
        scale = library.where(usual, largest, 1.0)  # squares of what is divided by it are at most 1
        return scale * library.sqrt(library.square(sizes / scale).sum())
