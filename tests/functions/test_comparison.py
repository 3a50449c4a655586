"""Choices between elements: values, gradients, ties."""

import numpy as np
import pytest
from arrays import host, variable

import scratchnet as sn

SHAPES = [((), ()), ((3,), ()), ((2, 3), (3,)), ((2, 1), (4, 1, 3)), ((0, 3), (3,))]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_values_and_gradients_are_numpy_s(backend, rng, name, shapes):
    a, b = (rng.standard_normal(shape) for shape in shapes)
    function = getattr(sn, name)
    np.testing.assert_array_equal(host(function(variable(a), variable(b))), getattr(np, name)(a, b))
    assert sn.gradcheck(function, a, b)
    assert sn.gradgradcheck(lambda a, b: function(a * a, b) * a, a, b)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_ties_share_equally(backend, name):
    a, b = variable([1.0, 2.0, 3.0]), variable([2.0, 2.0, 2.0])
    getattr(sn, name)(a, b).sum().backward()
    expected = [0, 0.5, 1] if name == "maximum" else [1, 0.5, 0]
    np.testing.assert_array_equal(host(a.grad), expected)
    np.testing.assert_array_equal(host(b.grad), 1 - np.array(expected))


@pytest.mark.parametrize("bounds", [(-0.5, 0.5), (None, 0.3), (-0.3, None), (0.5, -0.5)], ids=str)
def test_clip_is_numpy_s(backend, rng, bounds):
    x = rng.standard_normal((3, 4))
    np.testing.assert_array_equal(host(sn.clip(variable(x), *bounds)), np.clip(x, *bounds))
    assert sn.gradcheck(lambda v: sn.clip(v, *bounds) * v, x)
    assert sn.gradgradcheck(lambda v: sn.clip(v, *bounds) * v, x)


def test_bounds_may_be_variables_and_one_is_needed(backend, rng):
    assert sn.gradcheck(sn.clip, rng.standard_normal(5), np.full(5, -0.5), np.full(5, 0.4))
    with pytest.raises(sn.OperandError, match="clip: give a lower bound"):
        sn.clip(variable([1.0]))


@pytest.mark.parametrize("condition", [[True, False, True], True, False], ids=str)
def test_where_is_numpy_s(backend, rng, condition):
    a, b = rng.standard_normal(3), rng.standard_normal((2, 3))
    found = sn.where(condition, variable(a), variable(b))
    np.testing.assert_array_equal(host(found), np.where(condition, a, b))
    assert sn.gradcheck(lambda a, b: sn.where(condition, a, b), a, b)
    assert sn.gradgradcheck(lambda a, b: sn.where(condition, a * a, b) * b, a, b)


def test_a_condition_made_by_comparing_variables(backend):
    x = variable([-1.0, 2.0])
    sn.where(x > 0, x, 0.1 * x).sum().backward()
    np.testing.assert_allclose(host(x.grad), [0.1, 1], rtol=1e-6)
