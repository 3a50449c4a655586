"""A stream: the rows of one segment of a pass, read in windows and mixed."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple, Self

import numpy as np

from scratchnet.data.streaming.index import FileIndex
from scratchnet.data.streaming.order import Line, Streams, order_in_window
from scratchnet.data.streaming.row_files import RowFile
from scratchnet.data.workers import read_ahead


class Reader:
    """Reads the rows of a line of files. It keeps the last file open.

    Args:
        index: the files.
        line: their order.
    """

    def __init__(self, index: FileIndex, line: Line) -> None:
        self._index, self._line = index, line
        self._file: RowFile | None = None
        self._number = -1

    def read(self, first: int, rows: int) -> list[np.ndarray]:
        """Return inputs, and targets if there are any, of rows from `first` on."""
        parts, done = list(self._line.parts(first, first + rows)), 0
        self._opened(parts[0].file)  # an array is made only for rows that a file has
        out = self._index.empty(rows)
        for part in parts:
            count = part.last - part.first
            self._opened(part.file).read(part.first, [each[done : done + count] for each in out])
            done += count
        return out

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file, self._number = None, -1

    def _opened(self, number: int) -> RowFile:
        if self._file is None or number != self._number:
            self.close()
            self._file, self._number = self._index.open(number), number
        return self._file

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


class Mix(NamedTuple):
    """How rows are mixed in a pass.

    Attributes:
        window: the number of rows that are read and mixed together.
        seed: for all passes; None mixes nothing.
        number: the number of the pass.
    """

    window: int
    seed: int | None
    number: int


class Stream:
    """Gives the rows of one leaf of every batch, one batch after the other.

    Args:
        index: the files.
        line: their order in the pass.
        plan: how batches are divided among streams.
        stream: the number of this one.
        mix: how rows are mixed.
        done: the number of batches that are done. The stream begins with the window of the next row.
        workers: the number of windows that are read ahead, 0 or 1.
    """

    def __init__(
        self, index: FileIndex, line: Line, plan: Streams, stream: int, mix: Mix, done: int, workers: int
    ) -> None:
        self._begin, self._end = plan.segment(stream)
        self._reader, self._stream, self._mix = Reader(index, line), stream, mix
        first, self._place = divmod(done * plan.leaf(stream, 0), mix.window)
        count = -(-(self._end - self._begin) // mix.window)
        self._windows = self._read(range(first, count), workers)
        self._held: tuple[np.ndarray, list[np.ndarray]] | None = None

    def take(self, out: Sequence[np.ndarray]) -> None:
        """Fill arrays of inputs and of targets with the next rows."""
        done = 0
        while done < len(out[0]):
            self.ready()
            done += self._copy([each[done:] for each in out])

    def ready(self) -> None:
        """Read the window of the next row, if it is not there yet."""
        if self._held is None:
            self._held = next(self._windows)

    def close(self) -> None:
        """Forget the window, and close the file."""
        self._held = None
        self._windows.close()
        self._reader.close()

    def _copy(self, out: Sequence[np.ndarray]) -> int:
        """Copy the next rows of the window, and forget it after its last. Return their number."""
        assert self._held is not None
        order, window = self._held
        some = order[self._place : self._place + len(out[0])]
        for rows, target in zip(window, out, strict=True):
            target[: len(some)] = rows[some]
        self._place += len(some)
        if self._place == len(order):
            self._held, self._place = None, 0
        return len(some)

    def _read(self, windows: range, workers: int) -> Generator[tuple[np.ndarray, list[np.ndarray]]]:
        yield from read_ahead(self._load, windows, workers)

    def _load(self, number: int) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the order of the rows of a window, and the rows as they are read."""
        size, seed = self._mix.window, self._mix.seed
        first = self._begin + number * size
        rows = min(size, self._end - first)
        # Read first: a wrong index may say more rows than there are, too many for an order of them.
        window = self._reader.read(first, rows)
        order = np.arange(rows)
        if seed is not None:
            order = order_in_window(rows, seed, self._mix.number, self._stream, number)
        return order, window

    def __enter__(self) -> Self:
        """Return the stream."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
