"""The number of processes changes neither the mathematics nor a bit."""

import json

import numpy as np
import pytest
from parallel_cases import CASES
from ranks import on_ranks

RANKS = (1, 2, 4)
ANOTHER_RESULT = {"counting", "noisy", "many files"}
"""The buffer and the parameter of the first depend on how the batch is divided, and the noise of the
second and the batches of the third on the number of shards."""


def trained(ranks, file, *options):
    done = on_ranks(ranks, "parallel_cases.py", file, *options)
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def divided(tmp_path_factory):
    """What came of all cases with four shards, by the number of ranks."""
    folder = tmp_path_factory.mktemp("ranks")
    return {n: trained(n, folder / f"{n}.json", "--shards", 4) for n in RANKS}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What came of all cases without data-parallel training."""
    return trained(1, tmp_path_factory.mktemp("whole") / "1.json")


@pytest.mark.guarantee("The same shards give the same bits on 1, 2 and 4 processes.")
@pytest.mark.parametrize("case", CASES)
def test_any_number_of_ranks_gives_the_same_bits(divided, case):
    one, *others = (divided[n][case] for n in RANKS)
    for other in others:
        assert other["digest"] == one["digest"]
        assert other["history"] == one["history"]


@pytest.mark.guarantee("The number of processes changes results only by rounding.")
@pytest.mark.parametrize("case", sorted(CASES.keys() - ANOTHER_RESULT))
def test_shards_change_only_the_rounding(divided, whole, case):
    for name, expected in whole[case]["weights"].items():
        found = np.array(divided[4][case]["weights"][name])
        # Batch normalization of the last batch of two rows enlarges rounding a thousand times.
        atol = 1e-3 if "normalized" in case else 2e-6
        np.testing.assert_allclose(found, expected, rtol=0, atol=atol, err_msg=name)


@pytest.mark.guarantee("A run can be resumed on another backend or number of processes.")
@pytest.mark.parametrize("case", ["normalized", "accumulated", "adam", "data set", "many files"])
def test_a_stopped_run_goes_on_on_any_number_of_ranks(tmp_path, divided, case):
    stopped = trained(2, tmp_path / "a", "--shards", 4, "--stop", tmp_path / "ck", "--cases", case)[case]
    epochs, batches = stopped["where"]
    assert epochs < 3
    assert batches or "accumulated" in case
    for ranks in 1, 4:
        found = trained(ranks, tmp_path / "b", "--resume", tmp_path / "ck", "--cases", case)[case]
        assert found["digest"] == divided[4][case]["digest"]
        assert found["history"] == divided[4][case]["history"]


@pytest.mark.parametrize("ranks", [2, 4])
def test_sums_are_binary_trees(ranks):
    done = on_ranks(ranks, "tree_sums.py")
    assert (done.returncode, done.stdout.strip()) == (0, "all sums are right"), done.stderr


@pytest.mark.parametrize("ranks", [2, 4])
def test_a_loop_of_ones_own_trains_as_one_process_does(tmp_path, ranks):
    found = {}
    for number in 1, ranks:
        done = on_ranks(number, "own_loops.py", tmp_path / "weights")
        assert done.returncode == 0, done.stderr
        found[number] = json.loads((tmp_path / "weights").read_text())
    for loop, weights in found[1].items():
        for name, expected in weights.items():
            other = np.array(found[ranks][loop][name])
            np.testing.assert_allclose(other, expected, rtol=0, atol=1e-5, err_msg=f"{loop} {name}")
