"""Who owns an array: a gradient belongs to its leaf, a kept array to the graph."""

import tracemalloc
import weakref
from threading import Thread

import numpy as np
import pytest
from arrays import host, variable

import scratchnet as sn
from backends import active, to_device, xp


def spoil(array):
    """Change an array in place."""
    array *= 0
    array += 77


class GivesAnAttribute(sn.Function):
    """Its backward returns an array that it keeps a reference to."""

    def forward(self, x):
        self.held = xp.ones_like(x)
        return x * 1

    def backward(self, grad):
        return self.held


class GivesOneTwice(sn.Function):
    """Its backward returns one new array for both operands."""

    def forward(self, a, b):
        return a + b

    def backward(self, grad):
        new = grad * 2
        return new, new


class GivesAListed(sn.Function):
    """Its backward returns an array that a list holds."""

    def forward(self, x):
        self.held = [xp.ones_like(x)]
        return x * 1

    def backward(self, grad):
        return self.held[0]


class GivesAView(sn.Function):
    """Its backward returns a view of memory that it keeps."""

    def forward(self, x):
        self.held = xp.ones_like(x)
        return x * 1

    def backward(self, grad):
        return self.held.reshape(self.held.shape)


@pytest.mark.guarantee("The gradient of a leaf shares no memory with any other array.")
@pytest.mark.parametrize("function", [GivesAnAttribute, GivesAListed, GivesAView])
def test_what_a_function_holds_is_copied(backend, function):
    x = variable(np.ones((2, 2)))
    y = function()(x)
    held, result = y.creator, y.sum()
    result.backward(retain_graph=True)
    spoil(x.grad)
    arrays = held.held if isinstance(held.held, list) else [held.held]
    np.testing.assert_array_equal(host(arrays[0]), np.ones((2, 2)))


@pytest.mark.guarantee("The gradient of a leaf shares no memory with any other array.")
@pytest.mark.parametrize("function", [sn.Add(), GivesOneTwice()], ids=["Add", "one new array"])
def test_two_leaves_never_share_one_gradient(backend, function):
    a, b = variable([1.0, 2.0]), variable([3.0, 4.0])
    function(a, b).sum().backward()
    before = host(b.grad).copy()
    spoil(a.grad)
    np.testing.assert_array_equal(host(b.grad), before)


@pytest.mark.guarantee("The gradient of a leaf shares no memory with any other array.")
def test_a_gradient_to_begin_with_stays_the_caller_s(backend):
    given = to_device(np.array([1.0, 2.0]))
    for end in (lambda x: x, lambda x: x + 0.0, lambda x: x.reshape(2)):
        x = variable([1.0, 1.0])
        end(x).backward(given)
        spoil(x.grad)
        np.testing.assert_array_equal(host(given), [1, 2])
        x.zero_grad()
        end(x).backward(given)
        given += 1
        np.testing.assert_array_equal(host(x.grad), [1, 2])
        given -= 1


@pytest.mark.guarantee("The gradient of a leaf shares no memory with any other array.")
def test_two_layers_on_one_input_have_gradients_of_their_own(backend, rng):
    """Check that two leaves which get one array do not share it afterwards."""
    x = variable(rng.standard_normal((4, 3)))
    w1, w2 = (variable(rng.standard_normal((2, 3))) for _ in range(2))
    b1, b2 = (variable(rng.standard_normal(2)) for _ in range(2))
    both = sn.functions.Affine(True)(x, w1, b1) + sn.functions.Affine(True)(x, w2, b2)
    both.sum().backward()
    for w, b in ((w1, b1), (w2, b2)):
        alone = variable(host(w)), variable(host(b))
        sn.functions.Affine(True)(x.detach(), *alone).sum().backward()
        np.testing.assert_allclose(host(w.grad), host(alone[0].grad), rtol=1e-12)
        np.testing.assert_allclose(host(b.grad), host(alone[1].grad), rtol=1e-12)


@pytest.mark.guarantee("The gradient of a leaf shares no memory with any other array.")
def test_a_retained_gradient_is_the_result_s_own(backend):
    x = variable([1.0, 2.0])
    y = x * 3.0
    y.retain_grad()
    (y + 0.0).sum().backward(retain_graph=True)
    spoil(y.grad)
    np.testing.assert_array_equal(host(x.grad), [3, 3])


def test_a_gradient_that_nothing_else_holds_is_taken_and_not_copied():
    made = []

    class Watched(sn.Function):
        def forward(self, x):
            return x * 1

        def backward(self, grad):
            new = grad * 2
            made.append(new.ctypes.data)
            return new

    x = variable(np.ones(1000))
    Watched()(x).sum().backward()
    assert x.grad.ctypes.data == made[0]


def test_a_part_of_a_larger_array_is_copied_so_that_the_rest_is_freed(backend):
    class GivesAPart(sn.Function):
        def forward(self, x):
            return x * 1

        def backward(self, grad):
            return xp.ones(100_000, grad.dtype)[:2]

    x = variable([1.0, 2.0])
    GivesAPart()(x).sum().backward()
    assert x.grad.base is None


def test_a_broadcast_gradient_is_written_out(backend):
    x = variable(np.ones((2, 3)))
    x.sum().backward()
    x.grad[0, 0] = 5
    np.testing.assert_array_equal(host(x.grad), [[5, 1, 1], [1, 1, 1]])


@pytest.mark.guarantee("The graph keeps only the arrays that backward needs.")
def test_what_no_rule_keeps_is_freed_during_forward():
    x = variable(np.ones(4))
    shifted = x + 1.0
    array = weakref.ref(shifted.data)
    squared = shifted * shifted  # keeps its operands
    result = squared + 1.0
    kept, dropped = weakref.ref(shifted.data), weakref.ref(squared.data)
    del shifted, squared
    assert (array() is not None, kept() is not None, dropped()) == (True, True, None)
    result.sum().backward()
    assert array() is None


@pytest.mark.parametrize("scale", [lambda x: x * 2, lambda x: x / 2, lambda x: x @ np.ones((4, 3), "f")])
def test_an_operand_that_no_gradient_needs_is_not_kept(scale):
    x = variable(np.ones((2, 4), "f"))
    shifted = x + 1.0
    array = weakref.ref(shifted.data)
    result = scale(shifted)
    del shifted
    assert array() is None
    with sn.no_grad():
        x *= 3  # so this is no change that matters
    result.sum().backward()


@pytest.mark.guarantee("The graph keeps only the arrays that backward needs.")
def test_the_peak_of_a_deep_network_is_what_its_rules_keep():
    depth, size = 40, 50_000
    x = variable(np.ones(size))

    def forward():
        y = x
        for _ in range(depth):
            y = sn.tanh(y + 0.5) - 0.25  # only tanh keeps an array: its result
        return y.sum()

    forward()
    tracemalloc.start()
    try:
        loss = forward()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    kept = depth * size * x.data.itemsize
    assert kept < peak < 1.1 * kept
    loss.backward()


def test_in_place_under_no_grad_changes_the_array_itself(backend):
    p = variable([1.0, 2.0])
    array = p.data
    with sn.no_grad():
        p -= 0.5 * variable([2.0, 2.0])
        p *= 4.0
        p += 1.0
        p /= 2.0
        p[0] = 9.0
    assert p.data is array
    np.testing.assert_array_equal(host(array), [9, 2.5])
    assert p.is_leaf
    assert p.requires_grad


def test_a_loop_of_one_s_own_trains_a_network(backend):
    net = sn.Linear(2, 1, 0)
    before = {path: value.copy() for path, value in net.state_dict().items()}
    (net(variable([[1.0, 2.0]])) ** 2).sum().backward()
    with sn.no_grad():
        for p in net.parameters():
            p -= 0.5 * p.grad
    for path, value in net.state_dict().items():
        np.testing.assert_allclose(
            value, before[path] - 0.5 * host(dict(net.named_parameters())[path].grad)
        )
    assert len(net.parameters()) == 2


def test_in_place_while_recording(backend):
    p, q = variable([1.0, 2.0]), variable([3.0, 4.0], requires_grad=False)
    with pytest.raises(sn.GraphError, match=r"a leaf that needs a gradient .* `with no_grad\(\):`"):
        p += 1.0
    with pytest.raises(sn.GraphError, match="elements cannot be assigned"):
        p[0] = 1.0
    with pytest.raises(sn.GraphError, match="elements cannot be assigned"):
        q[0] = p[0]
    q[0] = 7.0
    np.testing.assert_array_equal(host(q), [7, 4])
    y = first = p * 2.0
    y += p  # a new Variable
    assert y is not first
    y.sum().backward()
    np.testing.assert_array_equal(host(p.grad), [3, 3])


def test_a_function_with_two_results(backend):
    class Halves(sn.Function):
        def forward(self, x):
            return x[:2] * 1, x[2:] * 3

        def backward(self, grads):
            whole = xp.concatenate if isinstance(grads[0], active().array_type) else None
            return whole([grads[0], grads[1] * 3])

    x = variable([1.0, 2.0, 3.0, 4.0])
    first, second = Halves()(x)
    assert (first.shape, second.shape) == ((2,), (2,))
    (second * second).sum().backward()  # the first is not used: its gradient is zeros
    np.testing.assert_array_equal(host(x.grad), [0, 0, 54, 72])
    first, second = Halves()(x)
    x.zero_grad()
    (first.sum() + second.sum()).backward()
    np.testing.assert_array_equal(host(x.grad), [1, 1, 3, 3])
    assert [type(each) for each in Halves()(host(x) if backend == "numpy" else x.data)] == [
        active().array_type
    ] * 2


def test_what_is_kept_must_be_an_operand_or_a_result(backend):
    class KeepsMore(sn.Function):
        def forward(self, x):
            self.keep(x * 2)
            return x * 1

        def backward(self, grad, doubled):
            return grad

    with pytest.raises(
        sn.OperandError, match=r"KeepsMore\.forward keeps .* neither an operand nor a result"
    ):
        KeepsMore()(variable([1.0]))


def test_gradients_that_can_be_differentiated_are_their_leaves_own(backend):
    a, b = variable([1.0, 2.0]), variable([3.0, 4.0])
    seed = variable([1.0, 1.0], requires_grad=False)
    (a + b).backward(seed, create_graph=True)
    with sn.no_grad():
        a.grad *= 0.5
        b.grad *= 0.5
    np.testing.assert_array_equal(host(a.grad), 0.5)
    np.testing.assert_array_equal(host(b.grad), 0.5)
    np.testing.assert_array_equal(host(seed), 1)


def test_threads_that_add_to_one_leaf_lose_nothing():
    leaf, each = variable([0.0]), 300

    def work():
        for _ in range(each):
            (leaf * 1.0).sum().backward()

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(host(leaf.grad), 4 * each)


def test_in_place_powers_and_products_and_what_does_not_fit(backend):
    p, count = variable([2.0, 3.0]), variable(np.array([1, 2]))
    same = p
    with sn.no_grad():
        p **= 2.0
        p @= variable([[1.0, 1.0], [0.0, 1.0]])
        with pytest.raises(sn.OperandError, match="without loss"):
            count += 0.7
    assert same is p
    np.testing.assert_array_equal(host(p), [4, 13])
    np.testing.assert_array_equal(host(count), [1, 2])
