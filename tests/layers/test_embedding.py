"""Embedding: PyTorch's numbers, indices outside, memory layouts and messages."""

import numpy as np
import pytest
from arrays import host
from oracle import assert_pytorch, assert_still_stored

import scratchnet as sn
from backends import to_device

ROOM = "embedding"
LAYERS = {
    "a table of words": ((7, 3), (4, 5)),
    "padding": ((7, 3, 2), (4, 5)),
    "padding from the end": ((7, 3, -2), (30,)),
    "one index": ((7, 3), ()),
    "three axes": ((5, 2, 0), (2, 3, 4)),
}
CASES = [*LAYERS, "ten steps"]


def drawn(case):
    arguments, shape = LAYERS[case]
    rng = np.random.default_rng(sum(map(ord, case)))
    rows, columns = arguments[:2]
    return (
        {"weight": rng.standard_normal((rows, columns))},
        rng.integers(0, rows, shape),
        rng.standard_normal((*shape, columns)),
    )


def by_pytorch(torch, case):
    if case == "ten steps":
        return training_by_pytorch(torch)
    state, indices, g = drawn(case)
    layer = torch.nn.Embedding(*LAYERS[case][0], dtype=torch.float64)
    layer.load_state_dict({name: torch.tensor(each) for name, each in state.items()})
    g = torch.tensor(g, requires_grad=True)
    y = layer(torch.tensor(indices))
    (first,) = torch.autograd.grad(y, layer.weight, g, create_graph=True)
    (second,) = torch.autograd.grad(((first - 1) ** 2).sum(), g)
    found = {"y": y, "gradient": first, "second": second}
    return {name: each.detach().numpy() for name, each in found.items()}


@pytest.mark.parametrize("kind", ["int64", "uint8"])
@pytest.mark.parametrize("case", LAYERS)
def test_a_layer_computes_what_pytorch_computes(backend, case, kind):
    state, indices, g = drawn(case)
    layer = sn.Embedding(*LAYERS[case][0], dtype="float64")
    layer.load_state_dict(state)
    indices, g = to_device(indices.astype(kind)), sn.Variable(to_device(g))
    y = layer(indices)
    (first,) = sn.grad(y, [layer.weight], g, create_graph=True)
    (second,) = sn.grad(((first - 1) ** 2).sum(), [g])
    layer(sn.Variable(indices)).backward(g.data)
    np.testing.assert_array_equal(host(layer.weight.grad), host(first))
    assert_pytorch(ROOM, case, {"y": host(y), "gradient": host(first), "second": host(second)})


def start_of_training():
    rng = np.random.default_rng(1)
    shapes = {"0.weight": (9, 4), "2.weight": (2, 12), "2.bias": (2,)}
    state = {name: rng.standard_normal(shape) / 2 for name, shape in shapes.items()}
    return state, rng.integers(0, 9, (10, 8, 3)), rng.standard_normal((10, 8, 2))


def training_by_pytorch(torch):
    nn = torch.nn
    net = nn.Sequential(nn.Embedding(9, 4, padding_idx=5), nn.Flatten(), nn.Linear(12, 2)).double()
    state, inputs, targets = start_of_training()
    net.load_state_dict({name: torch.tensor(each) for name, each in state.items()})
    sgd = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    for x, t in zip(torch.tensor(inputs), torch.tensor(targets), strict=True):
        sgd.zero_grad()
        ((net(x) - t) ** 2).mean().backward()
        sgd.step()
    return {name: each.numpy() for name, each in net.state_dict().items()}


def test_ten_steps_of_training_and_torch_s_state(backend):
    dtype = {"dtype": "float64"}
    net = sn.Embedding(9, 4, 5, **dtype) >> sn.Flatten() >> sn.Linear(12, 2, **dtype)
    state, inputs, targets = start_of_training()
    net.load_state_dict(state)
    sgd = sn.SGD(net.parameters(), 0.1, 0.9)
    for x, t in zip(inputs, targets, strict=True):
        net.zero_grad()
        sn.mse_loss(net(to_device(x)), to_device(t)).backward()
        sgd.step()
    assert_pytorch(ROOM, "ten steps", net.state_dict())
    np.testing.assert_array_equal(net.state_dict()["0.weight"][5], state["0.weight"][5])


@pytest.mark.parametrize("case", CASES)
def test_what_is_stored_is_what_pytorch_computes(case):
    assert_still_stored(ROOM, case, by_pytorch)


def test_the_initial_values_are_torch_s(backend):
    weight = sn.Embedding(1000, 20, padding_idx=-1, rng=0).state_dict()["weight"]
    assert weight.dtype == np.float32
    assert not weight[-1].any()
    assert abs(weight[:-1].mean()) < 0.03
    assert abs(weight[:-1].std() - 1) < 0.03
    np.testing.assert_array_equal(sn.Embedding(1000, 20, -1, rng=0).state_dict()["weight"], weight)
    constant = sn.Embedding(3, 2, weight_init=sn.initializers.constant(2.0), dtype="float16")
    assert constant.state_dict()["weight"].tolist() == [[2, 2]] * 3
    assert repr(sn.Embedding(3, 2)) == "Embedding(3, 2)"
    assert repr(sn.Embedding(3, 2, -1)) == "Embedding(3, 2, padding_idx=2)"


@pytest.mark.parametrize("outside", [10, -1, 2**40])
def test_an_index_outside_is_an_error_that_names_it_or_gives_nan(backend, outside):
    layer, indices = sn.Embedding(10, 3, rng=0), np.zeros((4, 2), np.int64)
    indices[3, 0] = outside
    if backend == "numpy":
        with pytest.raises(sn.IndexingError, match=rf"index {outside} at \(3, 0\) is outside 0 … 9"):
            layer(to_device(indices))
        return
    y = host(layer(to_device(indices)))
    assert np.isnan(y[3, 0]).all()
    assert np.isfinite(np.delete(y.reshape(8, 3), 6, 0)).all()


def test_no_index_has_a_gradient_of_zeros(backend):
    layer = sn.Embedding(4, 3, padding_idx=0)
    y = layer(to_device(np.zeros((2, 0), int)))
    y.sum().backward()
    assert y.shape == (2, 0, 3)
    assert not host(layer.weight.grad).any()


def test_an_index_may_be_a_number_of_numpy(backend):
    layer, words = sn.Embedding(4, 3, rng=0), np.array([1, 2])
    np.testing.assert_array_equal(host(layer(words[1])), host(layer.weight)[2])


def test_indices_that_change_before_backward_are_found(backend):
    layer, indices = sn.Embedding(4, 3, rng=0), sn.Variable(to_device(np.array([1, 2])))
    y = layer(indices)
    with sn.no_grad():
        indices[0] = 3
    with pytest.raises(sn.StaleGraphError):
        y.sum().backward()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_gradient_of_many_repeated_words(backend, dtype):
    """The sizes are those at which NumPy adds whole rows in rounds."""
    rng = np.random.default_rng(3)
    indices, g = rng.zipf(1.3, (32, 64)) % 300, rng.standard_normal((32, 64, 80)).astype(dtype)
    layer = sn.Embedding(300, 80, padding_idx=2, dtype=dtype)
    layer(to_device(indices)).backward(to_device(g))
    expected = np.zeros((300, 80), np.float32)
    np.add.at(expected, indices, g.astype(np.float32))
    expected[2] = 0
    np.testing.assert_array_equal(host(layer.weight.grad), expected.astype(dtype))


def weights(*shape):
    return sn.Variable(np.ones(shape or (4, 3), "f4"))


FAULTS = {
    "Embedding: num_embeddings is 0; it must be a positive integer": lambda: sn.Embedding(0, 3),
    "Embedding: embedding_dim is 2.5": lambda: sn.Embedding(3, 2.5),
    r"Embedding: padding_idx is 3; it must be an integer from -3 to 2, or None": (
        lambda: sn.Embedding(3, 2, 3)),
    "Embedding: padding_idx is True": lambda: sn.Embedding(3, 2, True),
    "embedding: padding_idx is -5": lambda: sn.embedding(np.array([1]), weights(), -5),
    "Embedding: dtype is 'int32'": lambda: sn.Embedding(3, 2, dtype="int32"),
    "Embedding: rng is 'a'": lambda: sn.Embedding(3, 2, rng="a"),
    r"embedding: indices is a list; give an array of integers, or wrap it: Variable\(indices\)": (
        lambda: sn.Embedding(3, 2)([1, 2])),
    r"embedding: indices has dtype float64; it must hold integers: .astype\('int64'\)": (
        lambda: sn.Embedding(3, 2)(np.ones(3))),
    "embedding: indices has dtype bool": lambda: sn.Embedding(3, 2)(np.ones(3, bool)),
    r"embedding: weight has shape \(4,\); it must be \(rows, columns\)": (
        lambda: sn.embedding(np.array([1]), weights(4))),
    "embedding: weight is of dtype int64; it must be a floating": (
        lambda: sn.embedding(np.array([1]), np.ones((3, 2), int))),
    "embedding: weight is a list": lambda: sn.embedding(np.array([1]), [[1.0]]),
    r"Embedding: index 0 at \(\) is outside": lambda: sn.embedding(np.array(0), weights(0, 2)),
}  # fmt: skip


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_is_one_clear_line(message):
    with pytest.raises(sn.ScratchnetError, match=message) as caught:
        FAULTS[message]()
    assert "\n" not in str(caught.value)


def test_an_explanation_and_a_drawing(backend):
    layer = sn.Embedding(9, 4, rng=0)
    words = sn.Variable(to_device(np.array([[1, 2, 1]])), name="words")
    loss = layer(words).sum()
    assert "indices needs no gradient" in str(sn.explain(loss))
    assert "words" in sn.draw(loss).dot
