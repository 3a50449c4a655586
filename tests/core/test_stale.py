"""If data no longer fit a graph, an optimizer or a network, an error says so."""

import copy
import pickle

import numpy as np
import pytest
from arrays import host, variable
from processes import python

import scratchnet as sn
from backends import WrongArrayError, active, to_device, use, xp
from scratchnet.errors import GraphError, GraphFreedError, SettingError, StaleGraphError


def net_and_loss(rng):
    net = sn.Linear(5, 4, 0, activation=sn.relu) >> sn.Linear(4, 3, 1)
    x, y = to_device(rng.standard_normal((6, 5)).astype("float32")), to_device(rng.integers(0, 3, 6))
    return net, lambda: sn.softmax_loss(net(sn.Variable(x, False)), sn.Variable(y))


def all_of_it(net, weight):
    weight.data *= 2


def another_array(net, weight):
    weight.data = xp.zeros_like(weight.data)


def loaded(net, weight):
    net.load_state_dict({path: value + 1 for path, value in net.state_dict().items()})


def an_update(net, weight):
    sgd = sn.SGD(net.parameters(), 0.1)
    for each in net.parameters():
        each.grad = xp.ones_like(each.data)
    sgd.step()


def an_update_before_a_look(net, weight):
    before = host(weight).copy()
    an_update(net, weight)
    assert (host(weight) != before).all()


def learning(net, weight):
    rng = np.random.default_rng(0)
    inputs = to_device(rng.standard_normal((6, 5)).astype("float32"))
    data = sn.ArrayDataLoader(inputs, to_device(rng.integers(0, 3, 6)), 3)
    sn.Learner(data, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, capture=False).fit(1, None)


def in_place(net, weight):
    with sn.no_grad():
        weight *= 2


def one_element(net, weight):
    with sn.no_grad():
        weight[1, 2] = 5


CHANGES = [
    all_of_it, another_array, loaded, an_update, an_update_before_a_look, learning, in_place,
    one_element,
]  # fmt: skip
CHANGED = r"Variable\(\d, \d\) '(weight|bias)' was changed after Affine used it"


@pytest.mark.guarantee("Changing data that a gradient needs, through the library, is an error.")
@pytest.mark.parametrize("change", CHANGES, ids=lambda each: each.__name__)
def test_a_parameter_changed_between_forward_and_backward_is_an_error(backend, rng, change):
    net, loss = net_and_loss(rng)
    stale = loss()
    change(net, net[0].weight)
    with pytest.raises(StaleGraphError, match=CHANGED):
        stale.backward()
    net.zero_grad()
    loss().backward()  # a new forward pass is right again
    assert all(each.grad is not None for each in net.parameters())


@pytest.mark.guarantee("Reading a parameter is not a change.")
def test_a_graph_that_is_right_goes_on_working(backend, rng):
    net, loss = net_and_loss(rng)
    weight = net[0].weight
    first = loss()
    assert np.isfinite(host(weight.data)).all()  # reading is no change
    first.backward()
    expected = host(weight.grad)
    loss()  # a forward pass without a backward pass
    weight.data *= 2
    weight.data /= 2  # the same bits again
    net.zero_grad()
    loss().backward()  # changed before the forward pass, not after
    np.testing.assert_array_equal(host(weight.grad), expected)


@pytest.mark.guarantee("Changing data that a gradient needs, through the library, is an error.")
def test_an_older_graph_is_told_from_a_newer_one(backend, rng):
    net, loss = net_and_loss(rng)
    older = loss()
    net[1].bias.data = net[1].bias.data + 3
    net[1].weight.data = net[1].weight.data + 3
    newer = loss()
    newer.backward()
    with pytest.raises(StaleGraphError, match="weight"):
        older.backward()


@pytest.mark.guarantee("Changing data that a gradient needs, through the library, is an error.")
def test_two_losses_of_one_parameter(backend):
    w = variable([2.0])
    first, second = w * w, w * w * w
    first.backward()
    w.data = w.data + 5
    with pytest.raises(StaleGraphError):
        second.backward()


@pytest.mark.guarantee("Changing data that a gradient needs, through the library, is an error.")
def test_a_second_pass_through_a_retained_graph_sees_the_update_between(backend, rng):
    net, loss = net_and_loss(rng)
    kept = loss()
    kept.backward(retain_graph=True)
    kept.backward(retain_graph=True)
    sn.SGD(net.parameters(), 0.1).step()
    with pytest.raises(StaleGraphError):
        kept.backward()


def through_a_view(x, y):
    x.reshape(-1).data[...] *= 10


def of_a_result(x, y):
    y.data[1] = 2


def of_an_operand_that_is_an_array(x, y):
    OPERAND[...] = 0


OPERAND = np.ones(4, np.float32)


@pytest.mark.guarantee("detect_anomaly finds a change of data that did not go through the library.")
@pytest.mark.parametrize("change", [through_a_view, of_a_result, of_an_operand_that_is_an_array])
def test_detect_anomaly_finds_a_change_behind_the_library_s_back(change):
    OPERAND[...] = 1
    x = variable(np.arange(1.0, 5, dtype=np.float32))
    with sn.detect_anomaly():
        y = sn.sigmoid(x)
        loss = ((x * x) * OPERAND + y).sum()
        change(x, y)
        with pytest.raises(StaleGraphError, match=r"kept was changed in place; .*test_stale\.py:\d+: "):
            loss.backward()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_detect_anomaly_names_what_made_a_number_that_is_not_finite(backend):
    x = variable([0.0, 4.0])
    with sn.detect_anomaly():
        assert host((x * 2.0).sum()) == 8
        with pytest.raises(sn.AnomalyError, match=r"Log made NaN .*test_stale\.py:\d+: .*sn\.log\(x\)"):
            sn.log(x)
        root = x**0.5
        with pytest.raises(sn.AnomalyError, match=r"backward: Pow made a gradient .*: root = x\*\*0\.5"):
            root.sum().backward()
    assert np.isinf(host(sn.log(x))).any()  # outside of it, nothing is looked at
    missing = variable([np.nan, 1.0])
    with sn.detect_anomaly():
        sn.relu(missing).sum().backward()  # NaN that comes in is no change, and no fault
    np.testing.assert_array_equal(host(missing.grad), [0, 1])


@pytest.mark.guarantee("Changing data that a gradient needs, through the library, is an error.")
def test_a_result_changed_through_the_library_counts_too(backend):
    x = variable([1.0, 2.0])
    y = sn.tanh(x)
    loss = y.sum()
    with sn.no_grad():
        y[0] = 5.0
    with pytest.raises(StaleGraphError, match=r"Variable\(2,\) was changed after Tanh used it"):
        loss.backward()


@pytest.mark.guarantee("Changing data that a gradient needs, through the library, is an error.")
def test_a_frozen_parameter_counts_too(backend, rng):
    net, loss = net_and_loss(rng)
    for each in net[1].parameters():
        each.requires_grad = False
    stale = loss()
    net[1].weight.data *= 0
    with pytest.raises(StaleGraphError, match="weight"):
        stale.backward()


@pytest.mark.guarantee("Reading a parameter is not a change.")
def test_a_network_in_another_process_begins_anew(rng):
    net, loss = net_and_loss(rng)
    for _ in range(3):
        net.zero_grad()
        loss().backward()
        sn.SGD(net.parameters(), 0.1).step()
    code = """
import pickle, sys
import numpy as np
import scratchnet as sn
net = pickle.load(sys.stdin.buffer)
sn.softmax_loss(net(sn.Variable(np.ones((2, 5), "float32"))), sn.Variable(np.array([0, 1]))).backward()
"""
    done = python("-c", code, given=pickle.dumps(net), text=False)
    assert done.returncode == 0, done.stderr
    again = copy.deepcopy(net)
    np.testing.assert_array_equal(again[0].weight.data, net[0].weight.data)


@pytest.mark.guarantee("Reading a parameter is not a change.")
def test_nan_in_a_parameter_is_no_change(backend):
    w = variable([np.nan, 1.0])
    y = (w * 2).sum()
    assert np.isnan(host(w.data)).any()
    y.backward()
    np.testing.assert_array_equal(host(w.grad), [2, 2])


@pytest.mark.guarantee("A graph can be used once, unless it was retained.")
def test_a_graph_used_after_it_was_freed(backend, rng):
    _, loss = net_and_loss(rng)
    used = loss()
    used.backward()
    with pytest.raises(GraphFreedError, match="gone"):
        used.backward()


@pytest.mark.guarantee("A Variable of one backend in a step of another is an error that names it.")
def test_a_variable_of_one_backend_in_a_step_of_another(rng):
    with use("numpy"):
        net, loss = net_and_loss(rng)
        begun = loss()
        x, y = variable(np.ones((2, 5), "float32")), variable([0, 1])
        sgd = sn.SGD(net.parameters(), 0.1)
        loss().backward()
    with use("strict"):
        for step in (lambda: net(x), begun.backward, sgd.step, lambda: sn.softmax_loss(x, y)):
            with pytest.raises(WrongArrayError, match=r"the active backend is strict; .*to_device"):
                step()
        assert active().name == "strict"


@pytest.mark.guarantee("An optimizer has at least one parameter, and each parameter once.")
def test_an_optimizer_wants_each_parameter_once_and_at_least_one():
    net = sn.Linear(2, 2, 0)
    with pytest.raises(SettingError, match="no parameters to train"):
        sn.SGD([], 0.1)
    with pytest.raises(SettingError, match="given twice"):
        sn.SGD([net.weight, net.bias, net.weight], 0.1)


@pytest.mark.guarantee("A parameter that is not trained, by mistake, is an error or a warning.")
def test_a_parameter_that_is_not_the_optimizer_s(rng):
    net = sn.Linear(5, 4, 0) >> sn.Linear(4, 3, 1)
    data = sn.ArrayDataLoader(rng.standard_normal((6, 5)).astype("float32"), rng.integers(0, 3, 6), 3)
    sgd = sn.SGD(net[1].parameters(), 0.1)
    with pytest.raises(SettingError, match=r"0\.weight of shape \(4, 5\) is not the optimizer's"):
        sn.Learner(data, net, sgd, sn.softmax_loss)
    for each in net[0].parameters():
        each.requires_grad = False
    before = host(net[0].weight).copy()
    sn.Learner(data, net, sgd, sn.softmax_loss).fit(1, None)
    np.testing.assert_array_equal(host(net[0].weight), before)


@pytest.mark.guarantee("A parameter that is not trained, by mistake, is an error or a warning.")
def test_a_loss_that_depends_on_no_parameter(backend, rng):
    net, _ = net_and_loss(rng)
    sgd = sn.SGD(net.parameters(), 0.1)
    constant = sn.softmax_loss(variable([[1.0, 2.0]], requires_grad=False), variable([0]))
    with pytest.raises(GraphError, match="needs no gradient"):
        constant.backward()
    sn.softmax_loss(variable([[1.0, 2.0]]), variable([0])).backward()  # depends on something else
    with pytest.raises(GraphError, match="the loss does not depend on any of them"):
        sgd.step()


VIEWS = {
    "reshape": lambda h: h.reshape(2, 1), "a slice": lambda h: h[:1], "T": lambda h: h.T,
    "split": lambda h: sn.split(h, 2)[0],
    "ravel": lambda h: h.ravel(),
    "detach": lambda h: h.detach(), "a copy": copy.copy,
    "a view of a view": lambda h: h[:1].reshape(1, 1),
    "broadcast_to and a slice": lambda h: h[None][0],
}  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("of_a_leaf", [False, True])
def test_a_change_through_a_view_is_noticed(backend, name, of_a_leaf):
    x = variable([1.0, 2.0])
    h = x if of_a_leaf else sn.exp(x)
    y = (h * h).sum()
    with sn.no_grad():
        VIEWS[name](h)[...] = 0.0
    with pytest.raises(sn.StaleGraphError, match="was changed after Mul used it"):
        y.backward()


class Same(sn.Function):
    def forward(self, x):
        return x

    def backward(self, grad):
        return grad


def test_a_change_through_a_result_that_is_the_operand_is_noticed(backend):
    x = variable([1.0, 2.0])
    y, same = (x * x).sum(), Same()(x)
    with sn.no_grad():
        same *= 2.0
    with pytest.raises(sn.StaleGraphError):
        y.backward()


def test_a_change_of_what_a_view_shows_is_noticed(backend):
    x = variable([[1.0, 2.0]])
    y = (x.T * x.T).sum()
    with sn.no_grad():
        x *= 3.0
    with pytest.raises(sn.StaleGraphError):
        y.backward()


def test_a_copy_made_by_a_function_is_another_memory(backend):
    x = variable([1.0, 2.0])
    y = (x * x).sum()
    with sn.no_grad():
        for other in (x + 0.0, x[to_device([0, 1])], x.astype("float64"), sn.tile(x, 2)):
            other *= 5.0
    y.backward()
    np.testing.assert_array_equal(host(x.grad), [2, 4])


def test_data_changed_in_place_are_still_shared_and_replaced_data_are_not(backend):
    x = variable([1.0, 2.0])
    view = x[:]
    x.data *= 2  # the same array, assigned again
    assert view.edge.version is x.edge.version
    x.data = to_device(np.array([5.0, 6.0]))
    y = (view * x).sum()
    with sn.no_grad():
        view *= 2.0
    assert view.edge.version is not x.edge.version
    with pytest.raises(sn.StaleGraphError):
        y.backward()
