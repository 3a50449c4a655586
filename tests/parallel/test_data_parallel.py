"""`data_parallel` in a process that no launcher has started, and its arguments."""

import math

import numpy as np
import pytest
from processes import python

import scratchnet as sn
from scratchnet.training.parallel import data_parallel as module
from scratchnet.training.parallel import running


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


def test_under_a_launcher_without_mpi4py_the_error_says_what_to_install(tmp_path):
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py" / "__init__.py").write_text("raise ModuleNotFoundError('none')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport scratchnet as sn\n"
    code += "with sn.data_parallel(): print('trains twice')"
    for rank in ("0", "1"):
        ended = python("-c", code, environment={"PMI_RANK": rank, "PMI_SIZE": "2"})
        assert (ended.returncode, ended.stdout) == (1, "")
        line = 'they cannot work together: pip install "scratchnet[mpi]"'
        assert ended.stderr.strip().endswith(line) if rank == "0" else ended.stderr == ""
