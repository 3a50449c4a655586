"""Data in many files: the order of their rows, and a loader that holds a window of them at a time."""

import json
import shutil
import tracemalloc
from itertools import chain, product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from arrays import host
from hypothesis import given, settings
from hypothesis import strategies as st
from ranks import on_ranks

import scratchnet as sn
from scratchnet.core.share import first_row, part, share, whole_batches
from scratchnet.data.streaming.index import FileIndex
from scratchnet.data.streaming.order import order_in_window, order_of_files
from scratchnet.data.streaming.row_files import RowFile
from scratchnet.training.parallel.rows import Rows


def written(folder, sizes, width=1):
    """Write files whose rows hold their number in the data, and return their index."""
    first = 0
    for number, size in enumerate(sizes):
        rows = np.arange(first, first + size)
        inputs = np.repeat(rows[:, None], width, axis=1).astype(np.float32)
        np.savez(Path(folder, f"part-{number:03}.npz"), inputs=inputs, targets=rows)
        first += size
    return sn.index_files(folder)


@pytest.fixture
def index(tmp_path):
    return written(tmp_path, [13, 1, 30, 22, 8, 5])  # 79 rows


class Ranks:
    """One of several processes that share each batch, which is cut into `streams` leaves."""

    def __init__(self, streams, rank=0, ranks=1):
        self.streams, self.rank, self.ranks = streams, rank, ranks

    def share(self, total):
        first, end = (first_row(total, each, self.ranks) for each in (self.rank, self.rank + 1))
        return Rows(first, end - first, total)

    def reading(self, batches):
        return iter(batches)


def passed(loader, *ranks, done=None):
    """Yield the batches of a pass of one process, or the rest of one."""
    with whole_batches():
        part.set(Ranks(*ranks) if ranks else None)
        yield from loader if done is None else loader.rest(done)


def rows_of(batches):
    """Return the rows of each batch, and check that inputs and targets are of the same rows."""
    found = []
    for inputs, targets in batches:
        np.testing.assert_array_equal(host(inputs)[:, 0], host(targets))
        counts = share.get() is None or share.get().rows
        assert counts or len(host(targets)) == 1  # a placeholder
        found.append(host(targets).tolist() if counts else [])
    return found


def leaf(rows, stream, streams):
    first, end = (first_row(len(rows), each, streams) for each in (stream, stream + 1))
    return rows[first:end]


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=7),
    batch_size=st.integers(1, 25),
    streams=st.sampled_from([1, 2, 4, 8]),
    window=st.integers(1, 40),
    drop_last=st.booleans(),
    shuffle=st.booleans(),
    data=st.data(),
)
def test_a_pass(sizes, batch_size, streams, window, drop_last, shuffle, data):
    total = sum(sizes)
    batch_size = min(batch_size, total)
    options = {"window": window, "drop_last": drop_last, "shuffle": shuffle}
    with TemporaryDirectory() as folder:
        index = written(folder, sizes)
        first = sn.StreamingDataLoader(index, batch_size, **options)
        batches = rows_of(passed(first, streams))

        # Every row comes once, in batches of the right sizes.
        full, rest = divmod(total, batch_size)
        assert [*map(len, batches)] == [batch_size] * full + [rest] * (rest > 0 and not drop_last)
        assert len(batches) == len(first)
        rows = [row for batch in batches for row in batch]
        assert len(set(rows)) == len(rows) == (full * batch_size if drop_last else total)

        # Leaf s of each batch is of segment s of the line of files, mixed within windows.
        ends = np.cumsum(sizes)
        files = order_of_files(len(sizes), 231, 0) if shuffle else range(len(sizes))
        line = [row for file in files for row in range(ends[file] - sizes[file], ends[file])]
        for stream in range(streams):
            given_here = [row for batch in batches for row in leaf(batch, stream, streams)]
            segment, line = line[: len(given_here)], line[len(given_here) :]
            for at in range(0, len(segment), window):
                mixed, plain = given_here[at : at + window], segment[at : at + window]
                assert sorted(mixed) == sorted(plain) if shuffle else mixed == plain

        # Any number of processes gets the same batches.
        for ranks in (each for each in (2, 4) if streams % each == 0):
            dealt = [
                rows_of(
                    passed(sn.StreamingDataLoader(index, batch_size, **options), streams, rank, ranks)
                )
                for rank in range(ranks)
            ]
            assert [[*chain(*parts)] for parts in zip(*dealt, strict=True)] == batches

        # A pass goes on after any batch.
        done = data.draw(st.integers(0, len(batches)))
        assert rows_of(passed(first, streams, done=done)) == batches[done:]
        second = sn.StreamingDataLoader(index, batch_size, **options)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert rows_of(passed(second, streams, done=done)) == batches[done:]

        # Evaluation has all rows as they lie, and its batches can be dealt too.
        whole = rows_of(first.in_order())
        assert [*chain(*whole)] == list(range(total))
        assert len(whole) == first.num_evaluated
        assert rows_of(first.dealt(1, 3)) == whole[1::3]


def test_each_pass_and_each_seed_has_another_order(index):
    same, other = (
        sn.StreamingDataLoader(index, window=20),
        sn.StreamingDataLoader(index, window=20, seed=5),
    )
    passes = [rows_of(each) for each in (same, same, other)]
    assert len({str(each) for each in passes}) == 3
    assert rows_of(sn.StreamingDataLoader(index, window=20)) == passes[0]
    files = [[row for batch in each for row in batch][:5] for each in passes]
    assert len({max(each) // 20 for each in files}) > 1  # the files are mixed too, not only the rows
    kept = sn.StreamingDataLoader(index, shuffle=False)
    assert rows_of(kept) == rows_of(kept) == rows_of(kept.in_order())


def test_no_two_windows_are_mixed_alike():
    drawn = [order_in_window(30, *each) for each in product((0, 7), (0, 1), (0, 1), (0, 1))]
    drawn += [order_of_files(30, *each) for each in product((0, 7), (0, 1))]
    assert len({str(each) for each in drawn}) == 16 + 4


def test_a_window_that_is_read_ahead_is_the_same(index):
    for streams in (1, 4):
        plain, ahead = (sn.StreamingDataLoader(index, 8, window=7, workers=each) for each in (0, 1))
        assert rows_of(passed(plain, streams)) == rows_of(passed(ahead, streams))
        assert rows_of(passed(plain, streams, done=3)) == rows_of(passed(ahead, streams, done=3))


def test_a_process_without_rows_gets_one_that_counts_nothing(index):
    parts = [rows_of(passed(sn.StreamingDataLoader(index, 39), 4, rank, 4)) for rank in range(4)]
    assert [len(each[-1]) for each in parts] == [1, 0, 0, 0]
    few = [rows_of(passed(sn.StreamingDataLoader(index, 100), 128, rank, 128)) for rank in range(128)]
    assert sorted(chain(*chain(*few))) == list(range(79))


def test_a_pass_does_not_go_on_with_other_shards(index):
    read = sn.StreamingDataLoader(index, 8)
    rows_of(passed(read, 4))
    other = sn.StreamingDataLoader(index, 8)
    other.load_state_dict(read.state_dict())
    for each in (read, other):
        with pytest.raises(sn.SettingError, match="began with 4 shards, and is to go on with 2"):
            rows_of(passed(each, 2, done=3))
    assert rows_of(passed(other, 2)) != rows_of(passed(read, 4))
    with pytest.raises(sn.CheckpointError, match="its number of streams is 0"):
        read.load_state_dict(read.state_dict() | {"streams": 0})


@pytest.fixture
def opened(monkeypatch):
    """The names of the files that are opened."""
    names, plain = [], FileIndex.open
    monkeypatch.setattr(
        FileIndex, "open", lambda self, n: names.append(self.entries[n].names[0]) or plain(self, n)
    )
    return names


@pytest.mark.parametrize(("size", "last", "shared"), [(10, 10, 0), (13, 9, 3)])
def test_a_process_reads_the_files_of_its_streams_alone(tmp_path, opened, size, last, shared):
    index = written(tmp_path, [size] * 199 + [last])
    taken = []
    for rank in range(4):
        opened.clear()
        for _ in passed(sn.StreamingDataLoader(index, 16, window=25), 4, rank, 4):
            pass
        assert len(opened) == len(set(opened))
        taken.append(set(opened))
    assert len(set.union(*taken)) == 200
    assert sum(map(len, taken)) == 200 + shared  # neighbors share at most one


def test_a_row_that_counts_nothing_is_of_a_file_that_the_process_reads_anyway(tmp_path, opened):
    index = written(tmp_path, [17] + [8] * 6)  # the last batch has one row, of the first stream
    for rank in 1, 2, 3:
        opened.clear()
        rows_of(passed(sn.StreamingDataLoader(index, 16, shuffle=False), 4, rank, 4))
        assert set(opened) == {f"part-{file:03}.npz" for file in (2 * rank - 1, 2 * rank)}


def test_a_resumed_pass_reads_nothing_of_what_came_before(tmp_path, opened):
    resumed = sn.StreamingDataLoader(written(tmp_path, [10] * 200), 16, window=25)
    rows_of(passed(resumed, 4))
    for rank in range(4):
        opened.clear()
        rows_of(passed(resumed, 4, rank, 4, done=100))
        assert len(opened) == 10  # the last 100 rows of 500


@pytest.mark.parametrize("workers", [0, 1])
def test_memory_is_that_of_the_windows_for_any_number_of_files(tmp_path, workers):
    def peak(files):
        folder = tmp_path / str(files)
        folder.mkdir()
        index = written(folder, [50] * files, width=1000)
        read = sn.StreamingDataLoader(index, 64, window=100, workers=workers)
        tracemalloc.start()
        try:
            for _ in passed(read, 4, 0, 2):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(20), peak(200)  # 4 and 40 MB; a window has 0.4 MB
    assert many < few + 1e6  # a thread may be a window or two ahead
    assert many < (2 * (1 + workers) * 0.4 + 2.5) * 1e6


def test_four_processes_read_200_files_in_flat_memory(tmp_path):
    index = written(tmp_path, [50] * 200, width=1000)  # 40 MB
    ended = on_ranks(4, "stream_files.py", index)
    assert ended.returncode == 0, ended.stderr
    *batches, growths = map(json.loads, ended.stdout.splitlines())
    assert batches == rows_of(passed(sn.StreamingDataLoader(index, 64, window=100), 4))
    assert max(growths) < 3000  # kB; the rows of a process are 10 MB


class StopAfter(sn.Callback):
    """Ends the training run after so many batches, in the middle of an epoch."""

    needs_batches = True

    def __init__(self, batches):
        self.left = batches

    def on_batch_end(self, batch, logs):
        self.left -= 1
        if not self.left:
            self.learner.stop()

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def a_learner(index, shards):
    train = sn.StreamingDataLoader(index, 8, window=30, transform=lambda x: x / 40 - 1)
    net = sn.Sequential(sn.Linear(3, 8, rng=0), sn.tanh, sn.Linear(8, 80, rng=1))
    metrics = sn.MetricsCollector(None, train, sn.softmax_loss, capture=False)
    sgd = sn.SGD(net.parameters(), 0.1, momentum=0.9)
    learner = sn.Learner(train, net, sgd, sn.softmax_loss, metrics, capture=False)
    learner.shards = shards
    return learner


def test_a_resumed_training_run_has_the_same_bits(tmp_path, backend):
    resume(tmp_path, None)


def test_a_resumed_training_run_with_shards_has_the_same_bits(tmp_path):
    resume(tmp_path, 2)


def resume(tmp_path, shards):
    index = written(tmp_path, [13, 1, 30, 22, 8, 5], width=3)
    path = tmp_path / "run.safetensors"
    whole, first, second = (a_learner(index, shards) for _ in range(3))
    whole.fit(4, report=None)
    first.fit(4, report=None, callbacks=[StopAfter(14)], checkpoint=path)  # an epoch has 10 batches
    second.resume(path)
    assert (second.epochs, second.batches_done) == (1, 4 if shards is None else 5)
    second.fit(3, report=None)
    assert first.train.streams == second.train.streams == (shards or 1)
    for mine, theirs in zip(second.net.parameters(), whole.net.parameters(), strict=True):
        np.testing.assert_array_equal(host(mine), host(theirs))
    assert second.history["valid_loss"] == whole.history["valid_loss"]
    assert whole.history["valid_loss"][-1] < whole.history["valid_loss"][0]


@pytest.mark.parametrize("change", [{"window": 9}, {"batch_size": 9}, {"seed": 9}, {"shuffle": False}])
def test_a_state_of_other_batches_is_refused(index, change):
    state = sn.StreamingDataLoader(index, window=30).state_dict()
    with pytest.raises(sn.CheckpointError, match=r"^its train data are [^\n]*; give those it was made"):
        sn.StreamingDataLoader(index, **{"window": 30, **change}).load_state_dict(state)


def test_a_state_of_another_index_is_refused(index, tmp_path):
    state = sn.StreamingDataLoader(index).state_dict()
    moved = tmp_path / "elsewhere"
    shutil.copytree(index.parent, moved)
    sn.StreamingDataLoader(moved / "index.json").load_state_dict(state)
    written(moved, [13, 1, 30, 22, 8, 5], width=2)
    with pytest.raises(sn.CheckpointError, match="with fingerprint"):
        sn.StreamingDataLoader(moved / "index.json").load_state_dict(state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shuffle": "batches"}, "shuffle is 'batches'; it must be True or False"),
        ({"workers": 2}, "workers is 2; it must be 0 or 1"),
        ({"window": 0}, "window is 0; it must be a positive integer"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 80, "drop_last": True}, "no batch is left"),
        ({"mode": "test"}, "mode is 'test'"),
    ],
)
def test_settings_are_checked(index, options, message):
    with pytest.raises(sn.SettingError, match=message):
        sn.StreamingDataLoader(index, **options)


def test_a_loader_that_is_left_closes_its_files(index, opened, monkeypatch):
    closed = []
    plain = RowFile.close
    monkeypatch.setattr(RowFile, "close", lambda self: closed.append(self) or plain(self))
    batches = iter(sn.StreamingDataLoader(index, workers=1, window=3))
    next(batches)
    del batches
    assert len(closed) == len(opened) > 0
