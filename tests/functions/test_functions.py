"""Every Function: its values, its gradient, its dtype, on every backend."""

import numpy as np
import pytest
from arrays import host, variable
from expressions import BINARY, UNARY
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

import backends
import scratchnet as sn
from backends import to_device, xp
from scratchnet import Variable

SHAPES = [(), (3,), (2, 3), (4, 1, 3)]


@pytest.mark.guarantee("Every first and second derivative matches finite differences.")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", UNARY)
def test_gradient_of_one_operand(backend, rng, name, shape):
    assert sn.gradcheck(UNARY[name], rng.standard_normal(shape) + 0.01)


STRETCHED = [((), ()), ((3,), ()), ((2, 3), (3,)), ((2, 3), (2, 1)), ((2, 1), (4, 1, 3))]


@pytest.mark.guarantee("Every first and second derivative matches finite differences.")
@pytest.mark.parametrize("shapes", [*STRETCHED, *(pair[::-1] for pair in STRETCHED)], ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_gradient_of_two_operands_stretched(backend, rng, name, shapes):
    assert sn.gradcheck(BINARY[name], *(rng.standard_normal(shape) for shape in shapes))


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)], ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean", "max"])
def test_reductions(backend, rng, name, axis, keepdims):
    x = rng.standard_normal((2, 3, 4))
    result = getattr(variable(x), name)(axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(host(result), getattr(x, name)(axis=axis, keepdims=keepdims))
    assert sn.gradcheck(lambda v: getattr(v, name)(axis=axis, keepdims=keepdims), x)


def test_ties_share_the_gradient_of_the_maximum(backend):
    x = variable([[1.0, 5.0, 5.0], [2.0, 0.0, 1.0]])
    x.max(axis=1).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [[0, 0.5, 0.5], [1, 0, 0]])


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("f", [sn.softmax, sn.log_softmax])
def test_softmax_along_an_axis(backend, rng, f, axis):
    assert sn.gradcheck(lambda x: f(x, axis), rng.standard_normal((3, 4)) * 3)
    y = host(f(variable(rng.standard_normal((3, 4)) * 1e4), axis))
    total = (np.exp(y) if f is sn.log_softmax else y).sum(axis=axis)
    np.testing.assert_allclose(total, 1)


PRODUCTS = [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
            ((2, 3), (5, 3, 4)), ((3,), (5, 3, 4)), ((5, 2, 3), (3,))]  # fmt: skip


@pytest.mark.parametrize("shapes", PRODUCTS, ids=str)
def test_matrix_products(backend, rng, shapes):
    a, b = (rng.standard_normal(shape) for shape in shapes)
    np.testing.assert_allclose(host(variable(a).dot(variable(b))), a @ b)
    assert sn.gradcheck(lambda x, y: x @ y, a, b)


INDICES = [[], 1, -1, slice(0, 2), (slice(None), 1), (..., None, 0), [0, 0, 2], ([0, 1, 1], [2, 2, 2])]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_indexing(backend, rng, index):
    x = rng.standard_normal((3, 4))
    np.testing.assert_array_equal(host(variable(x)[index]), x[index])
    assert sn.gradcheck(lambda v: v[index] * 2, x)


PICKED, MASK = np.array([[3, 0, -1], [0, 3, 3]], np.int32), np.arange(20).reshape(4, 5) % 3 == 0
MANY = {
    "rows": PICKED,
    "bytes": PICKED.astype("uint8") % 4,
    "a tuple of one": (PICKED,),
    "then a slice": (PICKED, slice(1, None, 2)),
    "behind a slice": (slice(None), PICKED),
    "apart": (PICKED, slice(None), [1, 0, 1]),
    "stretched": (PICKED, [[1], [2]]),
    "with an ellipsis and a new axis": (..., None, PICKED % 2),
    "with a number": (2, PICKED),
    "a mask": MASK,
    "a mask of rows": (MASK[:, 0], slice(1, 3)),
    "a mask and numbers": (MASK, [1]),
    "no dimension": np.array(1),
    "none": np.empty((0, 2), int),
}


@pytest.mark.parametrize("index", MANY)
def test_an_index_of_arrays_adds_up_in_order_as_numpy_does(backend, rng, index):
    index = MANY[index]
    x = rng.standard_normal((4, 5, 2)).astype("float32")
    grad, expected = rng.standard_normal(x[index].shape).astype("float32"), np.zeros_like(x)
    np.add.at(expected, index, grad)
    moved = [to_device(part) if isinstance(part, np.ndarray) else part
             for part in (index if isinstance(index, tuple) else (index,))]  # fmt: skip
    v = variable(x)
    v[tuple(moved) if isinstance(index, tuple) else moved[0]].backward(to_device(grad))
    np.testing.assert_array_equal(host(v.grad), expected)


def test_repeated_indices_add_up_and_masks_select(backend):
    x = variable([1.0, 2.0, 3.0])
    x[to_device([0, 0, 2])].sum().backward()
    np.testing.assert_array_equal(host(x.grad), [2, 0, 1])
    x.zero_grad()
    x[x.data > 1.5].sum().backward()
    np.testing.assert_array_equal(host(x.grad), [0, 1, 1])


def test_transposition_in_an_order_given(backend, rng):
    assert sn.gradcheck(sn.Transpose((1, 2, 0)), rng.standard_normal((2, 3, 4)))


def test_the_gradient_of_a_threshold_is_zero_at_the_threshold(backend):
    x = variable([-1.0, 0.0, 0.5, 2.0])
    sn.relu(x).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [0, 0, 1, 1])
    x.zero_grad()
    sn.threshold(x, 0.5).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [0, 0, 0, 1])


def test_powers_at_zero_have_the_limits_as_gradients(backend):
    base, exponent = variable([0.0, 0.0, 2.0]), variable([0.0, 2.0, 0.0])
    (base**exponent).sum().backward()
    np.testing.assert_allclose(host(base.grad), [0, 0, 0])
    np.testing.assert_allclose(host(exponent.grad), [0, 0, np.log(2)])
    base.zero_grad()
    (base**0).sum().backward()
    np.testing.assert_array_equal(host(base.grad), [0, 0, 0])


FLOAT32 = UNARY | {
    "numpy scalars": lambda x: (np.float64(2) * x + np.float64(1)) / np.float64(3) - np.float64(1),
    "numbers": lambda x: (2 * x + 1.5) / 3 - 0.5,
    "threshold of a numpy scalar": lambda x: sn.threshold(x, np.float64(0.5)),
    "softmax": sn.softmax,
    "log_softmax": sn.log_softmax,
    "reductions": lambda x: x.sum(keepdims=True) + x.mean(keepdims=True) + x.max(keepdims=True),
    "index": lambda x: x[..., 0] * 2,
}


@pytest.mark.parametrize("name", FLOAT32)
def test_float32_stays_float32(backend, rng, name):
    x = variable(rng.random((2, 3), np.float32))
    y = FLOAT32[name](x)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == np.float32


def test_wider_gradients_come_back_in_the_operands_dtype(backend):
    narrow, wide = variable(np.ones(2, np.float32)), variable(np.ones(2))
    (narrow * wide).sum().backward()
    assert narrow.grad.dtype == np.float32
    assert wide.grad.dtype == np.float64


def test_arrays_stand_on_either_side_of_an_operator(backend):
    x, array = variable([1.0, 2.0]), to_device(np.array([3.0, 4.0]))
    results = [array + x, x + array, array - x, array * x, array / x, x**array, array**x, array @ x]
    values = [[4, 6], [4, 6], [2, 2], [3, 8], [3, 2], [1, 16], [3, 16], 11]
    for result, value in zip(results, values, strict=True):
        assert isinstance(result, Variable)
        np.testing.assert_allclose(host(result), value)


def test_functions_of_arrays_give_arrays(backend):
    assert float(sn.exp(np.float32(0))) == 1
    y = sn.relu(to_device([-1.0, 2.0]))
    assert isinstance(y, backends.active().array_type)
    np.testing.assert_array_equal(host(y), [0, 2])


@pytest.mark.filterwarnings("ignore:overflow")
@settings(max_examples=40, deadline=None)
@given(mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3), st.integers(0, 2**32))
def test_any_broadcast_sums_down_to_the_operands(shapes, seed):
    rng = np.random.default_rng(seed)
    operands = [rng.standard_normal(shape) for shape in shapes.input_shapes]
    assert sn.gradcheck(lambda a, b, c: a * b + c / (a * a + 1) - b, *operands, atol=1e-6)


class Square(sn.Function):
    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, grad):
        return 2 * self.x * grad


def test_a_function_of_the_users_own(backend, rng):
    square = Square()
    x = variable(rng.standard_normal(3))
    y, z = square(x), square(x + 1)  # one object, two nodes of the graph
    (y + z).sum().backward()
    np.testing.assert_allclose(host(x.grad), 4 * host(x) + 2)
    assert sn.gradcheck(square, rng.standard_normal((2, 2)))
    assert vars(square) == {}


def test_gradcheck_finds_a_wrong_gradient(backend):
    class Wrong(Square):
        def backward(self, grad):
            return 2.001 * self.x * grad

    with pytest.raises(sn.GradientError, match="input 1"):
        sn.gradcheck(lambda a, b: a + Wrong()(b), [1.0, 2.0], [3.0, 4.0])


@pytest.mark.parametrize(
    ("operation", "shapes"),
    [
        (lambda: variable(np.ones((2, 3))) @ variable(np.ones((2, 3))), ["(2, 3)"]),
        (lambda: variable(np.ones((2, 3))) + variable(np.ones((2, 4))), ["(2, 3)", "(2, 4)"]),
        (lambda: variable(np.ones((2, 3))) * xp.ones(4), ["(2, 3)", "(4,)"]),
        (lambda: variable(np.ones((2, 3))).reshape(4), ["(2, 3)"]),
        (lambda: variable(np.ones((2, 3))).sum(axis=2), ["(2, 3)"]),
        (lambda: variable(1.0) @ variable([1.0]), ["()", "(1,)"]),
    ],
)
def test_shapes_that_do_not_fit_are_named_in_one_line(backend, operation, shapes):
    with pytest.raises(sn.ShapeError) as caught:
        operation()
    assert all(shape in str(caught.value) for shape in shapes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("operand", ["text", [1.0], object()])
def test_an_operand_that_is_no_array_is_named(operand):
    with pytest.raises(sn.OperandError, match="Add: operand 1"):
        variable([1.0]) + operand
