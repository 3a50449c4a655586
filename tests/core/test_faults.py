"""Wrong values and wrong messages that users have found, one test for each."""

import copy
import pickle

import numpy as np
import pytest
from arrays import host, variable

import scratchnet as sn
from backends import to_device


@pytest.mark.parametrize(
    ("base", "exponent", "expected"),
    [
        (0.0, -1.0, -np.inf),
        (0.0, -0.3, -np.inf),
        (0.0, 0.0, 0.0),
        (0.0, 2.0, 0.0),
        (2.0, 3.0, 8 * np.log(2)),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_the_gradient_at_an_exponent_where_the_base_is_zero(backend, base, exponent, expected):
    x, y = variable([base, base]), variable([exponent, exponent])
    (x**y).sum().backward()
    np.testing.assert_allclose(host(y.grad), [expected] * 2)
    y.zero_grad()
    (base**y).sum().backward()  # the base is a number
    np.testing.assert_allclose(host(y.grad), [expected] * 2)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_the_gradient_at_the_exponent_of_a_negative_base_is_no_number(backend):
    y = variable([2.0])
    (variable([-2.0]) ** y).backward()
    assert np.isnan(host(y.grad)).all()


def test_integers_that_become_floating_need_a_gradient(backend):
    x = variable(np.array([1, 2]))
    assert not x.requires_grad
    x.data = x.data.astype(float)
    assert x.requires_grad
    (x * x).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [2, 4])
    frozen = variable(np.array([1, 2]), requires_grad=False)
    frozen.data = frozen.data.astype(float)
    assert not frozen.requires_grad


def _assign(array, value):
    array[0] = value


WORDS = {
    "an integer to a negative power": (
        lambda x: variable(np.array([2, 3])) ** -1, sn.OperandError, "negative integer powers.*astype"),
    "a float as an index": (lambda x: x[1.0], sn.OperandError, "an index is a float; give integers"),
    "text as an index": (lambda x: x["a"], sn.OperandError, "GetItem: an index is a str"),
    "a range as an index": (lambda x: x[range(2)], sn.OperandError, "GetItem: an index is a range"),
    "an array of floats as an index": (
        lambda x: x[to_device(np.ones(2))], sn.OperandError, "an index has dtype float64; it must hold"),
    "NumPy's sum": (lambda x: np.sum(x), sn.OperandError, "np.sum: a Variable is not an array"),
    "data that is a number": (
        lambda x: setattr(x, "data", 5.0), sn.OperandError, r"\(3,\).data = a float: .*to_device"),
    "a gradient of another shape": (
        lambda x: setattr(x, "grad", x.data[:2]), sn.ShapeError, r"grad = shape \(2,\): .* \(3,\)"),
    "a gradient that is a list": (
        lambda x: setattr(x, "grad", [1.0, 2.0, 3.0]), sn.ShapeError, "grad = a list: a gradient"),
}  # fmt: skip


def test_a_variable_is_not_assigned_to_an_element_of_an_array_but_its_number_may_be(backend):
    array, x = np.ones(2), variable([5.0])[0]
    with pytest.raises(ValueError, match="setting an array element") as caught:  # NumPy's own words
        _assign(array, x)
    assert "an array cannot hold the Variable's graph" in str(caught.value.__cause__)
    array[0] = float(x)
    _assign(array, x.detach())
    assert array[0] == 5


@pytest.mark.parametrize("what", WORDS)
def test_a_mistake_is_named_for_what_it_is(backend, what):
    do, error, words = WORDS[what]
    with pytest.raises(error, match=f"(?i){words}"):
        do(variable([1.0, 2.0, 3.0]))


def test_a_layer_hidden_in_a_function_is_named_for_it_is_not_trained():
    hidden = sn.Linear(4, 4, 0)
    net = sn.Sequential(lambda x: hidden(x), sn.Linear(4, 3, 1))
    data = sn.ArrayDataLoader(np.ones((6, 4), "float32"), np.zeros(6, int), 3)
    learner = sn.Learner(data, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss)
    with pytest.warns(sn.UntrainedWarning, match="does not have it: it is not trained") as caught:
        learner.fit(2, None)
    told = {str(each.message).partition(", which")[0] for each in caught}
    assert told == {"Variable(4, 4) 'weight'", "Variable(4,) 'bias'"}
    assert len(caught) == 2  # each once
    assert {each.filename for each in caught} == {__file__}  # they point to the user's code


def test_nothing_recurses_however_deep_a_graph_is():
    y = x = sn.Variable(1.0)
    for _ in range(100_000):
        y = y + 1.0
    assert repr(y).startswith("Variable(100001., ")
    for twin in (copy.copy(y), copy.deepcopy(y), pickle.loads(pickle.dumps(y))):
        assert float(twin) == 100_001
    with pytest.raises(sn.GraphFreedError):
        copy.deepcopy(y).backward()
    copy.copy(y).backward()
    assert host(x.grad) == 1
    for _ in range(100_000):
        x = x * 1.0
    del x  # freed, and without a backward pass


def test_new_data_of_another_shape_between_forward_and_backward_is_named(backend):
    x = variable([1.0, 2.0])
    loss = (x + 1.0).sum()  # keeps nothing of x
    x.data = to_device(np.ones(3))
    with pytest.raises(sn.StaleGraphError, match=r"Variable\(2,\) was given data of shape \(3,\)"):
        loss.backward()
