"""Variables and graphs: what they show, what they refuse, and no_grad."""

import threading

import numpy as np
import pytest
from arrays import host

import scratchnet as sn
from backends import to_device
from scratchnet import Variable


def test_the_example_of_the_readme(backend):
    a, b = Variable([1, 2, 3]), Variable(2)
    y = (a * b + a**2).sum()
    y.backward()
    assert y.item() == 26
    np.testing.assert_array_equal(host(a.grad), [4, 6, 8])
    assert host(b.grad) == 6
    assert a.dtype == b.dtype == np.float32


def test_what_a_variable_tells_of_itself(backend):
    x = Variable([[1, 2], [3, 4]], name="x")
    assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == ((2, 2), 2, 4, np.float32, 2)
    assert repr(x) == "Variable([[1., 2.], [3., 4.]], shape=(2, 2), dtype=float32, name='x')"
    assert "creator=Exp" in repr(x.exp())
    assert sn.Variable([1.0]).name is None
    assert type(x.exp().creator) is sn.functions.Exp
    assert x.creator is None
    assert [row.sum().item() for row in x] == [3, 7]
    assert (x >> sn.relu >> (lambda v: v.sum())).item() == 10
    assert not x.detach().requires_grad
    assert x.detach().data is x.data


def test_integers_stay_integers_and_need_no_gradient(backend):
    x = Variable(to_device(np.arange(3)))
    assert x.dtype == np.int64
    assert not x.requires_grad


def test_comparisons_are_masks_and_numbers_format(backend):
    x, y = Variable([1, 2, 3]), Variable([1, 5, 2])
    masks = [x == y, x != y, x > 1.5, x <= y.data, x < y, x >= 2]
    truths = [[1, 0, 0], [0, 1, 1], [0, 1, 1], [1, 1, 0], [0, 1, 0], [0, 1, 1]]
    for mask, expected in zip(masks, truths, strict=True):
        np.testing.assert_array_equal(host(mask), np.array(expected, bool))
    assert x[x > 1.5].sum().item() == 5
    assert x in {x}
    assert f"{x.sum():.2f}" == "6.00"
    assert float(x.sum()) == 6
    assert x.sum()


def test_no_grad_as_a_decorator_is_each_call_s_own():
    entered, leave = threading.Event(), threading.Event()
    found = []

    @sn.no_grad()
    def slow(inside):
        inside()

    def work():
        slow(lambda: (entered.set(), leave.wait(60)))
        found.append((Variable(1) * 2).requires_grad)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(60)
    with sn.no_grad():
        slow(lambda: None)
        leave.set()
        thread.join(60)
        assert not (Variable(1) * 2).requires_grad
    assert found == [True]
    assert (Variable(1) * 2).requires_grad


def test_no_grad_refuses_what_would_run_later():
    def generator():
        yield

    async def coroutine(): ...

    for function in (generator, coroutine):
        with pytest.raises(sn.OperandError, match=f"{function.__name__} runs later"):
            sn.no_grad()(function)


def test_one_no_grad_in_two_threads():
    shared, entered, leave = sn.no_grad(), threading.Event(), threading.Event()
    found = []

    def work():
        with shared:
            entered.set()
            leave.wait(60)
        found.append((Variable(1) * 2).requires_grad)

    thread = threading.Thread(target=work)
    with sn.no_grad():
        with shared:
            thread.start()
            assert entered.wait(60)
        leave.set()
        thread.join(60)
        assert not (Variable(1) * 2).requires_grad
    assert found == [True]


def test_a_long_chain_is_dropped_without_a_crash():
    y = Variable(1)
    for _ in range(100_000):
        y = y + 1
    del y


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("text", sn.OperandError),
        ([[1], [1, 2]], sn.OperandError),
        (["1"], sn.OperandError),
        ([None, 1], sn.OperandError),
        (np.array([1j]), sn.OperandError),
    ],
)
def test_what_cannot_be_a_variable(data, error):
    with pytest.raises(error, match="Variable"):
        Variable(data)
    with pytest.raises(sn.OperandError, match="detach"):
        Variable(Variable(1))


def test_a_variable_does_not_become_an_array_in_silence(backend):
    with pytest.raises(sn.OperandError, match="to_host"):
        np.asarray(Variable([1, 2]))
