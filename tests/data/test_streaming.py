"""Data in many files: the order of their rows, and a loader that holds a window of them at a time."""

import json
import shutil
import sys
import tracemalloc
from itertools import chain, product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from arrays import host
from hypothesis import given, settings
from hypothesis import strategies as st
from needed import needs
from processes import run

import scratchnet as sn
from scratchnet.data.streaming.index import FileIndex
from scratchnet.data.streaming.order import order_in_window, order_of_files


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


def loader(index, batch_size=8, streams=1, **options):
    made = sn.StreamingDataLoader(index, batch_size, **options)
    made.streams = streams
    return made


def rows_of(batches):
    """Return the rows of each batch, and check that inputs and targets are of the same rows."""
    found = [(host(inputs), host(targets)) for inputs, targets in batches]
    for inputs, targets in found:
        np.testing.assert_array_equal(inputs[:, 0], targets)
    return [targets.tolist() for _, targets in found]


def leaf(rows, stream, streams):
    return rows[len(rows) * stream // streams : len(rows) * (stream + 1) // streams]


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
    options = {"window": window, "drop_last": drop_last, "shuffle": shuffle, "streams": streams}
    with TemporaryDirectory() as folder:
        index = written(folder, sizes)
        first = loader(index, batch_size, **options)
        batches = rows_of(first)

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
            own = streams // ranks
            dealt = [
                rows_of(loader(index, batch_size, **options).pass_of(
                    range(rank * own, (rank + 1) * own), streams, 0
                ))
                for rank in range(ranks)
            ]  # fmt: skip
            assert [[*chain(*parts)] for parts in zip(*dealt, strict=True)] == batches

        # A pass goes on after any batch.
        done = data.draw(st.integers(0, len(batches)))
        assert rows_of(first.rest(done)) == batches[done:]
        second = loader(index, batch_size, **options)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert rows_of(second.rest(done)) == batches[done:]
        if done:
            assert rows_of(second.pass_of(range(streams), streams, done)) == batches[done:]

        # Evaluation has all rows as they lie, and its batches can be dealt too.
        whole = rows_of(first.in_order())
        assert [*chain(*whole)] == list(range(total))
        assert len(whole) == first.num_evaluated
        assert rows_of(first.in_order(1, 3)) == whole[1::3]


def test_each_pass_and_each_seed_has_another_order(index):
    same, other = loader(index, window=20), loader(index, window=20, seed=5)
    passes = [rows_of(each) for each in (same, same, other)]
    assert len({str(each) for each in passes}) == 3
    assert rows_of(loader(index, window=20)) == passes[0]
    files = [[row for batch in each for row in batch][:5] for each in passes]
    assert len({max(each) // 20 for each in files}) > 1  # the files are mixed too, not only the rows
    kept = loader(index, shuffle=False)
    assert rows_of(kept) == rows_of(kept) == rows_of(kept.in_order())


def test_no_two_windows_are_mixed_alike():
    drawn = [order_in_window(30, *each) for each in product((0, 7), (0, 1), (0, 1), (0, 1))]
    drawn += [order_of_files(30, *each) for each in product((0, 7), (0, 1))]
    assert len({str(each) for each in drawn}) == 16 + 4


def test_a_window_that_is_read_ahead_is_the_same(index):
    for streams in (1, 4):
        plain, ahead = (loader(index, streams=streams, window=7, workers=each) for each in (0, 1))
        assert rows_of(plain) == rows_of(ahead)
        assert rows_of(plain.rest(3)) == rows_of(ahead.rest(3))


def test_the_rows_of_a_batch_that_is_too_small_for_a_leaf(index):
    parts = [rows_of(loader(index, 39).pass_of(range(s, s + 1), 4, 0)) for s in range(4)]
    assert [len(each[-1]) for each in parts] == [0, 0, 0, 1]
    inputs, _ = [*loader(index, 39).pass_of(range(1), 4, 0)][-1]
    assert inputs.shape == (0, 1)


@pytest.fixture
def opened(monkeypatch):
    """The names of the files that are opened."""
    names, plain = [], FileIndex.open
    monkeypatch.setattr(
        FileIndex, "open", lambda self, n: names.append(self.entries[n].names[0]) or plain(self, n)
    )
    return names


@pytest.mark.parametrize(("size", "last", "shared"), [(10, 10, 0), (13, 7, 3)])
def test_a_process_reads_the_files_of_its_streams_alone(tmp_path, opened, size, last, shared):
    index = written(tmp_path, [size] * 199 + [last])
    taken = []
    for rank in range(4):
        opened.clear()
        for _ in loader(index, 16, window=25).pass_of(range(rank, rank + 1), 4, 0):
            pass
        assert len(opened) == len(set(opened)) <= 51
        taken.append(set(opened))
    assert len(set.union(*taken)) == 200
    assert sum(map(len, taken)) == 200 + shared  # neighbors share at most one


def test_a_resumed_pass_reads_nothing_of_what_came_before(tmp_path, opened):
    resumed = loader(written(tmp_path, [10] * 200), 16, window=25)
    rows_of(resumed.pass_of(range(4), 4, 0))
    for stream in range(4):
        opened.clear()
        rows_of(resumed.pass_of(range(stream, stream + 1), 4, 100))
        assert len(opened) == 10  # the last 100 rows of 500


@pytest.mark.parametrize("workers", [0, 1])
def test_memory_is_that_of_the_windows_for_any_number_of_files(tmp_path, workers):
    def peak(files):
        folder = tmp_path / str(files)
        folder.mkdir()
        read = loader(written(folder, [50] * files, width=1000), 64, 4, window=100, workers=workers)
        tracemalloc.start()
        try:
            for _ in read.pass_of(range(2), 4, 0):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(20), peak(200)  # 4 and 40 MB; a window has 0.4 MB
    assert many < 1.3 * few
    assert many < (2 * (1 + workers) * 0.4 + 2.5) * 1e6


MPI = """
import sys
from resource import RUSAGE_SELF, getrusage

from mpi4py import MPI

import scratchnet as sn
from scratchnet.training.parallel.group import Group

group = Group(MPI.COMM_WORLD)
loader = sn.StreamingDataLoader(sys.argv[1], 64, window=100)
early, rows = 0, []
for number, (inputs, targets) in enumerate(loader.pass_of(range(group.rank, group.rank + 1), 4, 0)):
    rows.append(",".join(map(str, targets.data.tolist())))
    if number == 20:
        early = getrusage(RUSAGE_SELF).ru_maxrss
grown = getrusage(RUSAGE_SELF).ru_maxrss - early
parts = [each.decode().split(";") for each in group.gather(";".join(rows).encode(), "rows")]
growths = [int(each) for each in group.gather(str(grown).encode(), "memory")]
if group.rank == 0:
    for batch in zip(*parts, strict=True):
        print(",".join(batch))
    print(growths)
"""


def test_four_processes_of_mpi_read_200_files_in_flat_memory(tmp_path):
    needs("mpi4py", "mpi")
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
    index = written(tmp_path, [50] * 200, width=1000)  # 40 MB
    ended = run(mpiexec, "-n", "4", sys.executable, "-c", MPI, str(index), limit=60)
    assert ended.returncode == 0, ended.stderr
    *batches, growths = ended.stdout.splitlines()
    assert [[*map(int, each.split(","))] for each in batches] == rows_of(
        loader(index, 64, 4, window=100)
    )
    assert max(json.loads(growths)) < 3000  # kB; the rows of a process are 10 MB


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


def a_learner(index, streams):
    train = loader(index, 8, streams, window=30, transform=lambda x: x / 40 - 1)
    net = sn.Sequential(sn.Linear(3, 8, rng=0), sn.tanh, sn.Linear(8, 80, rng=1))
    metrics = sn.MetricsCollector(None, train, sn.softmax_loss, capture=False)
    sgd = sn.SGD(net.parameters(), 0.1, momentum=0.9)
    return sn.Learner(train, net, sgd, sn.softmax_loss, metrics, capture=False)


def test_a_resumed_training_run_has_the_same_bits(tmp_path, backend):
    index = written(tmp_path, [13, 1, 30, 22, 8, 5], width=3)
    path = tmp_path / "run.safetensors"
    whole, first, second = (a_learner(index, streams=2) for _ in range(3))
    whole.fit(4, report=None)
    first.fit(4, report=None, callbacks=[StopAfter(14)], checkpoint=path)  # an epoch has 10 batches
    second.resume(path)
    assert second.batches_done == 4
    second.fit(3, report=None)
    for mine, theirs in zip(second.net.parameters(), whole.net.parameters(), strict=True):
        np.testing.assert_array_equal(host(mine), host(theirs))
    assert second.history["valid_loss"] == whole.history["valid_loss"]
    assert whole.history["valid_loss"][-1] < whole.history["valid_loss"][0]
    with pytest.raises(sn.CheckpointError, match=r"with streams 2, .* with streams 1; give"):
        a_learner(index, streams=1).resume(path)


@pytest.mark.parametrize(
    "change", [{"window": 9}, {"batch_size": 9}, {"seed": 9}, {"shuffle": False}, {"streams": 2}]
)
def test_a_state_of_other_batches_is_refused(index, change):
    state = loader(index, window=30).state_dict()
    with pytest.raises(sn.CheckpointError, match=r"^its train data are [^\n]*; give those it was made"):
        loader(index, **{"window": 30, **change}).load_state_dict(state)


def test_a_state_of_another_index_is_refused(index, tmp_path):
    state = loader(index).state_dict()
    moved = tmp_path / "elsewhere"
    shutil.copytree(index.parent, moved)
    loader(moved / "index.json").load_state_dict(state)
    written(moved, [13, 1, 30, 22, 8, 5], width=2)
    with pytest.raises(sn.CheckpointError, match="with fingerprint"):
        loader(moved / "index.json").load_state_dict(state)


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
        loader(index, **options)


def test_a_loader_that_is_left_closes_its_files(index, opened, monkeypatch):
    from scratchnet.data.streaming.row_files import RowFile

    closed = []
    plain = RowFile.close
    monkeypatch.setattr(RowFile, "close", lambda self: closed.append(self) or plain(self))
    batches = iter(loader(index, streams=2, workers=1, window=3))
    next(batches)
    del batches
    assert len(closed) == len(opened) > 0
