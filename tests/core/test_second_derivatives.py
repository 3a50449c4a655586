"""Second derivatives, compared with finite differences and with derivatives computed by hand."""

import numpy as np
import pytest
from arrays import host, variable
from expressions import BINARY, UNARY

import scratchnet as sn
from backends import active, to_device

SHAPES = [(), (3,), (2, 3), (4, 1, 3)]
STRETCHED = [((), ()), ((3,), ()), ((2, 3), (3,)), ((2, 3), (2, 1)), ((2, 1), (4, 1, 3))]
OTHERS = {
    "softmax": lambda x: sn.softmax(x, axis=0),
    "log_softmax": lambda x: sn.log_softmax(x),
    "one element": lambda x: x[1, 2] ** 3,
    "a slice": lambda x: x[1:, ::2] ** 3,
    "rows, one twice": lambda x: x[[0, 1, 0]] ** 3,
    "elements by arrays": lambda x: x[[0, 1, 1], [2, 0, 0]] ** 3,
    "mean of an axis": lambda x: (x * x).mean(axis=1) * x.sum(axis=0)[:2],
    "maximum of an axis": lambda x: x.max(axis=1, keepdims=True) * x,
    "matrix and matrix": lambda x: x @ x.T @ x,
    "matrix and vector": lambda x: (x @ x[0]) ** 2,
    "another type": lambda x: x.astype("float64") * x,
    "a layer": lambda x: sn.functions.Affine()(x, x * x, x[0, :2]),
    "a layer with its ReLU": lambda x: sn.functions.Affine(relu=True)(x, x * x, x[0, :2]),
    "the softmax loss": lambda x: sn.softmax_loss(x * x, [0, 2]),
    "the plain softmax loss": lambda x: sn.plain_softmax_loss(x * x, [0, 2]),
}


@pytest.mark.guarantee("Every first and second derivative matches finite differences.")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", UNARY)
def test_of_one_operand(backend, rng, name, shape):
    assert sn.gradgradcheck(UNARY[name], rng.standard_normal(shape) + 0.01)


@pytest.mark.guarantee("Every first and second derivative matches finite differences.")
@pytest.mark.parametrize("shapes", [*STRETCHED, *(pair[::-1] for pair in STRETCHED)], ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_of_two_operands_stretched(backend, rng, name, shapes):
    assert sn.gradgradcheck(BINARY[name], *(rng.standard_normal(shape) for shape in shapes))


@pytest.mark.guarantee("Every first and second derivative matches finite differences.")
@pytest.mark.parametrize("name", OTHERS)
def test_of_indexing_reductions_products_layers_and_losses(backend, rng, name):
    assert sn.gradgradcheck(OTHERS[name], rng.standard_normal((2, 3)))


def test_a_third_derivative(backend):
    x = variable([0.5, -1.5])
    y = x**5
    for factor, power in ((5, 4), (20, 3), (60, 2)):
        (y,) = sn.grad(y, x, create_graph=True)
        np.testing.assert_allclose(host(y), factor * host(x) ** power, rtol=1e-6)


def test_grad_gives_a_tuple_in_order_and_leaves_grad_alone(backend):
    a, b, c = variable([1.0, 2.0]), variable([3.0, 4.0]), variable([5.0])
    middle = a * b
    result = (middle * a).sum()
    found = sn.grad(result, [b, c, middle, a], retain_graph=True)
    assert found[1] is None
    for each, expected in zip((found[0], *found[2:]), ([1, 4], [1, 2], [6, 16]), strict=True):
        assert isinstance(each, active().array_type)
        np.testing.assert_array_equal(host(each), expected)
    (scaled,) = sn.grad(result, a, grad_output=2.0)
    np.testing.assert_array_equal(host(scaled), [12, 32])
    assert (a.grad, b.grad, c.grad) == (None, None, None)
    with pytest.raises(sn.GraphFreedError):
        sn.grad(result, a)
    with pytest.raises(sn.GraphError, match=r"grad: .* needs no gradient"):
        sn.grad((a * 2).sum(), c.detach())
    with pytest.raises(sn.OperandError, match="grad: a list is not a Variable"):
        sn.grad([a], a)


def test_backward_leaves_variables_that_go_on(backend):
    x = variable([1.0, 2.0])
    (x * x * x).sum().backward(create_graph=True)
    first = x.grad
    assert isinstance(first, sn.Variable)
    np.testing.assert_array_equal(host(first), [3, 12])
    x.zero_grad()
    first.sum().backward()
    np.testing.assert_array_equal(host(x.grad), [6, 12])
    assert not isinstance(x.grad, sn.Variable)


def test_the_graph_stays_unless_told_otherwise(backend):
    x = variable([2.0])
    y = x * x
    y.backward(create_graph=True)
    y.backward(retain_graph=False, create_graph=True)
    with pytest.raises(sn.GraphFreedError):
        y.backward()


def test_the_update_takes_gradients_that_are_variables(backend):
    w = variable([1.0, 2.0])
    (w * w).sum().backward(create_graph=True)
    sn.SGD([w], 0.25).step()
    np.testing.assert_array_equal(host(w), [0.5, 1.0])


class Remembers(sn.Function):
    """Holds its operand in an attribute."""

    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, grad):
        return 2 * self.x * grad


def test_a_function_that_holds_arrays_in_attributes_is_refused_by_name(backend):
    x = variable([1.0, 2.0])
    assert sn.gradcheck(Remembers(), [1.0, 2.0])
    with pytest.raises(
        sn.GraphError, match=r"Remembers holds an array in its attribute 'x'.*self\.keep"
    ):
        Remembers()(x).sum().backward(create_graph=True)


def test_a_constant_in_an_attribute_is_named_by_the_class(backend):
    class Masked(sn.Function):
        constants = ("mask",)

        def forward(self, x):
            self.keep(x)
            self.mask = to_device(np.array([0.0, 2.0]))
            return x * x * self.mask

        def backward(self, grad, x):
            return 2 * x * self.mask * grad

    assert sn.gradgradcheck(Masked(), [1.0, 3.0])


def test_a_wrong_second_derivative_is_found():
    class Wrong(sn.Function):
        def forward(self, x):
            self.keep(x)
            return x**3

        def backward(self, grad, x):
            return grad * 3 * x.detach() ** 2 if isinstance(x, sn.Variable) else grad * 3 * x**2

    assert sn.gradcheck(Wrong(), [1.0, 2.0])
    with pytest.raises(sn.GradientError, match="gradgradcheck: input 0"):
        sn.gradgradcheck(Wrong(), [1.0, 2.0])


def test_two_operands_that_are_one_array_are_told_apart(backend):
    x = variable(3.0)
    for square in (
        lambda: x * x.detach(),
        lambda: x.detach() * x,
        lambda: x * x.data,
        lambda: x.data * x,
    ):
        (slope,) = sn.grad(square(), [x], create_graph=True)
        assert host(slope) == 3
        assert not slope.requires_grad  # the other operand is a constant
    (slope,) = sn.grad(x * x, [x], create_graph=True)
    assert host(sn.grad(slope, [x])[0]) == 2


def test_a_gradient_penalty_under_no_grad_is_recorded_all_the_same(backend):
    x = variable([1.0, 3.0])
    y = (x**3).sum()
    with sn.no_grad():
        (slope,) = sn.grad(y, x, create_graph=True)
    (curvature,) = sn.grad(slope.sum(), x)
    np.testing.assert_allclose(host(curvature), [6, 18])
