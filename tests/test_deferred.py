"""A gradient that goes into its weight as it is made: the same numbers, and nobody can tell."""

import numpy as np
import pytest

import scratchnet as sn
from backends import DeferredProduct, Setting, active, blas, deferred_products, use
from scratchnet.functions import Affine


@pytest.fixture(autouse=True)
def _numpy():
    with use("numpy"):
        yield


@pytest.fixture(params=[True, False], ids=["blas", "no blas"])
def gemm(request, monkeypatch):
    """With BLAS's own product, and as where NumPy comes with another BLAS."""
    if not request.param:
        monkeypatch.setattr(blas, "_gemm", lambda dtype: None)
    elif not blas.adds_products():
        pytest.skip("this NumPy's BLAS has another interface")


def test_numpy_s_own_blas_is_found_in_its_wheels():
    if np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"] != "scipy-openblas":
        pytest.skip("this NumPy was built with another BLAS")
    assert blas.adds_products()


def laid_out(matrix, layout):
    if layout == "gaps":
        return np.repeat(matrix, 2, axis=1)[:, ::2]
    return np.asarray(matrix, order=layout)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "layouts", ["CCC", "CCF", "CFC", "FCF", "FFF", "FFC", ("gaps", "C", "F"), "CFF"]
)
@pytest.mark.parametrize("shape", [(5, 3, 4), (1, 3, 4), (5, 1, 4), (5, 3, 1), (0, 3, 4), (5, 0, 4)])
def test_a_product_is_added_whatever_the_memory_order(gemm, rng, dtype, layouts, shape):
    n, k, m = shape
    drawn = (rng.standard_normal(s).astype(dtype) for s in ((n, k), (k, m), (n, m)))
    a, b, out = (laid_out(each, layout) for each, layout in zip(drawn, layouts, strict=True))
    start, expected = out.copy(), out - 0.25 * (a @ b)
    product = DeferredProduct(a, b, out)
    product.add_to(out, -0.25)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
    computed = product.compute()
    np.testing.assert_allclose(computed, a @ b, rtol=1e-5, atol=1e-6)
    out[...] = start
    product.add_to(out, -0.25)  # what was computed once
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
    assert computed.dtype == dtype
    assert out.flags.f_contiguous == computed.flags.f_contiguous


def test_what_blas_cannot_take_is_added_all_the_same(rng):
    a, b = rng.standard_normal((3, 4)), rng.standard_normal((4, 2)).astype("float32")
    out = np.zeros((3, 2))
    DeferredProduct(a, b, out).add_to(out, 2.0)
    np.testing.assert_allclose(out, 2 * (a @ b))
    swapped = np.zeros((3, 2), np.dtype("float64").newbyteorder())
    DeferredProduct(a.astype(swapped.dtype), b.astype(swapped.dtype), swapped).add_to(swapped, 2.0)
    np.testing.assert_allclose(swapped, out)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        DeferredProduct(a, b.astype("float64"), out).add_to(out, 1.0)


def net_and_data(rng, layers=1):
    x, y = rng.standard_normal((70, 200)).astype("float32"), rng.integers(0, 10, 70)
    net = sn.Linear(200, 150, 0, activation=sn.relu)
    for seed in range(layers - 1):
        net = net >> sn.Linear(150, 150, seed + 2, activation=sn.tanh)
    return net >> sn.Linear(150, 10, 1), sn.ArrayDataLoader(x, y, 16, shuffle=None)


@pytest.mark.parametrize("layers", [1, 3])
def test_the_learner_trains_as_a_loop_of_one_s_own(gemm, rng, layers):
    (net, data), (same, _) = net_and_data(rng, layers), net_and_data(np.random.default_rng(7), layers)
    sn.Learner(data, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss).fit(3, None)
    sgd = sn.SGD(same.parameters(), 0.1)
    for x, y in [*data.in_order()] * 3:
        sgd.zero_grad()
        sn.softmax_loss(same(x), y).backward()
        sgd.step()
    for ours, theirs in zip(net.parameters(), same.parameters(), strict=True):
        np.testing.assert_allclose(ours.data, theirs.data, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_a_gradient_has_its_weight_s_dtype_whatever_the_inputs_are(rng):
    net = sn.Linear(200, 150, 0, activation=sn.relu) >> sn.Linear(150, 10, 1)
    data = sn.ArrayDataLoader(rng.standard_normal((20, 200)), rng.integers(0, 10, 20), 10)
    sn.Learner(data, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss).fit(2, None)
    assert [each.grad.dtype for each in net.parameters()] == ["float32"] * 4
    assert [each.dtype for each in net.parameters()] == ["float32"] * 4


def test_the_gradients_of_the_last_batch_stay_when_the_data_change(rng):
    net, data = net_and_data(rng)
    sn.Learner(data, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss).fit(1, None)
    weight = net.parameters()[0]
    assert type(weight.raw_grad) is np.ndarray
    before = weight.grad.copy()
    data.inputs *= 0
    np.testing.assert_array_equal(weight.grad, before)


def test_a_gradient_is_deferred_only_where_the_learner_asks(rng):
    net, data = net_and_data(rng)
    x, y = next(iter(data))
    weight = net.parameters()[0]
    sn.softmax_loss(net(x), y).backward()
    assert type(weight.raw_grad) is np.ndarray
    expected = weight.grad
    net.zero_grad()
    with deferred_products([each.data for each in net.parameters()]):
        sn.softmax_loss(net(x), y).backward()
        assert type(weight.raw_grad) is DeferredProduct
        sn.softmax_loss(net(x), y).backward()  # gradients add up until they are zeroed
    np.testing.assert_allclose(weight.grad, 2 * expected, rtol=1e-6)


def test_a_weight_used_twice_or_made_by_a_function_gets_its_whole_gradient(rng):
    weight, bias = (
        sn.Variable(rng.standard_normal((150, 150)).astype("float32")),
        sn.Variable([[0.0] * 150]),
    )
    x = sn.Variable(rng.standard_normal((8, 150)).astype("float32"))

    def gradient():
        weight.zero_grad()
        twice = Affine()(Affine()(x, weight, bias), 2 * weight + weight, bias)
        (twice * twice).sum().backward()
        return weight.grad

    expected = gradient()
    with deferred_products([weight.data]):
        np.testing.assert_allclose(gradient(), expected, rtol=1e-5)


def view(array):
    return array[:]


def of_foreign_memory(array):
    return np.frombuffer(bytearray(array.tobytes()), array.dtype).reshape(array.shape)


@pytest.mark.parametrize("made", [np.array, view, of_foreign_memory])
def test_an_update_that_changes_what_another_gradient_is_made_of(gemm, rng, made):
    a, b = (made(rng.standard_normal((150, 150)).astype("float32")) for _ in range(2))
    grad = rng.standard_normal((150, 150)).astype("float32")
    expected = a - 0.5 * (grad @ b), b - 0.5 * (grad @ a)  # each is a factor of the other's gradient
    gradients = DeferredProduct(grad, b[:], a), DeferredProduct(grad, a[:], b)
    active().sgd_update([a, b], gradients, Setting(0.5))
    for found, each in zip((a, b), expected, strict=True):
        np.testing.assert_allclose(found, each, rtol=1e-4, atol=1e-4)


def trained(make, data, optimizer=sn.SGD, by_hand=False):
    """A network after two epochs of `Learner`, or of a loop of one's own."""
    net = make()
    sgd = optimizer(net.parameters(), 0.1)
    if not by_hand:
        sn.Learner(data, net, sgd, sn.softmax_loss).fit(2, None)
        return net
    for x, y in [*data.in_order()] * 2:
        sgd.zero_grad()
        sn.softmax_loss(net(x), y).backward()
        sgd.step()
    return net


class Prompt(sn.Module):
    """A parameter is the input of a layer, and so a factor of another's gradient."""

    def __init__(self):
        self.embedding = sn.Variable(
            np.random.default_rng(3).standard_normal((200, 150)).astype("float32")
        )
        self.layer = sn.Linear(150, 120, 0)

    def forward(self, x):
        return x @ self.layer(self.embedding)


class PlainSteps(sn.SGD):
    def step(self):
        for each in self.parameters:
            each.data -= np.float32(self.learning_rate) * each.grad


class EveryOther(sn.SGD):
    """Gradients of two batches add up."""

    count = 0

    def zero_grad(self):
        if self.count % 2 == 0:
            super().zero_grad()

    def step(self):
        self.count += 1
        if self.count % 2 == 0:
            super().step()


@pytest.mark.parametrize("optimizer", [sn.SGD, PlainSteps, EveryOther])
def test_whatever_the_optimizer_a_parameter_that_is_an_input_is_trained_the_same(rng, optimizer):
    data = sn.ArrayDataLoader(
        rng.standard_normal((60, 200)).astype("float32"), rng.integers(0, 10, 60), 16, shuffle=None
    )
    found, expected = (trained(Prompt, data, optimizer, by_hand) for by_hand in (False, True))
    for a, b in zip(found.parameters(), expected.parameters(), strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(a.grad, b.grad, rtol=1e-3, atol=1e-5)


def test_the_gradient_of_a_weight_that_is_not_trained_is_no_promise(rng):
    net, data = net_and_data(rng)
    learner = sn.Learner(data, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss)
    learner.optimizer = sn.SGD(net[1].parameters(), 0.1)
    learner.fit(1, None)
    assert [type(each.raw_grad) for each in net.parameters()] == [np.ndarray] * 4


def test_a_subclass_promises_nothing_that_it_does_not_say(rng):
    class Doubled(Affine):
        def backward(self, grad):
            to_x, to_weight, to_bias = super().backward(grad)
            return to_x, 2 * to_weight, to_bias

    class Weighted(sn.SoftmaxCrossEntropy):
        def backward(self, grad):
            return 2 * grad * self.gradient, None

    assert not Doubled.gives_new
    x, y = sn.Variable(rng.standard_normal((8, 200)).astype("float32"), False), rng.integers(0, 10, 8)
    first, second = sn.Linear(200, 150, 0), sn.Linear(150, 10, 1)
    weights = [first.weight.data]

    def gradient(layer, loss):
        first.zero_grad()
        hidden = layer()(x, first.weight, first.bias)
        loss()(second(hidden), y).backward()
        return first.weight.grad

    expected = 4 * gradient(Affine, sn.SoftmaxCrossEntropy)
    with deferred_products(weights):
        np.testing.assert_allclose(gradient(Doubled, Weighted), expected, rtol=1e-5)
