"""Several leaves of a batch in one process: turns, errors, and the state that each leaf sees."""

import threading

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.training.parallel.turns import Turns, World, tree


def turns(net=None):
    added = []
    return Turns(World(net or sn.Linear(1, 1)), added.extend), added


def test_leaves_go_on_together_after_each_sum():
    taking, added = turns()
    said = []

    def leaf(number):
        total = taking.sum(number, np.array(10.0**number))
        said.append((number, float(total)))
        return float(taking.sum(number, total * number))

    found = taking.run([lambda number=number: leaf(number) for number in range(4)])
    assert said == [(number, 1111) for number in range(4)]
    assert found == [6666] * 4
    assert [float(each) for each in added] == [1111, 6666]
    assert threading.active_count() == 1


def test_leaves_without_sums_run_in_this_thread():
    taking, _ = turns()
    assert taking.run([threading.current_thread] * 3) == [threading.main_thread()] * 3


@pytest.mark.parametrize("failing", [0, 1, 2])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_of_a_leaf_ends_all(failing, before, kind):
    taking, _ = turns()

    def leaf(number):
        if before and number == failing:
            raise kind
        taking.sum(number, np.ones(2))
        if number == failing:
            raise kind
        taking.sum(number, np.ones(2))

    with pytest.raises(kind):
        taking.run([lambda number=number: leaf(number) for number in range(3)])
    assert threading.active_count() == 1


@pytest.mark.parametrize("sums", [(0, 1), (1, 0), (2, 1), (1, 2)])
def test_leaves_that_need_different_sums_are_an_error(sums):
    taking, _ = turns()

    def leaf(number):
        for _ in range(sums[number]):
            taking.sum(number, np.ones(1))

    with pytest.raises(sn.GraphError, match="some rows of a batch need more sums"):
        taking.run([lambda: leaf(0), lambda: leaf(1)])
    assert threading.active_count() == 1


class Net(sn.Module):
    def __init__(self):
        self.count = sn.Buffer(np.zeros((), np.int64))
        self.philox = sn.Philox(0)


@pytest.mark.parametrize("with_sums", [True, False])
def test_each_leaf_sees_its_own_state_and_the_first_one_s_stays(with_sums):
    net = Net()
    taking, _ = turns(net)
    drawn = {}

    def leaf(number):
        for _ in range(2):
            net.count = net.count.data + 1 + number
            drawn.setdefault(number, []).append(net.philox.bits((3,)).tolist())
            if with_sums:
                taking.sum(number, np.ones(1))
        return int(net.count.data)

    assert taking.run([lambda: leaf(0), lambda: leaf(1), lambda: leaf(2)]) == [2, 4, 6]
    assert net.count.data == 2
    assert net.philox.draws == 2
    assert drawn[0] == drawn[1] == drawn[2]
    assert drawn[0][0] != drawn[0][1]


def test_a_tree_adds_neighbors_first():
    assert tree(["a", "b", "c", "d"]) == "abcd"
    numbers = [np.float32(each) for each in (1e8, 1, -1e8, 1)]
    assert tree(numbers) == (numbers[0] + numbers[1]) + (numbers[2] + numbers[3])
    assert tree([None, None, 3, None]) == 3
    assert tree([None, None]) is None
