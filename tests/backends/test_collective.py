"""Sums over the devices of several processes: alone on every backend, and with two real processes."""

import textwrap
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from arrays import host
from ranks import on_ranks

import backends
from backends import Communicator, active, to_device, xp
from backends.cuda import collective
from backends.cuda.loading import choose_device


def alone():
    """The communicator of one process on the active backend; the test is skipped if it has none."""
    try:
        found = active().communicator(0, 1, lambda identifier: identifier)
    except backends.BackendUnavailableError as error:
        pytest.skip(str(error))
    if found is None:
        pytest.skip("MPI adds up arrays of the host")
    return found


def arrays():
    """One array of each kind: matrices, scalars, empty ones, other strides, every dtype with sums."""
    rng = np.random.default_rng(0)
    dtypes = ["float16", "float32", "float64", "complex64", "complex128", "int32", "int64", "uint8"]
    made = [to_device((9 * rng.standard_normal((4, 3))).astype(dtype)) for dtype in dtypes]
    return [*made, xp.ones((), "float32"), xp.ones((0, 3), "float32"), made[1].T, made[2][:, 1]]


def test_arrays_of_the_host_need_no_communicator():
    with backends.use("numpy") as numpy:
        assert numpy.communicator(0, 4, None) is None


class Twin(Communicator):
    """The plain way: what begins is done at once."""

    def sum(self, arrays):
        for each in arrays:
            each += each


def test_the_plain_communicator_adds_up_at_once():
    array = np.ones(3)
    twin = Twin(0, 2)
    twin.begin([array])
    np.testing.assert_array_equal(array, [2, 2, 2])
    twin.finish()
    twin.close()


@pytest.mark.parametrize("way", ["sum", "begin"])
@pytest.mark.parametrize("captured", [False, True])
def test_the_sum_over_one_process_is_the_array(backend, way, captured):
    communicator, given = alone(), arrays()
    expected = [host(each) for each in given]

    def work():
        if way == "sum":
            communicator.sum(given)
        else:
            communicator.begin(given[:6])
            other = given[6] * 2  # the current stream goes on
            communicator.begin(given[6:])
            communicator.finish()
            del other

    launch = active().capture(work) if captured else work
    for _ in range(2):
        launch()
    for each, array in zip(given, expected, strict=True):
        np.testing.assert_array_equal(host(each), array)
    del launch
    communicator.close()


def test_a_sum_in_a_graph_adds_up_what_is_there_at_its_launch(backend):
    communicator, x = alone(), xp.zeros(3, "float32")

    def work():
        nonlocal x
        x += 1
        communicator.begin([x])
        communicator.finish()
        return x * 2

    launch = active().capture(work)
    found = [host(launch()) for _ in range(3)]
    np.testing.assert_array_equal(found, [[2] * 3, [4] * 3, [6] * 3])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (lambda: np.ones(3), r"sum over devices: an ndarray where an array of backend \w+ was expected"),
        (lambda: xp.ones(3, bool), "NCCL cannot add up bool; convert the array with astype"),
    ],
)
def test_what_has_no_sum_is_one_clear_line(backend, array, message):
    communicator = alone()
    with pytest.raises(backends.WrongArrayError, match=message):
        communicator.sum([array()])


@pytest.fixture
def strict():
    import strict_nccl

    try:
        with backends.use("strict"):
            yield strict_nccl
    except backends.BackendUnavailableError as error:
        pytest.skip(str(error))


def test_several_arrays_are_added_up_in_one_launch(strict):
    communicator, given = alone(), arrays()
    before = strict.launches
    communicator.sum(given)
    assert strict.launches == before + 1


def test_the_memory_of_a_sum_that_has_begun_is_not_given_to_others(strict):
    import strict_cupy

    communicator, x = alone(), xp.ones(3)
    place = x.data.ptr
    communicator.begin([x])
    del x
    assert strict_cupy._memory_at(place) is not None
    communicator.finish()
    assert strict_cupy._memory_at(place) is None


def test_a_failure_of_nccl_is_a_device_error(strict, monkeypatch):
    def fail(*_):
        raise strict.NcclError(1)

    communicator = alone()
    monkeypatch.setattr(strict.NcclCommunicator, "allReduce", fail)
    message = "strict: NCCL: a sum failed on rank 0 of 1: NCCL_ERROR_UNHANDLED.*NCCL_DEBUG=WARN"
    with pytest.raises(backends.DeviceError, match=message):
        communicator.sum([xp.ones(3)])
    assert not strict._group.depth
    monkeypatch.setattr(strict, "NcclCommunicator", fail)
    with pytest.raises(backends.DeviceError, match="NCCL: the connection of the devices failed"):
        alone()


def test_without_nccl_the_error_names_the_package(strict, monkeypatch):
    def warns():
        warnings.warn("\nnccl library could not be loaded.\n", stacklevel=1)
        return SimpleNamespace(available=False)

    monkeypatch.setattr(collective.importlib, "import_module", lambda name: warns())
    with pytest.raises(backends.BackendUnavailableError, match="fix: pip install nvidia-nccl-cu13"):
        active().communicator(0, 1, None)


def test_a_communicator_that_a_graph_uses_lives_as_long_as_the_process(strict):
    communicator, x = alone(), xp.ones(3)
    launch = active().capture(lambda: communicator.sum([x]))
    communicator.close()  # NCCL would wait for the end of the graph
    launch()
    other = alone()
    other.sum([x])
    other.close()
    with pytest.raises(backends.DeviceError):
        other.sum([x])


# What the stand-in refuses, so that a fault in the code above is seen without a GPU.


def test_the_stand_in_sees_a_first_sum_in_a_capture(strict):
    raw, x = strict.NcclCommunicator(1, strict.get_unique_id(), 0), xp.ones(3, "float32")

    def work():
        stream = xp.cuda.get_current_stream()
        raw.allReduce(x.data.ptr, x.data.ptr, 3, strict.NCCL_FLOAT32, strict.NCCL_SUM, stream.ptr)

    with pytest.raises(backends.CaptureError, match="UNHANDLED_CUDA_ERROR"):
        active().capture(work)
    work()
    active().capture(work)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda c: setattr(c._side, "wait_event", lambda event: None), "begins before|take part"),
        (
            lambda c: setattr(c, "finish", lambda: None),
            "StreamCaptureUnjoined|nan",
        ),
        (lambda c: setattr(c._nccl, "NCCL_FLOAT32", c._nccl.NCCL_INT32), "is no array of int32"),
    ],
)
@pytest.mark.parametrize("captured", [False, True])
def test_the_stand_in_sees_what_is_forgotten(strict, monkeypatch, change, seen, captured):
    monkeypatch.setattr(strict, "NCCL_FLOAT32", strict.NCCL_FLOAT32)  # puts it back
    communicator, x = alone(), xp.ones(3, "float32")
    change(communicator)

    def work():
        x.fill(1)
        communicator.begin([x])
        communicator.finish()

    try:
        (active().capture(work) if captured else work)()
        found = str(host(x))
    except (AssertionError, RuntimeError) as error:
        found = str(error)
    assert any(each in found for each in seen.split("|")), found


@pytest.mark.parametrize(
    ("call", "seen"),
    [
        (lambda x, y: (y.ctypes.data, 3), "does not lead to an array on the device"),
        (lambda x, y: (x.data.ptr, 4), "more numbers than the array has"),
        (lambda x, y: (x.data.ptr + 4, 3), "more numbers than the array has"),
    ],
)
def test_the_stand_in_sees_a_wrong_pointer_and_a_wrong_count(strict, call, seen):
    raw, x, y = strict.NcclCommunicator(1, strict.get_unique_id(), 0), xp.ones(3, "float32"), np.ones(3)
    place, count = call(x, y)
    with pytest.raises(AssertionError, match=seen):
        raw.allReduce(place, place, count, strict.NCCL_FLOAT32, strict.NCCL_SUM, 0)


def test_the_stand_in_sees_an_array_on_another_device(strict):
    x, former = xp.ones(3, "float32"), xp.cuda.runtime.getDevice()
    xp.cuda.runtime.setDevice(1)
    try:
        with pytest.raises(AssertionError, match="an array on another device"):
            alone().sum([x])
    finally:
        xp.cuda.runtime.setDevice(former)


# The device of a process.


@pytest.mark.parametrize(
    ("variables", "devices", "chosen"),
    [
        ({}, 4, None),
        ({"MPI_LOCALRANKID": "3"}, 4, 3),
        ({"OMPI_COMM_WORLD_LOCAL_RANK": "2", "SLURM_LOCALID": "0"}, 4, 2),
        ({"SLURM_LOCALID": "3", "CUDA_VISIBLE_DEVICES": "3"}, 1, None),
        ({"MPI_LOCALRANKID": "0"}, 1, 0),
    ],
)
def test_a_process_gets_the_device_of_its_number_on_the_machine(monkeypatch, variables, devices, chosen):
    for name in (
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "MPI_LOCALRANKID",
        "SLURM_LOCALID",
        "CUDA_VISIBLE_DEVICES",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = []
    choose_device(SimpleNamespace(setDevice=found.append), devices)
    assert found == ([] if chosen is None else [chosen])


def test_more_processes_than_devices_are_refused(monkeypatch):
    monkeypatch.setenv("MPI_LOCALRANKID", "2")
    message = (
        r"this is process 3 on a machine with 2 devices; fix: start at most 2 on it: mpiexec -n 2, or"
    )
    with pytest.raises(backends.BackendUnavailableError, match=message):
        choose_device(None, 2)


# Two processes.


HEAD = """
import sys, numpy as np, backends, strict_nccl
from mpi4py import MPI
from backends import active, to_device, to_host, xp
strict_nccl.patience = 2
world = MPI.COMM_WORLD
rank, size = world.rank, world.size
def show(*things):
    sys.stdout.write(" ".join(map(str, (rank, *things))) + "\\n")
def connect():
    return active().communicator(rank, size, lambda identifier: world.bcast(identifier))
"""


@pytest.fixture
def two(tmp_path):
    """Run code in two processes. Return how they ended and the lines that they wrote, sorted."""

    def run(code):
        program = tmp_path / "program.py"
        program.write_text(HEAD + textwrap.dedent(code))
        done = on_ranks(2, program, environment={"SCRATCHNET_BACKEND": "strict"})
        return done, sorted(done.stdout.splitlines())

    return run


ADDED = """
    def drawn(rank):
        rng = np.random.default_rng(rank)
        dtypes = "float16 float32 float64 complex64 complex128 int32 int64 uint8".split()
        made = [(9 * rng.random((4, 3)) + 9j * rng.random((4, 3))).astype("complex128") for _ in dtypes]
        made = [a.astype(d) if d[0] == "c" else a.real.astype(d) for a, d in zip(made, dtypes)]
        return [*made, np.array(5 + rank), made[1].T + 1]
    communicator = connect()
    assert xp.cuda.runtime.getDevice() == rank
    whole = xp.full((4, 3), 1 + rank, "float32")  # of which a column is added up
    def ways(given):
        yield lambda: communicator.sum([*given, whole[:, 1]])
        yield lambda: (communicator.begin(given[:4]), communicator.begin([*given[4:], whole[:, 1]]),
                       communicator.finish())
    expected = [a + b for a, b in zip(drawn(0), drawn(1), strict=True)]
    for way in range(2):
        given = [to_device(each) for each in drawn(rank)]
        work = [*ways(given)][way]
        whole.fill(1 + rank)
        (active().capture(work) if CAPTURED else work)()
        for each, added in zip(given, expected, strict=True):
            np.testing.assert_array_equal(to_host(each), added)
        np.testing.assert_array_equal(to_host(whole), [[1 + rank, 3, 1 + rank]] * 4)
    show("as expected")
"""


@pytest.mark.parametrize("captured", [False, True])
def test_two_processes_add_up_every_dtype_and_layout(strict, two, captured):
    done, lines = two(ADDED.replace("CAPTURED", str(captured)))
    assert done.returncode == 0, done.stderr
    assert lines == ["0 as expected", "1 as expected"]


TRAINED = """
    import functools
    import scratchnet as sn
    from scratchnet.training.parallel import buckets
    buckets.BUCKET = 100  # several, so that they are added up beside backward
    class Twice(sn.Module):
        capturable = True
        def __init__(self, net):
            self.net = net
        def forward(self, x):
            y = self.net(x)
            return y, y * 2
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((90, 12)).astype("f4"), rng.integers(0, 3, 90)
    ignoring = functools.partial(sn.softmax_loss, ignore_index=2, weight=[1.0, 2.0, 3.0])
    def losses(loss=sn.softmax_loss, weights=None, several=False):
        targets = (to_device(y),) * 2 if several else to_device(y)
        data = sn.ArrayDataLoader(to_device(x), targets, 25, seed=2, weights=weights)
        net = (sn.Linear(12, 16, 0) >> sn.BatchNorm1d(16) >> sn.relu >> sn.Dropout(0.5, rng=5)
               >> sn.Linear(16, 3, 1))
        if several:
            net, loss = Twice(net), [loss, sn.softmax_loss]
        metrics = sn.MetricsCollector(data, data, loss)
        learner = sn.Learner(data, net, sn.SGD(net.parameters(), 0.05), loss, metrics)
        learner.fit(4, None)
        return learner.replay.how, learner.history["train_loss"]
    weights = to_device(np.repeat([0, 1], [40, 50]).astype("f4"))
    for case in [(), (ignoring,), (sn.softmax_loss, weights), (ignoring, None, True)]:
        how, alone = losses(*case)
        before = strict_nccl.launches
        with sn.data_parallel():
            how, found = losses(*case)
        np.testing.assert_allclose(found, alone, rtol=1e-5)
        show(how, strict_nccl.launches > before + 20)
"""


def test_two_devices_train_as_one_does_and_their_epoch_is_one_launch(strict, two):
    done, lines = two(TRAINED)
    assert done.returncode == 0, done.stderr
    assert lines == ["0 one launch True"] * 4 + ["1 one launch True"] * 4


def test_two_processes_launch_a_graph_again_and_again(strict, two):
    done, lines = two("""
        communicator, x = connect(), xp.zeros(2, "float32")
        def work():
            global x
            x += 1 + rank
            communicator.begin([x])
            y = xp.ones(2) + 1
            communicator.finish()
            return x * 1, y
        launch = active().capture(work)
        for _ in range(2):
            show(*to_host(launch()[0]))
        communicator.close()
    """)
    assert done.returncode == 0, done.stderr
    assert lines == ["0 3.0 3.0", "0 9.0 9.0", "1 3.0 3.0", "1 9.0 9.0"]


DISAGREEING = """
    from scratchnet.training.parallel.watch import end_all
    communicator, x = connect(), xp.ones(3)
    work = lambda: communicator.sum([x])
    try:
        CALLED
    except AssertionError as error:
        end_all(world, str(error))
"""


@pytest.mark.parametrize(
    ("called", "seen"),
    [
        ("communicator.sum([xp.ones(3 + rank)])", "NCCL would hang: the ranks add up"),
        ("communicator.sum([x] * (2 - rank))", "NCCL would hang: the ranks add up"),
        ("rank or work(); world.Barrier()", "NCCL would hang: another rank did not come"),
        ("(active().capture(work) if rank else work)()", "NCCL would hang: the ranks add up"),
    ],
)
def test_the_stand_in_sees_ranks_that_disagree(strict, two, called, seen):
    done, _ = two(DISAGREEING.replace("CALLED", called))
    assert done.returncode
    assert seen in done.stderr


def test_two_processes_on_one_device_are_refused_in_one_line(strict, two):
    done, lines = two("""
        active(); xp.cuda.runtime.setDevice(0)
        try:
            connect()
        except backends.DeviceError as error:
            show(error)
    """)
    assert done.returncode == 0, done.stderr
    assert len(lines) == 2
    assert "NCCL_ERROR_INVALID_USAGE" in lines[0]
    assert "each process needs a device of its own" in lines[1]
