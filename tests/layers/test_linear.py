"""The linear layer."""

import numpy as np
import pytest
from arrays import host, variable

import scratchnet as sn
from backends import to_device

SHAPES = [(4,), (5, 4), (0, 4), (2, 3, 4), (2, 0, 4), (2, 1, 3, 4)]


def test_linear_draws_the_same_numbers_on_every_backend(backend):
    layer = sn.Linear(784, 100, rng=np.random.default_rng(3))
    drawn = np.random.default_rng(3).standard_normal((100, 784)) * np.sqrt(2 / 884)
    np.testing.assert_array_equal(host(layer.weight), drawn.astype(np.float32))
    np.testing.assert_array_equal(host(layer.bias), np.zeros(100))
    assert layer.weight.dtype == layer.bias.dtype == np.float32


def test_linear_and_its_gradients(backend, rng):
    x, weight, bias = (rng.standard_normal(shape) for shape in [(5, 4), (3, 4), (3,)])
    np.testing.assert_allclose(
        host(sn.functions.Affine()(*map(variable, (x, weight, bias)))), x @ weight.T + bias
    )
    assert sn.gradcheck(sn.functions.Affine(), x, weight, bias)


def along_the_first_axis(y):
    return y * y.sum(axis=0, keepdims=True)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("activation", [None, sn.relu, sn.tanh, along_the_first_axis])
@pytest.mark.parametrize("bias", [True, False])
def test_leading_axes_are_as_many_rows(backend, rng, shape, activation, bias):
    """The definition, x @ weight.T + bias, gives the result and the gradients."""
    layer = sn.Linear(4, 3, 0, activation, bias=bias, bias_init=sn.initializers.normal())
    given, grad = (rng.standard_normal((*shape[:-1], size)).astype(np.float32) for size in (4, 3))
    x = variable(given)
    layer(x).backward(to_device(grad))
    found = [host(layer(x))] + [host(each.grad) for each in (x, *layer.parameters())]
    layer.zero_grad()
    again = variable(given)
    expected = again @ layer.weight.T + (layer.bias if bias else 0.0)
    expected = activation(expected) if activation else expected
    expected.backward(to_device(grad))
    wanted = [host(expected)] + [host(each.grad) for each in (again, *layer.parameters())]
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(4,), (2, 4), (2, 1, 4)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_linear_can_be_differentiated_twice(backend, rng, shape, bias):
    layer = sn.Linear(4, 3, 0, sn.tanh, bias=bias)

    def call(x, weight, *biases):
        layer.weight, layer.bias = weight, biases[0] if biases else None
        return layer(x)

    values = [rng.standard_normal(each) for each in (shape, (3, 4), (3,))]
    assert sn.gradgradcheck(call, *(values if bias else values[:2]))


def test_without_a_bias(backend):
    layer = sn.Linear(4, 3, 0, bias=False)
    assert layer.bias is None
    assert [name for name, _ in layer.named_parameters()] == list(layer.state_dict()) == ["weight"]
    assert repr(layer) == "Linear(in_features=4, out_features=3, bias=False)"
    np.testing.assert_array_equal(host(layer.weight), host(sn.Linear(4, 3, 0).weight))
    other = sn.Linear(4, 3, 1, bias=False)
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(host(other.weight), host(layer.weight))


def test_the_work_without_a_bias_is_that_of_the_products(backend):
    counted = sn.summary(sn.Linear(4, 3, 0, bias=False), (2, 5, 4))
    assert [(row.outputs, row.parameters) for row in counted.rows] == [(((2, 5, 3),), 12)]
    assert counted.rows[0].forward == counted.rows[0].backward == 2 * 10 * 4 * 3


def test_initializers_get_the_shape_and_draw_weight_then_bias(backend):
    asked = []

    def draw(shape, rng):
        asked.append(shape)
        return rng.random(shape)

    layer = sn.Linear(4, 3, 5, weight_init=draw, bias_init=draw)
    assert asked == [(3, 4), (3,)]
    expected = np.random.default_rng(5).random(15).astype(np.float32)
    np.testing.assert_array_equal(host(layer.weight).ravel(), expected[:12])
    np.testing.assert_array_equal(host(layer.bias), expected[12:])
    assert layer.weight.dtype == layer.bias.dtype == np.float32


def test_a_layer_copies_what_an_initializer_returns():
    mine = np.ones(3, np.float32)
    layer = sn.Linear(4, 3, 0, bias_init=lambda shape, rng: mine)
    mine[:] = 7
    np.testing.assert_array_equal(layer.bias.data, 1)


@pytest.mark.parametrize(
    ("initializer", "message"),
    [
        (3, "is an int; give a function of"),
        (lambda shape, rng: np.zeros((2, 2)), r"returned float64 of shape \(2, 2\); .* of shape \(3"),
        (lambda shape, rng: np.zeros(shape, int), "returned int64 .*; it must return a floating array"),
        (lambda shape, rng: 0.5, "returned a float; it must return a floating array"),
        (lambda shape, rng: np.full(shape, np.nan), "returned NaN or infinity"),
        (lambda shape, rng: np.full(shape, 1e39), "returned NaN or infinity"),
    ],
)
@pytest.mark.parametrize("argument", ["weight_init", "bias_init"])
def test_what_an_initializer_must_not_return(argument, initializer, message):
    with pytest.raises(sn.SettingError, match=f"^Linear: {argument} {message}"):
        sn.Linear(4, 3, 0, **{argument: initializer})


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: sn.Linear(0, 3), sn.SettingError, "in_features is 0"),
        (lambda: sn.Linear(4, 3)(variable(np.ones((5, 3)))), sn.ShapeError, r"\(5, 3\).*\(\.\.\., 4\)"),
        (lambda: sn.Linear(4, 3)(variable(np.ones((4, 1)))), sn.ShapeError, r"\(4, 1\)"),
        (lambda: sn.Linear(4, 3)(variable(1.0)), sn.ShapeError, r"shape \(\)"),
        (lambda: sn.Linear(4, 3)([[1, 2, 3, 4]]), sn.OperandError, "Variable"),
    ],
)
def test_sizes_and_inputs_that_cannot_be(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("frozen", [("weight",), ("bias",), ("weight", "bias")])
@pytest.mark.parametrize("activation", [None, sn.relu])
def test_a_frozen_parameter_gets_no_gradient_and_the_others_get_theirs(backend, rng, frozen, activation):
    x = rng.standard_normal((4, 3)).astype("float32")
    layers = [sn.Linear(3, 2, 0, activation) for _ in "12"]
    inputs = [variable(x), variable(x)]
    for name in frozen:
        getattr(layers[1], name).requires_grad = False
    for layer, given in zip(layers, inputs, strict=True):
        layer(given).sum().backward()
    np.testing.assert_allclose(host(inputs[1].grad), host(inputs[0].grad), rtol=1e-6)
    for name in ("weight", "bias"):
        grads = [getattr(layer, name).grad for layer in layers]
        assert (grads[1] is None) == (name in frozen)
        if name not in frozen:
            np.testing.assert_allclose(host(grads[1]), host(grads[0]), rtol=1e-6)
