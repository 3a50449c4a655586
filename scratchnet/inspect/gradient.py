"""A gradient in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from backends import Array

_MOST_VALUES = 8


@dataclass(frozen=True, eq=False)
class Gradient:
    """The numbers of a gradient at the time when it passed.

    Attributes:
        shape: of the array.
        norm: the square root of the sum of the squares.
        low, high: the smallest and the largest element; NaN if one is NaN; 0 without elements.
        not_finite: the number of elements that are NaN or infinite.
        values: the elements, on the host, if there are at most 8; otherwise None.
    """

    shape: tuple[int, ...]
    norm: float
    low: float
    high: float
    not_finite: int
    values: np.ndarray | None

    @classmethod
    def of(cls, array: np.ndarray) -> Gradient:
        """Return the numbers of a host array."""
        numbers = array.astype(np.float64)
        low, high = (float(numbers.min()), float(numbers.max())) if array.size else (0.0, 0.0)
        not_finite = array.size - int(np.isfinite(numbers).sum())
        values = numbers if array.size <= _MOST_VALUES else None
        return cls(array.shape, float(norm(numbers, np)), low, high, not_finite, values)

    def __str__(self) -> str:
        """Return shape and elements; for many elements their norm, the smallest and the largest."""
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
    """Return the Euclidean norm, computed where the array lies, also if squares exceed float64.

    Args:
        array: of any shape.
        library: the array's library: `np`, or `xp`.
    """
    if array.size == 0:
        return library.zeros(())
    with np.errstate(all="ignore"):  # shown if there is no finite norm
        sizes = abs(array.astype(np.float64))
        largest = sizes.max()
        usual = (largest > 0) & (largest < np.inf)
        scale = library.where(usual, largest, 1.0)  # after division by it, squares are at most 1
        return scale * library.sqrt(library.square(sizes / scale).sum())
