"""A gradient that goes into its weight as it is made: the same numbers, and nobody can tell.

The tests compute with whole numbers, none of them larger than the dtype's digits hold. Their products
and sums are exact in any order, so the results must be equal on every processor.
"""

import numpy as np
import pytest

import scratchnet as sn
from backends import DeferredProduct, Setting, active, deferred_products, use
from backends.numpy import blas
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


def whole(rng, *shape, dtype="float32", share=1.0):
    """Whole numbers from -1 to 1; of them `share` are drawn, and the others are 0."""
    return (rng.integers(-1, 2, shape) * (rng.random(shape) < share)).astype(dtype)


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
    drawn = (rng.integers(-9, 10, s).astype(dtype) for s in ((n, k), (k, m), (n, m)))
    a, b, out = (laid_out(each, layout) for each, layout in zip(drawn, layouts, strict=True))
    start, expected = out.copy(), out - 0.25 * (a @ b)
    product = DeferredProduct(a, b, out)
    product.add_to(out, -0.25)
    np.testing.assert_array_equal(out, expected)
    computed = product.compute()
    np.testing.assert_array_equal(computed, a @ b)
    out[...] = start
    product.add_to(out, -0.25)  # what was computed once
    np.testing.assert_array_equal(out, expected)
    assert computed.dtype == dtype
    assert out.flags.f_contiguous == computed.flags.f_contiguous


def test_what_blas_cannot_take_is_added_all_the_same(rng):
    a, b = whole(rng, 3, 4, dtype="float64"), whole(rng, 4, 2)
    out = np.zeros((3, 2))
    DeferredProduct(a, b, out).add_to(out, 2.0)
    np.testing.assert_array_equal(out, 2 * (a @ b))
    swapped = np.zeros((3, 2), np.dtype("float64").newbyteorder())
    DeferredProduct(a.astype(swapped.dtype), b.astype(swapped.dtype), swapped).add_to(swapped, 2.0)
    np.testing.assert_array_equal(swapped, out)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        DeferredProduct(a, b.astype("float64"), out).add_to(out, 1.0)


def net_and_data(rng, layers=1):
    x, y = rng.standard_normal((70, 200)).astype("float32"), rng.integers(0, 10, 70)
    net = sn.Linear(200, 150, 0, activation=sn.relu)
    for seed in range(layers - 1):
        net = net >> sn.Linear(150, 150, seed + 2, activation=sn.tanh)
    return net >> sn.Linear(150, 10, 1), sn.ArrayDataLoader(x, y, 16, shuffle=None)


def made_whole(net, rng):
    for each in net.parameters():
        each.data = np.asarray(whole(rng, *each.shape, dtype="float64", share=0.05), order="F")
    return net


def whole_data(rng, samples):
    x = whole(rng, samples, 200, dtype="float64", share=0.05)
    return sn.ArrayDataLoader(x, rng.integers(0, 10, samples), 16, shuffle=None)


def whole_loss(z, y):
    """The results, added with signs: it keeps whole numbers whole, which softmax does not."""
    return (z * (y.data[:, None] % 3 - 1.0)).sum()


def by_hand(net, data, optimizer):
    for x, y in data.in_order():
        optimizer.zero_grad()
        whole_loss(net(x), y).backward()
        optimizer.step()


@pytest.mark.parametrize("layers", [1, 3])
def test_the_learner_trains_as_a_loop_of_one_s_own(gemm, layers):
    """After two steps of three layers no sum of magnitudes is larger than 2**49, which float64 holds."""

    def made():
        rng = np.random.default_rng(7)
        return made_whole(net_and_data(rng, layers)[0], rng), whole_data(rng, 32)

    (net, data), (same, _) = made(), made()
    sn.Learner(data, net, sn.SGD(net.parameters(), 1.0), whole_loss).fit(1, None)
    by_hand(same, data, sn.SGD(same.parameters(), 1.0))
    for ours, theirs in zip(net.parameters(), same.parameters(), strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)
        np.testing.assert_array_equal(ours.grad, theirs.grad)
        assert ours.grad.any()


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
    net, (x, y) = made_whole(net_and_data(rng)[0], rng), next(iter(whole_data(rng, 16)))
    weight = net.parameters()[0]
    whole_loss(net(x), y).backward()
    assert type(weight.raw_grad) is np.ndarray
    expected = weight.grad
    net.zero_grad()
    with deferred_products([each.data for each in net.parameters()]):
        whole_loss(net(x), y).backward()
        assert type(weight.raw_grad) is DeferredProduct
        whole_loss(net(x), y).backward()  # gradients add up until they are zeroed
    np.testing.assert_array_equal(weight.grad, 2 * expected)
    assert expected.any()


def test_a_weight_used_twice_or_made_by_a_function_gets_its_whole_gradient(rng):
    weight, bias = sn.Variable(whole(rng, 150, 150)), sn.Variable(np.zeros((1, 150), np.float32))
    x = sn.Variable(whole(rng, 8, 150))

    def gradient():
        weight.zero_grad()
        twice = Affine()(Affine()(x, weight, bias), 2 * weight + weight, bias)
        (twice * x).sum().backward()
        return weight.grad

    expected = gradient()
    with deferred_products([weight.data]):
        np.testing.assert_array_equal(gradient(), expected)


def view(array):
    return array[:]


def of_foreign_memory(array):
    return np.frombuffer(bytearray(array.tobytes()), array.dtype).reshape(array.shape)


@pytest.mark.parametrize("made", [np.array, view, of_foreign_memory])
def test_an_update_that_changes_what_another_gradient_is_made_of(gemm, rng, made):
    a, b = (made(whole(rng, 150, 150)) for _ in range(2))
    grad = whole(rng, 150, 150)
    expected = a - 0.5 * (grad @ b), b - 0.5 * (grad @ a)  # each is a factor of the other's gradient
    gradients = DeferredProduct(grad, b[:], a), DeferredProduct(grad, a[:], b)
    active().sgd_update([a, b], gradients, Setting(0.5))
    for found, each in zip((a, b), expected, strict=True):
        np.testing.assert_array_equal(found, each)


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
    """After an epoch of four steps no sum of magnitudes is larger than 2**49, which float64 holds."""
    data = whole_data(rng, 60)
    found, expected = (made_whole(Prompt(), np.random.default_rng(3)) for _ in range(2))
    sn.Learner(data, found, optimizer(found.parameters(), 1.0), whole_loss).fit(1, None)
    by_hand(expected, data, optimizer(expected.parameters(), 1.0))
    for a, b in zip(found.parameters(), expected.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
        np.testing.assert_array_equal(a.grad, b.grad)
        assert a.grad.any()


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
    x, y = sn.Variable(rng.standard_normal((1, 200)).astype("float32"), False), rng.integers(0, 10, 1)
    first, second = sn.Linear(200, 150, 0), sn.Linear(150, 10, 1)
    weights = [first.weight.data]

    def gradient(layer, loss):
        first.zero_grad()
        hidden = layer()(x, first.weight, first.bias)
        loss()(second(hidden), y).backward()
        return first.weight.grad

    expected = 4 * gradient(Affine, sn.SoftmaxCrossEntropy)
    with deferred_products(weights):
        found = gradient(Doubled, Weighted)
    # Of one sample, each number is one product, rounded once on either side.
    np.testing.assert_allclose(found, expected, rtol=np.finfo("float32").eps)
