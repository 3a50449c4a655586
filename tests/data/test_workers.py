"""Workers read ahead: the same batches for any number of them, and nothing left of them at the end."""

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import weakref
from functools import partial

import numpy as np
import pytest
from processes import PIPE, python, started

import backends
import scratchnet as sn
from scratchnet.data.samples import load_samples
from scratchnet.data.workers import read_ahead

TYPES = ["thread", "process"]


class Numbers(sn.Dataset):
    """Samples that are made from their index, and one that fails."""

    def __init__(self, bad=None, delay=0.0):
        self.bad, self.delay = bad, delay

    def __len__(self):
        return 1000

    def __getitem__(self, index):
        time.sleep(self.delay * (index % 3))
        if index == self.bad:
            raise KeyError("no such\nfile")
        rng = np.random.default_rng(index)
        return {"x": rng.standard_normal((3, 40)), "n": index}, np.int8(index % 7), 0.5


class Whole(Numbers):
    """The same, read as whole batches."""

    def batch(self, indices):
        if self.bad in indices:
            raise ValueError(f"{len(indices)} rows")
        return np.asfortranarray(indices[:, None] * np.ones(3)), None


class Dying(Numbers):
    def __getitem__(self, index):
        if index == self.bad:
            os.kill(os.getpid(), signal.SIGKILL)
        return index


class Fussy(Exception):
    def __init__(self, one, two):
        super().__init__(one)


class Unpicklable(Numbers):
    def __getitem__(self, index):
        raise Fussy(1, 2)


class Elsewhere:
    """Can be pickled here, but not be found where it is unpickled."""

    def __reduce__(self):
        return _missing, ()


def _missing():
    raise ModuleNotFoundError("no module named 'mine'")


def orders(count=12, size=8):
    return np.random.default_rng(0).permutation(count * size).reshape(count, size)


def read(dataset, workers, worker_type="thread", given=None):
    return read_ahead(
        partial(load_samples, dataset), iter(orders() if given is None else given), workers, worker_type
    )


def assert_nothing_is_left():
    assert multiprocessing.active_children() == []
    assert [each.name for each in threading.enumerate() if "scratchnet" in each.name] == []


@pytest.mark.parametrize("worker_type", TYPES)
@pytest.mark.parametrize("workers", [1, 3, 20])
def test_the_order_and_the_bits_are_the_same_for_any_number_of_workers(worker_type, workers):
    expected = list(read(Numbers(), 0))
    assert [targets.tolist() for _, targets, _ in expected] == (orders() % 7).tolist()
    found = list(read(Numbers(delay=0.001), workers, worker_type))
    assert len(found) == len(expected) == 12
    for one, other in zip(expected, found, strict=True):
        for a, b in zip((*one[0].values(), *one[1:]), (*other[0].values(), *other[1:]), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
            assert b.flags.writeable
    assert_nothing_is_left()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("worker_type", TYPES)
def test_a_data_set_may_read_whole_batches(worker_type, workers):
    for indices, (inputs, targets, weights) in zip(
        orders(), read(Whole(), workers, worker_type), strict=True
    ):
        assert inputs.dtype == np.float32
        assert inputs[:, 2].tolist() == indices.tolist()
        assert targets is weights is None


@pytest.mark.parametrize("worker_type", TYPES)
def test_no_orders_and_empty_arrays_are_no_trouble(worker_type):
    assert list(read(Numbers(), 2, worker_type, [])) == []
    (batch,) = read_ahead(np.copy, [np.empty((0, 3))], 2, worker_type)
    assert batch.shape == (0, 3)


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_batches_are_in_flight_than_there_are_workers(workers):
    alive, most = weakref.WeakSet(), []

    class Batch:
        pass

    def load(indices):
        alive.add(batch := Batch())
        most.append(len(alive))
        return batch

    for batch in read_ahead(load, iter(orders()), workers):
        del batch
        time.sleep(0.002)
    assert len(most) == 12
    assert max(most) <= workers + 1  # and the one that the training step has


def test_workers_load_at_the_same_time():
    together = threading.Barrier(3, timeout=60)
    assert len(list(read_ahead(lambda indices: together.wait(), iter(orders()), 3))) == 12


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("worker_type", TYPES)
@pytest.mark.parametrize(
    ("make", "reason", "kind"),
    [(Numbers, "KeyError: 'no such\\\\nfile'", KeyError), (Whole, "ValueError: 1 rows", ValueError)],
)
def test_an_error_names_its_sample_and_comes_after_the_batches_before_it(
    make, reason, kind, worker_type, workers
):
    bad = orders()[5][3]
    found = []
    with pytest.raises(sn.DataError) as caught:
        found.extend(read(make(bad=bad), workers, worker_type))  # which keeps those before the error
    assert str(caught.value) == f"sample {bad}: {reason}".replace("\\\\", "\\")
    assert type(caught.value.__cause__) is kind
    assert len(found) == 5
    assert_nothing_is_left()
    if worker_type == "process" and workers:
        (note,) = caught.value.__cause__.__notes__
        assert note.startswith("In the worker process:\nTraceback")
        assert "test_workers.py" in note


def test_an_error_that_cannot_be_sent_keeps_its_words():
    with pytest.raises(sn.DataError, match="sample 0: Fussy: 1") as caught:
        list(read(Unpicklable(), 1, "process", [np.arange(3)]))
    assert str(caught.value.__cause__) == "Fussy: 1"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((np.zeros(3), None), r"Own.batch: inputs has shape \(3,\) for 8 indices; the first axis must"),
        ((np.zeros(8), ["a"] * 8), "Own.batch: targets has dtype <U1"),
        ((1, 2, 3, 4), "Own.batch is a tuple of 4"),
    ],
)
def test_a_batch_that_does_not_fit_is_named(given, message):
    class Own(Numbers):
        def batch(self, indices):
            return given

    with pytest.raises(sn.DataError, match=message):
        list(read(Own(), 0))


def test_an_error_that_no_sample_has_alone_names_the_batch():
    class Own(Numbers):
        def batch(self, indices):
            if len(indices) > 1:
                raise ValueError("too many")
            return indices

    with pytest.raises(sn.DataError, match=r"samples 0, 1, 2, 3, …: ValueError: too many"):
        list(read(Own(), 2, given=[np.arange(9)]))


@pytest.mark.parametrize("worker_type", TYPES)
def test_leaving_the_loop_ends_the_workers(worker_type):
    for _ in read(Numbers(delay=0.002), 3, worker_type):
        break
    gc.collect()
    assert_nothing_is_left()
    batches = read(Numbers(delay=0.002), 3, worker_type)
    next(batches)
    batches.close()
    assert_nothing_is_left()
    with pytest.raises(ZeroDivisionError):
        [1 / 0 for _ in read(Numbers(), 3, worker_type)]
    gc.collect()
    assert_nothing_is_left()


@pytest.mark.parametrize("worker_type", TYPES)
def test_an_error_of_the_orders_ends_the_workers(worker_type):
    def failing():
        yield from orders()[:4]
        raise OSError("the order is gone")

    with pytest.raises(OSError, match="the order is gone"):
        list(read(Numbers(), 2, worker_type, failing()))
    assert_nothing_is_left()


@pytest.mark.parametrize("worker_type", TYPES)
def test_leaving_takes_no_longer_than_a_sample(worker_type):
    class_ = partial(Numbers, delay=0.05)
    batches = read(class_(), 2, worker_type, [np.arange(4)] + [np.arange(900)] * 5)  # 45 s a batch
    next(batches)
    start = time.perf_counter()
    batches.close()
    assert time.perf_counter() - start < 5
    assert_nothing_is_left()


def test_a_killed_process_is_one_clear_error_and_no_hang():
    with pytest.raises(sn.DataError) as caught:
        list(read(Dying(bad=orders()[3][2]), 2, "process"))
    shown = ", ".join(map(str, orders()[3][:4]))
    assert str(caught.value).startswith(
        f"a worker process ended (SIGKILL) while it loaded samples {shown}, …; the system may have had"
    )
    assert_nothing_is_left()


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (
            lambda indices: indices,
            r"the data set cannot be sent to a process: .*PicklingError|AttributeErr",
        ),
        (
            partial(load_samples, Elsewhere()),
            "cannot be rebuilt in a process: ModuleNotFoundError: no mod",
        ),
    ],
)
def test_what_cannot_go_to_a_process_is_one_clear_line(load, message):
    with pytest.raises(sn.SettingError, match=message) as caught:
        list(read_ahead(load, iter(orders()), 2, "process"))
    assert "\n" not in str(caught.value)
    assert_nothing_is_left()


def test_threads_work_on_the_backend_of_the_loop():
    def load(indices):
        return backends.active().name

    with backends.use("strict"):
        assert set(read_ahead(load, iter(orders()), 2)) == {"strict"}


PROGRAM = """
import signal, sys, time
from functools import partial
import numpy as np
from scratchnet.data.samples import load_samples
from scratchnet.data.workers import read_ahead

class Slow:
    def __len__(self):
        return 10**6

    def __getitem__(self, index):
        time.sleep(0.01)
        return index

def main():
    orders = (np.arange(20) for _ in range(10**6))
    batches = read_ahead(partial(load_samples, Slow()), orders, 3, sys.argv[1])
    if sys.argv[2] == "handled":  # as a training run does, which ends after its batch
        signal.signal(signal.SIGINT, lambda *_: None)
    for number, _ in enumerate(batches):
        if number == 2:
            print("begun", flush=True)
        if number == 9 and sys.argv[2] == "handled":
            return

if __name__ == "__mp_main__" and sys.argv[2] != "late":  # a process imports the program
    print("begun", flush=True)
    time.sleep(1)
"""
GUARDED, BARE = 'if __name__ == "__main__":\n    main()\n', "main()\n"


@pytest.fixture
def program(tmp_path):
    def program(worker_type, moment="late", end=GUARDED):
        (tmp_path / "program.py").write_text(PROGRAM + end)
        command = sys.executable, tmp_path / "program.py", worker_type, moment
        return started(*command, stdout=PIPE, stderr=PIPE, text=True, limit=60)

    return program


def assert_all_end(process):
    """Wait until no process of its group is left."""
    for _ in range(500):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("a process is left")


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no groups of processes")
@pytest.mark.parametrize("worker_type", TYPES)
@pytest.mark.parametrize("moment", ["early", "late"])
def test_ctrl_c_ends_all_and_workers_write_nothing(program, worker_type, moment):
    with program(worker_type, moment) as process:
        assert "begun" in process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        start = time.perf_counter()
        _, errors = process.communicate()
        assert time.perf_counter() - start < 20
        assert_all_end(process)
    assert process.returncode == -signal.SIGINT
    assert errors.count("Traceback") == 1
    assert errors.endswith("KeyboardInterrupt\n")


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no groups of processes")
@pytest.mark.parametrize("worker_type", TYPES)
def test_workers_go_on_after_a_ctrl_c_that_the_main_process_handles(program, worker_type):
    with program(worker_type, "handled") as process:
        assert "begun" in process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no groups of processes")
@pytest.mark.parametrize("worker_type", TYPES)
def test_workers_end_with_a_killed_main_process(program, worker_type):
    with program(worker_type) as process:
        assert "begun" in process.stdout.readline()
        process.kill()
        _, errors = process.communicate()  # which waits until no process can write
        assert_all_end(process)
    assert errors == ""


def test_a_program_without_a_guard_is_told_to_have_one(program):
    with program("process", end=BARE) as process:
        _, errors = process.communicate()
    assert process.returncode == 1
    assert 'start the training below `if __name__ == "__main__":`' in errors.splitlines()[-1]


LARGE_BATCHES = """
import multiprocessing, sys, time
from pathlib import Path
import numpy as np
import scratchnet as sn

class Large:
    def __len__(self):
        return 8 * 20

    def __getitem__(self, index):
        return np.full(1 << 20, index, "f4")  # 4 MB

def megabytes(process, name):
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

if __name__ == "__main__":
    in_workers = 0
    for _ in sn.DataLoader(Large(), 8, workers=int(sys.argv[1]), worker_type=sys.argv[2]):
        time.sleep(0.03)  # slower than the workers
        found = [each.pid for each in multiprocessing.active_children()]
        # The files of libraries lie in memory once, for all processes.
        own = sum(megabytes(each, "VmHWM") - megabytes(each, "RssFile") for each in found)
        in_workers = max(in_workers, own)
    print(megabytes("self", "VmHWM") + in_workers)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc says how much memory is in use")
@pytest.mark.parametrize("worker_type", TYPES)
def test_two_workers_take_at_most_100_megabytes_besides_their_batches(tmp_path, worker_type):
    (tmp_path / "program.py").write_text(LARGE_BATCHES)

    def peak(workers):
        done = python(tmp_path / "program.py", str(workers), worker_type, limit=60)
        assert done.returncode == 0, done.stderr
        return float(done.stdout)

    in_flight = 2 * (32 + 32)  # each worker has the samples of a batch, and the batch
    assert peak(2) < peak(0) + in_flight + 100
