"""The state of a module: buffers, one path for each thing, a child's own state, printing."""

import copy
import pickle

import numpy as np
import pytest
from arrays import host, variable

import scratchnet as sn
from backends import to_device, xp


class Norm(sn.Module):
    """Batch normalization as a user writes it, with running statistics."""

    def __init__(self, features):
        self.gain = sn.Variable(to_device(np.ones(features, "float32")))
        self.running_mean = sn.Buffer(to_device(np.zeros(features, "float32")))
        self.seen = sn.Buffer(0)

    def forward(self, x):
        if self.training:
            self.running_mean = 0.9 * self.running_mean.data + 0.1 * x.data.mean(axis=0)
            self.seen = int(self.seen.item()) + len(x)
            return (x - x.mean(axis=0)) * self.gain
        return (x - self.running_mean) * self.gain


def trained(net):
    rng = np.random.default_rng(0)
    for _ in range(3):
        net(variable(rng.standard_normal((8, 4)).astype("float32") + 2))
    return net.eval()


@pytest.mark.guarantee("state_dict has every parameter and buffer, each under one path.")
def test_running_statistics_come_back_after_loading(backend, rng):
    net = trained(sn.Sequential(sn.Linear(4, 3, 0), Norm(3)))
    x = variable(rng.standard_normal((5, 4)).astype("float32"))
    again = sn.Sequential(sn.Linear(4, 3, 7), Norm(3)).eval()
    again.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(host(again(x)), host(net(x)))
    assert set(net.state_dict()) == {"0.weight", "0.bias", "1.gain", "1.running_mean", "1.seen"}
    assert [path for path, _ in net.named_buffers()] == ["1.running_mean", "1.seen"]
    assert [path for path, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.gain"]
    assert int(again[1].seen.item()) == 24


def test_assigning_writes_into_the_buffer_s_memory_and_counts_as_a_change(backend):
    norm = Norm(3)
    buffer, array = norm.running_mean, norm.running_mean.data
    loss = (variable(np.ones(3, "float32")) * buffer).sum()
    norm.running_mean = to_device(np.array([1, 2, 3], "float32"))
    assert norm.running_mean is buffer
    assert buffer.data is array
    np.testing.assert_array_equal(host(array), [1, 2, 3])
    with pytest.raises(sn.StaleGraphError):
        loss.backward()
    norm.running_mean = variable(np.array([4, 5, 6], "float32")) * 1.0
    np.testing.assert_array_equal(host(array), [4, 5, 6])
    assert not norm.running_mean.requires_grad
    replaced = sn.Buffer(to_device(np.zeros(2)))
    norm.running_mean = replaced
    assert norm.running_mean is replaced


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.zeros(4, "float32"), sn.ShapeError, r"Norm.running_mean: shape \(4,\) does not fit"),
        (
            np.zeros(3),
            sn.OperandError,
            r"Norm.running_mean = an array of float64: it is a buffer of float32",
        ),
        ("text", sn.OperandError, r"Norm.running_mean = a str"),
        (1.0, sn.OperandError, r"Norm.running_mean = a float"),
    ],
)
def test_what_does_not_fit_a_buffer_is_named(value, error, message):
    norm = Norm(3)
    with pytest.raises(error, match=message):
        norm.running_mean = value
    np.testing.assert_array_equal(norm.running_mean.data, np.zeros(3))


def test_a_buffer_survives_copying_and_pickling():
    net = trained(sn.Sequential(sn.Linear(4, 3, 0), Norm(3)))
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert isinstance(twin[1].running_mean, sn.Buffer)
        before = net[1].running_mean.data.copy()
        twin[1].running_mean = np.full(3, 9, "float32")
        np.testing.assert_array_equal(net[1].running_mean.data, before)


@pytest.mark.guarantee("state_dict has every parameter and buffer, each under one path.")
@pytest.mark.parametrize(
    "parts",
    [
        {"a.b": sn.Linear(2, 2, 0), "a": {"b": sn.Linear(2, 2, 1)}},
        {0: sn.Linear(2, 2, 0), "0": sn.Linear(2, 2, 1)},
    ],
)
def test_two_things_with_one_path_are_an_error(parts):
    class Net(sn.Module):
        def __init__(self):
            self.parts = parts

    for look in (lambda net: net.state_dict(), lambda net: net.parameters()):
        with pytest.raises(sn.SettingError, match=r"Net: two parts have the path parts\.(a\.b|0)"):
            look(Net())


class Counter(sn.Module):
    """Keeps a number on the host, which only its own state_dict knows."""

    def __init__(self):
        self.count, self.scale = 0, sn.Variable(2.0)

    def forward(self, x):
        self.count += 1
        return x * self.scale

    def state_dict(self):
        return {"count": np.array(self.count), "scale": host(self.scale)}

    def load_state_dict(self, state):
        if self.count > 100:
            raise sn.CheckpointError("Counter is full")
        self.count = int(state["count"])
        self.scale.data = to_device(np.asarray(state["scale"], "float32"))


@pytest.mark.guarantee("state_dict has every parameter and buffer, each under one path.")
def test_a_child_s_own_state_stands_under_its_path_and_comes_back(backend):
    net = sn.Sequential(sn.Linear(2, 2, 0), sn.Sequential(Counter()))
    net(variable([[1.0, 2.0]]))
    state = net.state_dict()
    assert set(state) == {"0.weight", "0.bias", "1.0.count", "1.0.scale"}
    again = sn.Sequential(sn.Linear(2, 2, 1), sn.Sequential(Counter()))
    again.load_state_dict(state)
    assert again[1][0].count == 1
    np.testing.assert_array_equal(host(again[0].weight), host(net[0].weight))


class Counting(sn.Module):
    """Adds a number to what the base keeps."""

    def __init__(self):
        self.count, self.layer = 0, sn.Linear(2, 2, 0)

    def state_dict(self):
        return super().state_dict() | {"count": np.array(self.count)}

    def load_state_dict(self, state):
        rest = dict(state)
        self.count = int(rest.pop("count"))
        super().load_state_dict(rest)


@pytest.mark.guarantee("state_dict has every parameter and buffer, each under one path.")
def test_a_state_that_adds_to_the_base_s_comes_back_alone_and_as_a_child(backend):
    for make in (Counting, lambda: sn.Sequential(Counting())):
        net, again = make(), make()
        for module in net.modules():
            module.count = 3
        with sn.no_grad():
            net.parameters()[0][0, 0] = 7.0
        again.load_state_dict(net.state_dict())
        assert again.modules()[-2].count == 3
        for found, expected in zip(again.parameters(), net.parameters(), strict=True):
            np.testing.assert_array_equal(host(found), host(expected))


@pytest.mark.guarantee("state_dict has every parameter and buffer, each under one path.")
@pytest.mark.parametrize("first", ["part", "part.extra", "part.count"])
def test_what_stands_next_to_a_child_s_own_state_is_kept_or_named(first):
    def make(name):
        net = sn.Module()
        things = {"part": Counter(), name: sn.Variable(5.0)}
        for each in sorted(things, key=lambda each: each != first):
            setattr(net, each, things[each])
        return net

    net, again = make("part.extra"), make("part.extra")
    getattr(net, "part.extra").data *= 2
    again.load_state_dict(net.state_dict())
    assert getattr(again, "part.extra").item() == 10
    with pytest.raises(sn.SettingError, match=r"Module: two parts have the path part\.count"):
        make("part.count").state_dict()


def test_where_a_child_refuses_nothing_is_loaded(backend):
    net, again = (sn.Sequential(sn.Linear(2, 2, seed), Counter()) for seed in (0, 1))
    before = host(again[0].weight).copy()
    again[1].count = 101
    with pytest.raises(sn.CheckpointError, match="Counter is full"):
        again.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(host(again[0].weight), before)


def test_keyword_arguments_reach_forward(backend):
    class Scaled(sn.Module):
        def forward(self, x, by=1.0):
            return x * by

    np.testing.assert_array_equal(host(Scaled()(variable([1.0, 2.0]), by=3.0)), [3, 6])


def test_printing_shows_the_modules_as_pytorch_does():
    class Net(sn.Module):
        def __init__(self):
            self.body = sn.Sequential(sn.Linear(4, 3, 0), sn.relu, Norm(3))
            self.heads = [sn.Linear(3, 2, 0)]

        def forward(self, x):
            return self.heads[0](self.body(x))

    assert (
        repr(Net())
        == """Net(
  (body): Sequential(
    (0): Linear(in_features=4, out_features=3, bias=True)
    (1): relu
    (2): Norm()
  )
  (heads.0): Linear(in_features=3, out_features=2, bias=True)
)"""
    )


def test_an_array_in_place_of_a_parameter_is_an_error(backend):
    net = sn.Linear(2, 2, 0)
    with pytest.raises(sn.OperandError, match=r"assign to \.weight\.data"):
        net.weight = xp.ones((2, 2))
    net.weight = sn.Variable(xp.ones((2, 2)))
    assert [path for path, _ in net.named_parameters()] == ["weight", "bias"]


def test_a_state_whose_numbers_do_not_fit_the_dtype_is_refused(backend):
    net = sn.Linear(2, 2, 0)
    state = {**net.state_dict(), "bias": np.array([1e300, 1.0])}
    with pytest.raises(sn.CheckpointError, match="bias holds numbers too large for float32"):
        net.load_state_dict(state)
    assert np.isfinite(net.state_dict()["bias"]).all()


def test_a_masked_array_is_no_weight(backend):
    net = sn.Linear(2, 2, 0)
    masked = np.ma.masked_array(np.ones(2), [True, False])
    with pytest.raises(sn.CheckpointError, match=r"bias is a masked array; give bias\.filled"):
        net.load_state_dict({**net.state_dict(), "bias": masked})


def test_truth_values_are_no_weights(backend):
    net = sn.Linear(2, 2, 0)
    with pytest.raises(sn.CheckpointError, match="bias holds bool, but the network's holds float32"):
        net.load_state_dict({**net.state_dict(), "bias": np.array([True, False])})


def halved(net):
    with sn.no_grad():
        net[0].weight = net[0].weight * 0.5


PARAMETER_LOST = {
    "a result": halved,
    "a number": lambda net: setattr(net[0], "weight", 3.0),
    "an array": lambda net: setattr(net[0], "bias", net[0].bias.data),
}


@pytest.mark.parametrize("what", PARAMETER_LOST)
def test_what_would_replace_a_parameter_and_not_be_trained_is_an_error(backend, what):
    net = sn.Sequential(sn.Linear(3, 2, 0))
    with pytest.raises(sn.OperandError, match=r"is a Variable, and .* neither trained nor saved"):
        PARAMETER_LOST[what](net)
    net[0].weight = sn.Variable(net[0].weight.data * 2)
    net[0].bias = None
    assert list(net.state_dict()) == ["0.weight"]


def test_a_state_that_needs_no_gradient_may_become_a_result(backend):
    net = sn.Module()
    net.hidden = sn.Variable([0.0], requires_grad=False)
    net.hidden = net.hidden + 1.0
    assert net.hidden.item() == 1


def test_a_buffer_in_a_list_changes_in_place(backend):
    net = sn.Module()
    net.means = [sn.Buffer(np.zeros(2, "float32"))] if backend == "numpy" else [sn.Buffer([0.0, 0.0])]
    net.means[0] += 1
    assert net.state_dict()["means.0"].tolist() == [1, 1]


@pytest.mark.parametrize("value", [2.9, float("nan")])
def test_a_counter_takes_no_fraction(backend, value):
    net = sn.Module()
    net.count = sn.Buffer(to_device(np.array(1)))
    net.count = 2
    with pytest.raises(sn.OperandError, match="fit into int64"):
        net.count = value
    assert net.count.item() == 2


def test_a_parameter_may_become_a_result_of_its_graph(backend):
    net = sn.Linear(2, 1, 0)
    weight = net.weight
    net.weight = weight * 2.0  # as for a mask, a tied weight, or a step of meta-learning
    net(variable(np.ones((1, 2), "float32"))).sum().backward()
    assert host(weight.grad).tolist() == [[2, 2]]


def test_a_tied_weight_that_a_module_keeps_is_named_in_the_second_step(backend):
    encoder, decoder = sn.Linear(3, 2, 0), sn.Linear(2, 3, 1)
    decoder.weight = encoder.weight.T
    x = variable(np.ones((4, 3), "float32"))
    sn.mse_loss(decoder(encoder(x)), x).backward()
    with pytest.raises(
        sn.GraphFreedError, match=r"compute in it what a module keeps, such as weight\.T"
    ):
        sn.mse_loss(decoder(encoder(x)), x).backward()


def test_a_buffer_of_a_class_is_not_shared_by_its_modules(backend):
    class Shared(sn.Module):
        mean = sn.Buffer([0.0, 0.0])

    one, other = Shared(), Shared()
    one.mean = xp.ones(2, "float32")
    assert host(other.mean).tolist() == [0, 0]


def test_an_attribute_named_sequential_disturbs_nothing(backend):
    class Net(sn.Module):
        def __init__(self):
            self.sequential = sn.Sequential(sn.Linear(3, 2, 0))

        def forward(self, x):
            return self.sequential(x)

    assert len(Net() >> sn.relu) == 2


@pytest.mark.parametrize("state", ["m.safetensors", None, []])
def test_a_state_that_is_not_a_dict_is_named(backend, state):
    with pytest.raises(sn.CheckpointError, match=r"the state is .*; give a dict"):
        sn.Linear(2, 2, 0).load_state_dict(state)


def test_the_activation_is_shown():
    assert "activation=tanh" in repr(sn.Linear(2, 2, 0, activation=sn.tanh))


@pytest.mark.parametrize("rng", ["a", -1, 1.5])
def test_a_wrong_seed_is_named(rng):
    with pytest.raises(sn.SettingError, match="Linear: rng is"):
        sn.Linear(2, 2, rng=rng)


def test_only_a_bias_of_version_0_1_has_another_shape():
    net = sn.Module()
    net.scale, net.bias = sn.Variable([1.0, 2.0]), sn.Variable([1.0, 2.0])
    state = net.state_dict()
    net.load_state_dict(state | {"bias": state["bias"].reshape(1, 2)})
    with pytest.raises(sn.CheckpointError, match="scale has shape"):
        net.load_state_dict(state | {"scale": state["scale"].reshape(1, 2)})
