"""A gradient in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from backends import Array

_MOST_VALUES = 8


@dataclass(frozen=True, eq=False)
class Gradient:
    """The numbers of a gradient, as they were when it passed.

    Attributes:
        shape: of the array.
        norm: the root of the sum of its squares.
        low, high: the smallest and the largest element, NaN if one is; 0 where there is none.
        not_finite: how many elements are NaN or infinite.
        values: the elements, on the host, where they are at most 8; else None.
    """

    shape: tuple[int, ...]
    norm: float
    low: float
    high: float
    not_finite: int
    values: np.ndarray | None

    @classmethod
    def of(cls, array: np.ndarray) -> Gradient:
        """Those of a host array."""
        numbers = array.astype(np.float64)
        low, high = (float(numbers.min()), float(numbers.max())) if array.size else (0.0, 0.0)
        not_finite = array.size - int(np.isfinite(numbers).sum())
        values = numbers if array.size <= _MOST_VALUES else None
        return cls(array.shape, float(norm(numbers, np)), low, high, not_finite, values)

    def __str__(self) -> str:
        """Shape, and the elements, or their norm, the smallest and the largest."""
        if self.values is None:
            within = (
                f"{self.low:.3g} … {self.high:.3g}" if self.low != self.high else f"all {self.low:.3g}"
            )
            lost = f", {self.not_finite} NaN or infinite" if self.not_finite else ""
            return f"{self.shape}  norm {self.norm:.4g}, {within}{lost}"
        if self.values.ndim == 0:
            return f"{self.shape}  {self.values:.5g}"
        text = np.array2string(self.values, precision=4).replace("[ ", "[")
        return f"{self.shape}  {' '.join(text.split())}"


def norm(array: Array, library: Any) -> Array:
    """The Euclidean norm, also of what has squares that are no float64: computed where the array lies.

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
