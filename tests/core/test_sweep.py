"""The sweep: order, forks, the memory of gradients, freeing, and helpful errors."""

import copy
import gc
import weakref
from time import process_time

import numpy as np
import pytest
from arrays import host, variable

import backends
import scratchnet as sn
from backends import to_device, xp
from scratchnet import Variable
from scratchnet.core.share import share
from scratchnet.training.outside import collector_paused


def test_gradients_add_up_at_forks_and_over_passes(backend):
    x = Variable(3)
    y = x * x + x
    z = y * y + y
    z.backward()
    assert host(x.grad) == (2 * 12 + 1) * 7
    (x * 2).backward()
    assert host(x.grad) == 177
    x.zero_grad()
    assert x.grad is None


def test_gradients_share_no_memory(backend):
    a, b, seed = Variable([1, 2]), Variable([3, 4]), to_device(np.ones(2, np.float32))
    (a + b).backward(seed)
    a.grad *= 5
    np.testing.assert_array_equal(host(b.grad), [1, 1])
    np.testing.assert_array_equal(host(seed), [1, 1])
    kept = [a * 1, b * 1]
    for each in kept:
        each.retain_grad()
    (kept[0] + kept[1]).backward()
    kept[0].grad *= 5
    np.testing.assert_array_equal(host(kept[1].grad), [1, 1])
    c = Variable([1, 2])
    c.reshape(2, 1).T.sum().backward()
    c.grad *= 2  # a view of a broadcast would refuse, or change its twin
    np.testing.assert_array_equal(host(c.grad), [2, 2])

    class Keeps(sn.Function):
        def forward(self, x):
            self.slope = x * 0 + 3
            return (x * self.slope).sum()

        def backward(self, grad):
            return self.slope

    d = Variable([1, 2])
    y = Keeps()(d)
    y.backward(retain_graph=True)
    d.grad *= 0
    d.zero_grad()
    y.backward()
    np.testing.assert_array_equal(host(d.grad), [3, 3])


def test_a_leaf_does_not_keep_what_a_function_keeps_in_a_tuple(backend):
    class Product(sn.Function):
        def forward(self, a, b):
            self.saved = (a, b)
            return (a * b).sum()

        def backward(self, grad):
            a, b = self.saved
            return [b, a]

    a, b = Variable([1, 2]), Variable([3, 4])
    Product()(a, b).backward()
    sn.SGD([a, b], 1.0).step()
    np.testing.assert_array_equal(host(a), [-2, -2])
    np.testing.assert_array_equal(host(b), [2, 2])


def test_a_gradient_to_begin_with(backend):
    x = Variable([[1, 2], [3, 4]])
    (x * 2).backward()
    np.testing.assert_array_equal(host(x.grad), np.full((2, 2), 2))
    x.zero_grad()
    (x * 2).backward([[1, 0], [0, 10]])
    np.testing.assert_array_equal(host(x.grad), [[2, 0], [0, 20]])
    (x[0, 0] * 2).backward(np.float32(5))
    assert host(x.grad)[0, 0] == 12
    for wrong in ([1, 2, 3], np.ones((3, 2, 2)).tolist()):
        with pytest.raises(sn.ShapeError, match=r"\(.*3.*\).*\(2, 2\)"):
            (x * 2).backward(wrong)


def test_nothing_is_computed_where_no_gradient_is_needed(backend):
    asked = []

    class Spy(sn.Function):
        def forward(self, a, b):
            asked.append(self.needs_grad)
            return a + b

        def backward(self, grad):
            asked.append(self.needs_grad)
            return grad, grad

    images = variable(np.ones(3), requires_grad=False)
    weight = variable(np.ones(3))
    Spy()(images, weight).sum().backward()
    assert asked == [(False, True)] * 2
    assert images.grad is None
    with sn.no_grad():
        assert not (weight * 2).requires_grad
        with sn.no_grad():
            pass
        assert (weight * 2).creator is None
    assert (weight * 2).requires_grad


def test_retained_gradients_and_retained_graphs(backend):
    x = Variable(2)
    y = x * 3
    y.retain_grad()
    z = y * y
    z.backward(retain_graph=True)
    assert host(y.grad) == 12
    z.backward()
    assert host(x.grad) == 72
    assert z.grad is None


def test_a_freed_graph_says_so(backend):
    x = Variable(2)
    y = x * 3
    z, other = y * y, y + 1
    z.backward()
    for spent in (z, other, y * 2):
        with pytest.raises(sn.GraphFreedError, match="retain_graph=True"):
            spent.backward()
    with pytest.raises(sn.GraphError, match="needs no gradient"):
        x.detach().backward()


def test_a_pass_that_fails_leaves_no_gradient_behind(backend):
    class Fails(sn.Function):
        def forward(self, x):
            return x * 2

        def backward(self, grad):
            raise KeyError

    x = Variable(1)
    y = Fails()(x) * 3 + x
    y.retain_grad()
    with pytest.raises(KeyError):
        y.backward()
    assert x.grad is None
    assert y.grad is None


def test_the_gradient_of_a_result_asks_nothing_of_what_made_it(backend):
    class Fails(sn.Function):
        def forward(self, x):
            return x * 2

        def backward(self, grad):
            raise KeyError

    x = Variable(3)
    y = Fails()(x)
    (found,) = sn.grad(y * y, [y])
    assert host(found) == 12
    with pytest.raises(KeyError):
        sn.grad(y * y, [y, x])


def test_a_pass_within_a_pass_that_takes_its_graph_is_named(backend):
    class Greedy(sn.Function):
        def forward(self, x):
            return x * 2

        def backward(self, grad):
            another.backward()
            return grad * 2

    x = Variable([1, 2])
    shared = x * 3
    another = shared.sum()
    with pytest.raises(sn.GraphFreedError, match="retain_graph=True"):
        (Greedy()(x * 1) + shared).sum().backward()


def test_a_copy_of_a_node_is_another_way_to_it(backend):
    x = Variable([1, 2])
    y = x * 2
    (y + copy.copy(y)).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [4, 4])


def test_a_graph_of_another_backend_is_named():
    with backends.use("numpy"):
        y = Variable([1, 2]).sum()
        with backends.use("strict"), pytest.raises(backends.WrongArrayError, match="backward: "):
            y.backward()


def test_a_chain_of_100_000_and_a_ladder_of_60_diamonds(backend):
    def seconds(length):
        """Measure processor time, not the clock, without the garbage collector."""
        gc.collect()
        with collector_paused():
            start, x = process_time(), Variable(1)
            y = x
            for _ in range(length):
                y = y + 1
            y.backward()
            took = process_time() - start
        assert host(x.grad) == 1
        return took

    short, long = (min(seconds(length) for _ in range(2)) for length in (10_000, 100_000))
    assert long < 40 * short  # a quadratic sweep takes 100 times as long, a linear one 10
    x = y = Variable(1)
    for _ in range(60):
        y = y + y
    y.backward()
    assert host(x.grad) == 2.0**60


def test_memory_comes_back_without_the_collector():
    gc.collect()
    with collector_paused():
        x = Variable([1, 2])
        hidden = sn.relu(x * 2)
        middle, loss = weakref.ref(hidden.data), (hidden * hidden).sum()
        function = weakref.ref(hidden.creator)
        del hidden
        assert middle() is not None  # its square needs it
        loss.backward()
        assert middle() is None
        assert function() is None
        dropped = (x * 2).exp()
        inner = weakref.ref(dropped.creator)
        del dropped
        assert inner() is None


def test_only_real_numbers_flow(backend):
    class Rounded(sn.Function):
        def forward(self, x):
            return x.astype(np.int64)

        def backward(self, grad):
            return grad

    class Complex(sn.Function):
        def forward(self, x):
            return x * 1

        def backward(self, grad):
            return grad * 1j

    x = Variable([1.2, 2.7])
    assert not Rounded()(x).requires_grad  # an integer has no slope, and would cut the gradient
    with pytest.raises(sn.OperandError, match="Mul: the result is of dtype complex64"):
        x * to_device(np.array([1j, 2], np.complex64))
    with pytest.raises(sn.OperandError, match="Complex: a gradient of dtype complex64"):
        Complex()(x).backward()


def test_backward_of_the_wrong_shape_or_number_is_named(backend):
    class Bad(sn.Function):
        def __init__(self, result):
            self.result = result

        def forward(self, x):
            return x * 2

        def backward(self, grad):
            return self.result(grad)

    x = variable(np.ones((2, 3)))
    with pytest.raises(sn.ShapeError, match=r"Bad: a gradient of shape \(4,\) .* shape \(2, 3\)"):
        Bad(lambda grad: xp.ones(4))(x).backward()
    with pytest.raises(sn.ShapeError, match=r"\(4, 3\) cannot be summed down to shape \(2, 3\)"):
        Bad(lambda grad: xp.ones((4, 3)))(x).backward()
    with pytest.raises(sn.GraphError, match="2 gradients for 1 operands"):
        Bad(lambda grad: (grad, grad))(x).backward()


def test_a_function_of_a_user_on_shapes_that_do_not_fit_is_named(backend):
    class Adds(sn.Function):
        def forward(self, a, b):
            return a + b

    with pytest.raises(sn.ShapeError, match=r"Adds: shapes \(3,\) and \(4,\)"):
        Adds()(variable(np.ones(3)), variable(np.ones(4)))


def test_a_share_of_the_batch_hears_of_each_leaf_once_when_its_gradient_is_whole(backend):
    class Listening:
        listens, weight = True, 1

        def ready(self, leaf, gradient):
            heard.append((leaf, host(gradient).copy()))

    heard = []
    w, x, constant = (
        variable([2.0, 3.0]),
        variable([5.0, 7.0]),
        variable([1.0, 1.0], requires_grad=False),
    )
    y = (w * x * w + constant).sum()
    token = share.set(Listening())
    try:
        y.backward()
    finally:
        share.reset(token)
    assert [id(leaf) for leaf, _ in heard] in ([id(w), id(x)], [id(x), id(w)])
    for leaf, gradient in heard:
        np.testing.assert_array_equal(gradient, host(leaf.grad))


def test_the_original_s_own_broadcasting_example(backend):
    """Test a leading axis that one operand does not have, and an axis of size 1; both are summed."""
    bias, x = variable(np.zeros((1, 3))), variable(np.ones((4, 2, 3)))
    (x + bias).backward()
    np.testing.assert_array_equal(host(bias.grad), [[8, 8, 8]])
    assert backends.active().name == backend


def test_a_gradient_is_changed_in_place_only_where_nobody_else_has_it(backend, rng):
    x, weight = (variable(rng.standard_normal(s)) for s in ((4, 5), (3, 5)))
    hidden = sn.functions.Affine(relu=True)(x, weight, variable(np.zeros(3)))
    hidden.retain_grad()
    out = sn.functions.Affine()(hidden, variable(rng.standard_normal((2, 3))), variable(np.zeros(2)))
    shared = out + out  # hands its own gradient on, twice
    shared.retain_grad()
    given = to_device(rng.standard_normal((4, 2)))
    before = host(given).copy()
    shared.backward(given, retain_graph=True)
    first, whole = host(weight.grad).copy(), host(hidden.grad).copy()
    assert (host(given) == before).all()
    assert (host(shared.grad) == before).all()
    assert (
        (whole != 0) & (host(hidden) == 0)
    ).any()  # retained as it was, before the ReLU took its part
    weight.zero_grad()
    shared.backward(given)
    np.testing.assert_array_equal(host(weight.grad), first)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_copies_add_up_in_the_order_of_the_graph_not_of_memory(rng, reverse):
    x = variable(rng.standard_normal(1000).astype(np.float32))
    y = x * 2.0
    a, b, c = sorted([copy.copy(y) for _ in range(3)], key=id, reverse=reverse)
    ((a * 0.1).sum() + (b * 0.7).sum() * 1.1 + c.exp().sum()).backward()
    expected = np.float32(2) * ((np.exp(host(y)) + np.float32(0.7) * np.float32(1.1)) + np.float32(0.1))
    np.testing.assert_array_equal(host(x.grad), expected)
