"""Wrong values and wrong messages that users have found, one test for each."""

import copy
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from arrays import host, variable

import scratchnet as sn
from backends import BackendError, to_device


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
    y.zero_grad()
    ((-2.0) ** y).backward()
    assert np.isnan(host(y.grad)).all()


def test_a_function_of_a_number_alone_returns_an_array(backend):
    for function in (sn.relu, sn.sum, sn.softmax):
        assert host(function(2.0)).shape == ()


def test_a_gradient_of_a_subclass_of_the_array_is_kept_as_an_array():
    x = variable([1.0, 2.0])
    x.grad = np.ones(2).view(np.recarray)
    assert type(x.grad) is np.ndarray


def test_abs_of_a_variable_is_in_the_graph(backend):
    x = variable([-1.0, 2.0])
    abs(x).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [-1, 1])


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


@dataclass
class Scale(sn.Function):
    """A Function that a user wrote as a dataclass: two of them may be equal, and cannot be hashed."""

    factor: float

    def forward(self, x):
        return x * float(self.factor)

    def backward(self, grad):
        return grad * float(self.factor)


def test_functions_that_compare_equal_are_two_functions(backend):
    x = variable(np.float32([1, 2]))
    with sn.detect_anomaly():
        (Scale(3.0)(x) + Scale(3.0)(x)).sum().backward()
    assert host(x.grad).tolist() == [6, 6]
    (found,) = sn.grad(Scale(3.0)(Scale(3.0)(x)).sum(), x)
    assert host(found).tolist() == [9, 9]


class AsMatrix(sn.Function):
    def forward(self, x):
        return x

    def backward(self, grad):
        return np.asmatrix(grad)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_that_backward_returns_becomes_an_array():
    a, b = sn.Variable([[1.0, 1], [1, 1]]), sn.Variable([[1.0, 1], [2, 2]])
    AsMatrix()(a * b).sum().backward()
    assert type(a.grad) is np.ndarray
    assert a.grad.tolist() == [[1, 1], [2, 2]]


@dataclass(slots=True)
class Slotted(sn.Function):
    factor: float

    def forward(self, x):
        return x * float(self.factor)

    def backward(self, grad):
        return grad * float(self.factor)


def test_a_function_with_slots_and_one_with_a_numpy_setting(backend):
    x = variable(np.float32([1, 2]))
    function = pickle.loads(pickle.dumps(copy.deepcopy(Slotted(2.0))))
    (found,) = sn.grad(function(x).sum(), x)
    assert host(found).tolist() == [2, 2]
    (first,) = sn.grad((Scale(np.float64(3))(x) ** 2).sum(), x, create_graph=True)
    (second,) = sn.grad(first.sum(), x)
    assert host(second).tolist() == [18, 18]


class Norm(sn.Function):
    """Keeps its result in an attribute: as a NumPy scalar, or in a dict."""

    def __init__(self, store):
        self.store = store

    def forward(self, x):
        length = np.sqrt((x * x).sum())
        self.length = {"of": [np.asarray(length)]} if self.store == "nested" else length
        self.keep(x)
        return length

    def backward(self, grad, x):
        length = self.length["of"][0] if self.store == "nested" else self.length
        return grad * x * (1 / float(length))


@pytest.mark.parametrize("store", ["nested", "scalar"])
def test_what_would_count_as_a_constant_in_a_second_derivative_is_refused(store):
    x = sn.Variable([3.0, 4.0])
    with pytest.raises(sn.GraphError, match="Norm holds an array in its attribute 'length'"):
        sn.grad(Norm(store)(x), x, create_graph=True)


class Windows(sn.Function):
    """Returns a view whose base is not its operand."""

    def forward(self, x):
        return np.lib.stride_tricks.sliding_window_view(x, 2)

    def backward(self, grad):
        out = np.zeros(3, np.float32)
        np.add.at(out, [[0, 1], [1, 2]], grad)
        return out


class Both(sn.Function):
    def forward(self, x):
        y = x * 1
        return y, y[::-1]

    def backward(self, grads):
        return grads[0] + grads[1][::-1]


def test_a_view_shares_the_version_of_its_memory_however_it_was_made():
    a = sn.Variable([1.0, 2, 3])
    windows = Windows()(a)
    z = (windows * windows).sum()
    with sn.no_grad():
        a *= 10
    with pytest.raises(sn.StaleGraphError):
        z.backward()
    p, q = Both()(a)
    z = (q * q).sum()
    with sn.no_grad():
        p *= 10
    with pytest.raises(sn.StaleGraphError):
        z.backward()


def test_gradcheck_leaves_the_gradients_of_the_network_alone(backend):
    net = sn.Linear(3, 2, 0)
    net.weight.data = net.weight.data.astype("float64")
    net.bias.data = net.bias.data.astype("float64")
    assert sn.gradcheck(net, np.ones((2, 3)))
    assert net.gradients() == [None, None]


@pytest.mark.parametrize(
    ("f", "message"),
    [(lambda x: (x, x), "f returned a tuple"), (lambda x: x.data, "f returned")],
)
def test_gradcheck_names_what_it_cannot_check(backend, f, message):
    with pytest.raises(sn.OperandError, match=message):
        sn.gradcheck(f, [1.0, 2.0])
    with pytest.raises(sn.OperandError, match="no input is floating-point"):
        sn.gradcheck(sn.tanh, np.array([1, 2]))


def test_a_mask_is_never_lost():
    masked = np.ma.array(np.float32([1, 2]), mask=[True, False])
    v, net = sn.Variable([0.0, 0.0]), sn.Module()
    net.buffer = sn.Buffer(np.zeros(2, "float32"))
    with sn.no_grad(), pytest.raises(BackendError, match="mask"):
        v[...] = masked
    with pytest.raises(BackendError, match="mask"):
        net.buffer = masked
    with pytest.raises(sn.CheckpointError, match="buffer is a masked array"):
        net.load_state_dict({"buffer": masked})


def test_a_result_cannot_be_cut_out_of_its_graph(backend):
    x = variable(np.float32([1, 2]))
    y = x * 2
    with pytest.raises(sn.GraphError, match="detach"):
        y.requires_grad = False


def test_a_result_without_a_graph_becomes_a_leaf(backend):
    x = variable(np.float32([1, 2]))
    with sn.no_grad():
        moved = x + 0.5
    moved.requires_grad = True
    (moved * moved).sum().backward()
    assert host(moved.grad).tolist() == [3, 5]


@pytest.mark.parametrize("value", [2.7, [1.9, 2.9], None])
def test_integers_take_no_fractions(backend, value):
    v = variable(np.array([1, 2]))
    with pytest.raises(sn.OperandError, match="does not fit into int64"):
        v[...] = value
    v[0] = 5.0
    assert host(v).tolist() == [5, 2]


@pytest.mark.parametrize(("dtype", "value"), [("uint8", 255), ("bool", 0), ("float32", 10**30)])
def test_whole_numbers_fit_every_dtype_that_holds_them(backend, dtype, value):
    v = variable(np.ones(2, dtype))
    with sn.no_grad():
        v[0], v[0:0] = value, []
    assert host(v)[0] == np.asarray(value).astype(dtype)


def test_a_gradient_of_text_is_refused(backend):
    v = sn.Variable([1.0])
    with pytest.raises((sn.OperandError, sn.ShapeError)):
        v.grad = np.array(["a"])


def test_copies_of_a_function_of_a_deep_graph():
    y = sn.Variable([1.0])
    for _ in range(20_000):
        y = y + 1.0
    for twin in (copy.deepcopy(y.creator), pickle.loads(pickle.dumps(y.creator)), copy.copy(y.creator)):
        assert type(twin) is sn.Add
        assert twin.edges is None
