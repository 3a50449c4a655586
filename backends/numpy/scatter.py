"""Adding rows to the rows of an array that an index names, on the CPU."""

from __future__ import annotations

import numpy as np

_NARROW = 64
_SMALL = 1 << 16
_FEW = 16
"""Up to so many rows of the target get the rest of their values row by row."""


def add_rows(target: np.ndarray, index: np.ndarray, values: np.ndarray) -> None:
    """Compute `Backend.scatter_add`, with the same bits as if the values were added one by one.

    Values of many columns are added in rounds: first to each row of the target its first value, then its
    second one, and so on. Each round is one addition of two matrices.
    """
    rows, columns = len(target), target[:1].size
    index, values = index.reshape(-1), values.reshape(-1, columns or 1)
    if columns < _NARROW or values.size < _SMALL or index.min() < 0 or index.max() >= rows:
        _add_elements(target, index, values)
        return
    index = index.astype(np.uint16 if rows <= 1 << 16 else np.intp)  # NumPy sorts 16 bits much faster
    order = index.argsort(kind="stable")
    index = index[order]
    first = np.flatnonzero(np.concatenate(([True], index[1:] != index[:-1])))
    count = np.diff(first, append=len(index))
    longest_first = np.argsort(-count, kind="stable")
    first, count = first[longest_first], count[longest_first]
    target = target.reshape(rows, columns)
    sums = target[index[first]]
    more_than = len(first) - np.cumsum(np.bincount(count))  # how many rows get more than 0, 1, … values
    done = int(np.argmax(more_than < _FEW))
    for number, many in enumerate(more_than[:done].tolist()):
        sums[:many] += values.take(order[first[:many] + number], axis=0)
    for row in range(more_than[done]):
        rest = values.take(order[first[row] + done : first[row] + count[row]], axis=0)
        rest[0] += sums[row]
        np.add.reduce(rest, axis=0, out=sums[row])  # along this axis it adds one row after the other
    target[index[first]] = sums


def _add_elements(target: np.ndarray, index: np.ndarray, values: np.ndarray) -> None:
    """Add element by element, because NumPy's `add.at` is fast only in one dimension."""
    if target.ndim > 1:
        columns = target[:1].size
        index = index.astype(np.intp)[:, None] * columns + np.arange(columns)
    np.add.at(target.reshape(-1), index.reshape(-1), values.reshape(-1))
