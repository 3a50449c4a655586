"""A loader of rows in many files, of which it holds only a window at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from scratchnet.core.share import part
from scratchnet.data.applied import Applied
from scratchnet.data.batches import Batch, as_batch, in_shares
from scratchnet.data.loader import DataLoader
from scratchnet.data.streaming.index import read_index
from scratchnet.data.streaming.order import Line, Streams, order_of_files
from scratchnet.data.streaming.stream import Mix, Reader, Stream
from scratchnet.errors import CheckpointError, SettingError
from scratchnet.layers.arguments import size

_WINDOW_BYTES = 1 << 26


class StreamingDataLoader(DataLoader):
    """Reads a data set in many files, which need not fit into memory, or onto one machine.

        index = sn.index_files("garments")
        loader = sn.StreamingDataLoader(index, batch_size=128)

    In each pass the files come in a new order. The rows are read in this order, a window at a time, and
    the rows of a window are mixed. So a batch mixes rows that lie close together: spread the samples of
    each class over all files. The order depends on the seed and the number of the pass only. A resumed
    training run begins to read at the window where it stopped.

    In data-parallel training each process reads the rows of its own shards alone, from only the files
    that hold them.

    Args:
        index: the path of the index; see `index_files`. It is read once; a file is opened when its rows
            are needed.
        batch_size: the number of samples per batch. The last batch may be shorter.
        shuffle: False reads the rows in the order of the index.
        seed: for the order of each pass, and for random transforms.
        window: the number of rows that are read and mixed together. More rows are mixed better, and
            take more memory: a process holds one window for each of its shards, and one if it trains
            alone. None takes 64 MB of rows.
        drop_last: whether training leaves out a last batch that is shorter. These rows are others in
            each pass. Evaluation leaves out none.
        workers: 1 reads each next window in a thread, and so holds two of them. 0 reads in the training
            loop. The batches are the same.
        transform: a function of a batch's inputs on the device; see `sn.transforms`. Random transforms
            act only in training.
        target_transform: the same for targets.
        mode: "train" or "valid".

    Attributes:
        streams: at how many places in the data the last pass reads at the same time: 1, or the number
            of shards of data-parallel training. With another number the batches are other ones.

    Raises:
        DataNotFoundError: the index, or a file when it is opened, is not there.
        DataError: the index is damaged; or a file, when it is opened, is another one than the index
            describes; or a row has NaN or infinity.
        SettingError: a setting is out of its range, or the index is no path.
    """

    def __init__(
        self,
        index: str | os.PathLike[str],
        batch_size: int = 32,
        *,
        shuffle: bool = True,
        seed: int = 231,
        window: int | None = None,
        drop_last: bool = False,
        workers: int = 0,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        mode: str = "train",
    ) -> None:
        if not isinstance(shuffle, (bool, np.bool_)):
            raise SettingError(f"StreamingDataLoader: shuffle is {shuffle!r}; it must be True or False")
        if size("StreamingDataLoader", "workers", workers, 0) > 1:
            raise SettingError(f"StreamingDataLoader: workers is {workers}; it must be 0 or 1")
        self.index, self.workers, self.streams = read_index(index), workers, 1
        self.source = self.index.path.parent.name
        self._rows = self.index.rows
        self._begin(int(self._rows.sum()), batch_size, seed, shuffle, drop_last, mode)
        window = max(1, _WINDOW_BYTES // self.index.row_bytes) if window is None else window
        self.window = size("StreamingDataLoader", "window", window)
        self._applied = Applied(transform, target_transform, seed)
        self._fingerprint = self.index.digest()

    def __iter__(self) -> Iterator[Batch]:
        """Yield one training pass. Its order depends on the seed and the number of earlier passes."""
        self._orders().passes += 1
        mine = part.get()
        self.streams = 1 if mine is None else mine.streams
        return self.rest(0)

    def rest(self, done: int) -> Iterator[Batch]:
        """Yield the rest of the last pass, after this many batches. Nothing is read of these.

        Raises:
            SettingError: the pass began with another number of shards.
        """
        mine, orders = part.get(), self._orders()
        streams = 1 if mine is None else mine.streams
        if streams != self.streams:
            raise SettingError(
                f"StreamingDataLoader: the pass began with {self.streams} shards, and is to go on with "
                f"{streams}, which have other batches; go on with data_parallel(shards={self.streams})"
            )
        plan = Streams(self.num_samples, self.batch_size, streams, orders.drop_last)
        if mine is None:
            read = self._read(plan, range(1), orders.passes - 1, done)
        else:
            own = mine.share(streams)  # of as many rows as leaves: each row is a leaf
            leaves = range(own.first, own.first + own.rows)
            totals = map(plan.size, range(done, self.num_batches))
            read = in_shares(mine, self._read(plan, leaves, orders.passes - 1, done), totals)
        return self._applied.in_pass(orders.passes, read, done)

    def fingerprint(self) -> str:
        """Return a SHA-256 of the index, and so of the names, rows and digests of all files."""
        return self._fingerprint

    def state_dict(self) -> dict[str, Any]:
        """Return the number of started passes, and what their orders and batches depend on."""
        return {**super().state_dict(), "streams": self.streams}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after this number of passes.

        Raises:
            CheckpointError: the state is of other data, or of other batches.
        """
        super().load_state_dict(state)
        streams = state.get("streams")
        if type(streams) is not int or streams < 1:
            raise CheckpointError(f"its number of streams is {streams!r}")
        self.streams = streams

    def _identity(self) -> dict[str, Any]:
        return {**super()._identity(), "window": self.window}

    def _evaluated(self, rank: int, ranks: int) -> Iterator[Batch]:
        batches = self._read_in_order(range(rank, self.num_evaluated, ranks))
        return map(self._applied.in_evaluation, batches)

    def _read(self, plan: Streams, leaves: range, number: int, done: int) -> Iterator[Batch]:
        """Yield these leaves of each batch of the pass of this number, or a row if they have none."""
        files = len(self._rows)
        seed = self.seed if self.shuffle else None
        order = np.arange(files) if seed is None else order_of_files(files, seed, number)
        line, mix = Line(self._rows, order), Mix(self.window, seed, number)
        with ExitStack() as held:
            streams = [
                held.enter_context(Stream(self.index, line, plan, each, mix, done, self.workers))
                for each in leaves
            ]
            for batch in range(done, self.num_batches):
                counts = [plan.leaf(each, batch) for each in leaves]
                if not any(counts):
                    yield _batch(self._placeholder(line, plan, leaves))
                    continue
                for stream, count in zip(streams, counts, strict=True):
                    if count:
                        stream.ready()  # an array is made only for rows that a file has
                out, begin = self.index.empty(sum(counts)), 0
                for stream, count in zip(streams, counts, strict=True):
                    stream.take([each[begin : begin + count] for each in out])
                    begin += count
                yield _batch(out)

    def _placeholder(self, line: Line, plan: Streams, leaves: range) -> list[np.ndarray]:
        """Return one row, which counts nothing; one of these leaves if they have any."""
        with Reader(self.index, line) as reader:
            return reader.read(min(plan.segment(leaves[0])[0], self.num_samples - 1), 1)

    def _read_in_order(self, batches: range) -> Iterator[Batch]:
        with Reader(self.index, Line(self._rows, np.arange(len(self._rows)))) as reader:
            for first in (batch * self.batch_size for batch in batches):
                yield _batch(reader.read(first, min(self.batch_size, self.num_samples - first)))


def _batch(arrays: list[np.ndarray]) -> Batch:
    """Return inputs, and targets if there are any, as a batch on the device."""
    return as_batch((*arrays, None)[:2])
