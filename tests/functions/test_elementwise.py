"""Functions of each element: value, gradient, second gradient, and accuracy over the whole range.

The test finds every class, and its reference by its name. A new class without a reference fails.
"""

import inspect

import mpmath
import numpy as np
import pytest
from arrays import host, variable

import backends
import scratchnet as sn
from backends import to_device
from scratchnet.functions import activation, elementwise
from scratchnet.functions.elementwise import Elementwise

MP = mpmath.mp.clone()
MP.dps = 50
SCALE = MP.mpf("1.0507009873554804934193349852946")
ALPHA = MP.mpf("1.6732632423543772848170429916717")
REFERENCES = {
    "Abs": abs, "Sign": MP.sign, "Floor": MP.floor, "Ceil": MP.ceil, "Square": lambda x: x * x,
    "Sqrt": MP.sqrt, "Exp": MP.exp, "Expm1": MP.expm1, "Log": MP.log, "Log1p": MP.log1p,
    "Log2": lambda x: MP.log(x, 2), "Log10": MP.log10, "Sin": MP.sin, "Cos": MP.cos, "Tan": MP.tan,
    "Arcsin": MP.asin, "Arccos": MP.acos, "Arctan": MP.atan, "Sinh": MP.sinh, "Cosh": MP.cosh,
    "Tanh": MP.tanh, "Sigmoid": lambda x: 1 / (1 + MP.exp(-x)), "Erf": MP.erf,
    "Erfc": lambda x: MP.erfc(x) if x < 1000 else MP.mpf(0),
    "ReLU": lambda x: max(x, MP.mpf(0)), "LeakyReLU": lambda x: x if x > 0 else x / 100,
    "ELU": lambda x: x if x > 0 else MP.expm1(x), "SiLU": lambda x: x / (1 + MP.exp(-x)),
    "SELU": lambda x: SCALE * (x if x > 0 else ALPHA * MP.expm1(x)),
    "GELU": lambda x: x * MP.erfc(-x / MP.sqrt(2)) / 2 if abs(x) < 1000 else max(x, MP.mpf(0)),
    "Softplus": lambda x: MP.log1p(MP.exp(x)) if x < 100 else x + MP.exp(-x),
    "LogSigmoid": lambda x: -MP.log1p(MP.exp(-x)) if x > -100 else x - MP.exp(x),
    "Hardtanh": lambda x: min(max(x, MP.mpf(-1)), MP.mpf(1)),
}  # fmt: skip
CLASSES = {
    name: each
    for module in (elementwise, activation)
    for name, each in inspect.getmembers(module, inspect.isclass)
    if issubclass(each, Elementwise) and each is not Elementwise and each.__module__ == module.__name__
}
NAMES = {"LeakyReLU": "leaky_relu", "LogSigmoid": "log_sigmoid"}
ULP = {"float16": 2, "float32": 4, "float64": 4}
ALL = pytest.mark.parametrize("name", CLASSES)


def function_of(name):
    return getattr(sn, NAMES.get(name, name.lower()))


def test_every_class_has_a_reference_a_function_and_a_sentence():
    assert CLASSES.keys() == REFERENCES.keys()
    for name, each in CLASSES.items():
        function = function_of(name)
        assert function.__doc__
        assert each.rule
        np.testing.assert_array_equal(function(np.float32([0.25, 0.5])), each()(np.float32([0.25, 0.5])))


def samples(name, dtype):
    """Return magnitudes over the whole range of the dtype in the domain, and numbers near its ends."""
    low, high = CLASSES[name].domain
    limits, rng = np.finfo(dtype), np.random.default_rng(0)
    magnitudes = 10.0 ** rng.uniform(np.log10(float(limits.tiny)), np.log10(float(limits.max)), 150)
    drawn = np.concatenate([magnitudes, -magnitudes, rng.uniform(-30, 30, 150), rng.uniform(-1, 1, 100)])
    near = [end + sign * gap for end in (low, high) for sign in (-1, 1) for gap in (0.01, 1e-3)]
    x = np.concatenate([drawn, near, [0.0, 1.0, 0.5]]).astype(dtype)
    return x[(x > low) & (x < high) & np.isfinite(x)]


@ALL
@pytest.mark.parametrize("dtype", ULP)
@pytest.mark.filterwarnings("ignore:(overflow|underflow|divide|invalid)")
def test_accuracy_over_the_whole_range(backend, name, dtype):
    if backend == "strict" and dtype == "float16":
        pytest.skip("the stand-in computes as NumPy does")
    x = samples(name, dtype)
    y = host(function_of(name)(to_device(x)))
    assert y.dtype == dtype
    assert y.shape == x.shape
    limits = np.finfo(dtype)
    for given, found in zip(x, y, strict=True):
        with MP.workdps(400 if abs(float(given)) > 1e10 else 50):
            exact = REFERENCES[name](MP.mpf(float(given)))
            if abs(exact) >= limits.max:
                assert np.isinf(found) or abs(found) >= limits.max * 0.99, (given, found)
                continue
            spacing = max(
                float(np.spacing(dtype_of(dtype)(abs(float(exact))))), float(limits.smallest_subnormal)
            )
            assert abs(MP.mpf(float(found)) - exact) <= ULP[dtype] * spacing, (given, found, exact)


def dtype_of(name):
    return np.dtype(name).type


def moderate(name, shape=(4,)):
    """Return where finite differences are exact enough: away from kinks and ends."""
    low, high = CLASSES[name].domain
    rng = np.random.default_rng(1)
    return rng.uniform(max(low + 0.2, -1.8), min(high - 0.2, 1.8), shape) + 0.013


@ALL
@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 3), (0, 2)], ids=str)
def test_gradient_and_second_gradient(backend, name, shape):
    function, x = function_of(name), moderate(name, shape)
    assert sn.gradcheck(function, x)
    assert sn.gradgradcheck(function, x)


@ALL
def test_layouts_and_types(backend, name):
    function, x = function_of(name), moderate(name, (6, 4)).astype("float32")
    expected = host(function(to_device(x[::2, ::-1].copy())))
    array = to_device(x)[::2, ::-1]
    np.testing.assert_allclose(host(function(array)), expected, rtol=1e-6)
    for dtype in ULP:
        result = function(variable(x.astype(dtype)))
        assert result.dtype == dtype
        result.sum().backward()


def test_abs_has_gradient_0_at_0_and_steps_have_none(backend):
    x = variable([-2.0, 0.0, 3.0])
    abs(x).sum().backward()
    np.testing.assert_array_equal(host(x.grad), [-1, 0, 1])
    for step in (sn.sign, sn.floor, sn.ceil):
        x.zero_grad()
        step(x).sum().backward()
        np.testing.assert_array_equal(host(x.grad), [0, 0, 0])


def test_a_sigmoid_keeps_its_digits_far_on_the_negative_side(backend):
    x = variable(np.float32([-20.0]))
    loss = -sn.sigmoid(x).log()
    loss.backward()
    np.testing.assert_allclose(host(loss), [20], rtol=1e-6)
    np.testing.assert_allclose(host(x.grad), [-1], rtol=1e-6)
    assert backends.active().name == backend


@pytest.mark.parametrize(("name", "slope"), [("elu", 1), ("selu", 1.7580993408473768599)])
def test_the_slope_at_0_is_that_of_the_negative_side(backend, name, slope):
    x = variable([0.0, -0.0])
    getattr(sn, name)(x).sum().backward()
    np.testing.assert_allclose(host(x.grad), slope)
