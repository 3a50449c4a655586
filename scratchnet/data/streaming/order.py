"""The order of the rows of many files, computed from the index alone.

In each pass the files are put in a new order. So their rows are one long line. The line is cut into one
segment for each stream, and stream s gives leaf s of every batch; see `scratchnet.core.share.first_row`.
A stream reads its segment in windows, and mixes the rows of each. No array here has an entry for each
row of the data, except for the rows of one window.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from scratchnet.core.share import first_row


class Part(NamedTuple):
    """Rows `first` to `last` of a file."""

    file: int
    first: int
    last: int


class Line:
    """The rows of files, one file after the other.

    Args:
        rows: (files,), the number of rows of each file, in the order of the index.
        order: (files,), the numbers of the files in the order of the line.
    """

    def __init__(self, rows: np.ndarray, order: np.ndarray) -> None:
        self._order, self._ends = order, np.cumsum(rows[order])
        self._begins = self._ends - rows[order]

    def parts(self, first: int, last: int) -> Iterator[Part]:
        """Yield where rows `first` to `last` of the line are."""
        place = int(np.searchsorted(self._ends, first, side="right"))
        while first < last:
            begin, end = int(self._begins[place]), min(last, int(self._ends[place]))
            yield Part(int(self._order[place]), first - begin, end - begin)
            first, place = end, place + 1


class Streams(NamedTuple):
    """How a pass of batches is divided among streams.

    Attributes:
        samples: the number of rows in the line.
        batch_size: the number of rows of a batch; the last one may have fewer.
        streams: the number of streams.
        drop_last: whether a last batch that is shorter is left out.
    """

    samples: int
    batch_size: int
    streams: int
    drop_last: bool

    def size(self, batch: int) -> int:
        """Return the number of rows of a batch."""
        return min(self.batch_size, self.samples - batch * self.batch_size)

    def rows_before(self, stream: int, batch: int) -> int:
        """Return the position in a batch at which the leaf of a stream begins."""
        return first_row(self.size(batch), stream, self.streams)

    def leaf(self, stream: int, batch: int) -> int:
        """Return the number of rows that a stream gives to a batch."""
        return self.rows_before(stream + 1, batch) - self.rows_before(stream, batch)

    def segment(self, stream: int) -> tuple[int, int]:
        """Return the first row in the line of a stream, and the row after its last."""
        full, rest = divmod(self.samples, self.batch_size)
        rest = 0 if self.drop_last else rest

        def begin(stream: int) -> int:
            return sum(
                count * first_row(rows, stream, self.streams)
                for count, rows in ((full, self.batch_size), (1, rest))
            )

        return begin(stream), begin(stream + 1)


def order_of_files(files: int, seed: int, number: int) -> np.ndarray:
    """Return the order of the files in a pass of this number."""
    return np.random.default_rng([seed, number]).permutation(files)


def order_in_window(rows: int, seed: int, number: int, stream: int, window: int) -> np.ndarray:
    """Return the order of the rows in a window of a stream, in a pass of this number."""
    # A seed that ends in zeros is the same as one without them, hence the 1.
    return np.random.default_rng([seed, number, window, stream, 1]).permutation(rows)
