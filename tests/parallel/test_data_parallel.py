"""`data_parallel` in a process that no launcher has started, and its arguments."""

import functools
import math

import numpy as np
import pytest
from parallel_cases import Y, dense, learner, loader
from processes import python

import scratchnet as sn
from backends import LabelError
from scratchnet.training import running
from scratchnet.training.parallel import data_parallel as module
from scratchnet.training.parallel.shards import shards_for


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setattr(module, "launched", lambda: None)


def test_alone_it_is_a_group_of_one_and_changes_nothing():
    with sn.data_parallel(shards=8) as ranks:
        assert running.current is ranks
        assert (ranks.rank, ranks.size, ranks.local_rank, ranks.shards) == (0, 1, 0, 8)
        array = np.arange(3.0)
        ranks.group.sum([array], "numbers")
        assert array.tolist() == [0, 1, 2]
        assert ranks.group.gather(b"a", "letters") == [b"a"]
        assert ranks.group.any(True, "flags")
        assert ranks.group.barrier("all")
    assert running.current is None


def test_alone_it_loads_no_mpi_and_shows_errors_as_ever():
    code = "import scratchnet as sn, sys\nwith sn.data_parallel(): print('mpi4py' in sys.modules); 1 / 0"
    ended = python("-c", code)
    assert (ended.returncode, ended.stdout.split()) == (1, ["False"])
    assert ended.stderr.strip().endswith("ZeroDivisionError: division by zero")


def test_one_within_another_is_an_error():
    with sn.data_parallel():
        with pytest.raises(sn.SettingError, match="is already running"), sn.data_parallel():
            pass
        assert running.current is not None
    with pytest.raises(ZeroDivisionError), sn.data_parallel():
        raise ZeroDivisionError
    with sn.data_parallel():
        pass


@pytest.mark.parametrize("shards", [0, 3, -2, True, 2.0, "2"])
def test_shards_must_be_a_power_of_two(shards):
    with pytest.raises(sn.SettingError, match="must be a power of two up to 4096, or None"):
        sn.data_parallel(shards)


@pytest.mark.parametrize("timeout", [0, -1, math.inf, math.nan, "9", None, True])
def test_the_time_limit_must_be_a_positive_number(timeout):
    with pytest.raises(sn.SettingError, match="must be a positive number of seconds"):
        sn.data_parallel(timeout=timeout)


JOIN = "import scratchnet as sn\nwith sn.data_parallel(): print('trains twice')"


@pytest.mark.parametrize("rank", ["0", "1"])
def test_under_a_launcher_without_mpi4py_rank_0_says_what_to_install(rank):
    variables = {"PMI_RANK": rank, "PMI_SIZE": "2"}
    ended = python("-c", f"import sys; sys.modules['mpi4py'] = None\n{JOIN}", environment=variables)
    assert (ended.returncode, ended.stdout) == (1, "")
    line = 'as one of 2 processes, but mpi4py is not installed: pip install "scratchnet[mpi]"'
    assert ended.stderr.strip().endswith(line) if rank == "0" else ended.stderr == ""


@pytest.mark.parametrize("rank", ["0", "1"])
def test_under_the_launcher_of_another_mpi_library_rank_0_says_so(rank):
    mpi4py = pytest.importorskip("mpi4py")
    mpi4py.rc.initialize = False
    mpich = pytest.importorskip("mpi4py.MPI").Get_library_version().startswith("MPICH")
    other = "OMPI_COMM_WORLD" if mpich else "PMI"
    variables = {f"{other}_RANK": rank, f"{other}_SIZE": "2"}
    ended = python("-c", JOIN, environment=variables)
    assert (ended.returncode, ended.stdout) == (1, "")
    line = "has started 2 processes, but mpi4py uses another MPI library ("
    assert ended.stderr.count(line) == (rank == "0")
    assert (rank == "0") == bool(ended.stderr)


def small():
    x = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
    y = np.arange(12) % 2
    net = sn.Linear(3, 2, rng=0)
    return sn.Learner(sn.ArrayDataLoader(x, y, 4), net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss)


def test_a_run_keeps_its_shards_unless_others_are_given(tmp_path):
    run, file = small(), tmp_path / "run"
    with sn.data_parallel(shards=4):
        run.fit(1, report=None, checkpoint=file)
    other = small()
    other.resume(file)
    assert other.shards == 4
    other.fit(1, report=None)
    run.fit(1, report=None)
    np.testing.assert_array_equal(run.net.weight.data, other.net.weight.data)
    with sn.data_parallel(shards=2):
        run.fit(1, report=None)
    assert run.shards == 2


@pytest.mark.parametrize(
    ("ranks", "asked", "former", "told"),
    [
        (3, 4, None, "3 processes do not divide 4 shards; start 1, 2 or 4$"),
        (
            2,
            None,
            1,
            "divide 1 shard, with which the training run began; start 1, or give shards=2, which",
        ),
        (
            4,
            None,
            2,
            "2 shards, with which the training run began; start 1 or 2, or give shards=4, which",
        ),
    ],
)
def test_processes_that_do_not_divide_the_shards_are_told_which_do(ranks, asked, former, told):
    with pytest.raises(sn.SettingError, match=told):
        shards_for(ranks, asked, former)


@pytest.mark.parametrize("kind", [lambda loss: loss, lambda loss: [loss]])
def test_a_loss_that_is_a_sum_over_the_batch_is_refused(kind):
    loss = kind(functools.partial(sn.softmax_loss, reduction="sum"))
    with (
        sn.data_parallel(2),
        pytest.raises(sn.SettingError, match=r'softmax_loss has reduction="sum".*must be a mean'),
    ):
        learner(dense(), loss=loss).fit(1, None)


@pytest.mark.parametrize("several", [False, True])
def test_a_batch_without_a_label_that_counts_is_the_error_of_one_process(several):
    loss, net = functools.partial(sn.softmax_loss, ignore_index=0), dense()
    labels = np.where(np.arange(50) < 24, Y[:50], 0)
    if several:
        net, loss, labels = net >> (lambda y: (y,)), [loss], (labels,)
    train = loader(y=labels, shuffle=False)
    run = sn.Learner(train, net, sn.SGD(net.parameters(), 0.1), loss)
    with (
        sn.data_parallel(4),
        pytest.raises(LabelError, match=r"epoch 0, batch 2: .*no label of this batch counts"),
    ):
        run.fit(1, None)


def test_a_batch_with_an_array_that_has_no_row_for_each_sample_cannot_be_divided():
    train = [((np.ones((12, 36), "float32"), np.ones((6, 6), "float32")), Y[:12])]
    net = sn.Sequential(sn.Linear(36, 3))
    run = sn.Learner(train, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss)
    message = r"inputs\[1\] of shape \(6, 6\) in a batch of 12 samples cannot be divided"
    with sn.data_parallel(2), pytest.raises(sn.DataError, match=message):
        run.fit(1, None)
