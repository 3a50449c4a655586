"""Numbers that are too many, too small or too large for a dtype, and arrays that are nearly NumPy's."""

import mpmath
import numpy as np
import pytest
from arrays import host, variable

import backends
import scratchnet as sn
from backends import xp

MANY = 70_000
"""More than float16's largest number."""


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", ["sum", "mean", "var", "std", "cumsum", "softmax", "logsumexp"])
def test_float16_of_more_terms_than_its_largest_number(backend, name, axis):
    values = np.full((MANY, 2), 0.25, np.float16)
    values[::2] = 0
    x = variable(values if axis == 0 else values.T.copy())
    y = getattr(sn, name)(x, axis=axis)
    expected = host(getattr(sn, name)(backends.to_device(values.astype("float64")), axis=0))
    expected = expected.T if expected.ndim > 1 and axis else expected
    np.testing.assert_allclose(host(y).astype("float64"), expected, rtol=2e-3, atol=1e-7)
    if name != "cumsum":  # its gradient, the number of terms, is no number of float16
        y.sum().backward()
        assert np.isfinite(host(x.grad)).all()


def test_float16_gradients_of_a_bias_and_of_ties_over_many_rows(backend):
    x, bias = variable(np.zeros((MANY, 1), np.float16)), variable(np.zeros(1, np.float16))
    ((x + bias) * np.float16(0.5)).sum().backward()
    np.testing.assert_allclose(host(bias.grad), [MANY / 2], rtol=1e-3)
    weight = variable(np.zeros((1, 1), np.float16))
    grad = np.full((MANY, 1), 0.5, np.float16)
    bias.zero_grad()
    sn.functions.Affine().on(x, weight, bias).backward(backends.to_device(grad))
    np.testing.assert_allclose(host(bias.grad), [MANY / 2], rtol=1e-3)
    x.zero_grad()
    x.max().backward()
    np.testing.assert_allclose(host(x.grad), 1 / MANY, rtol=2e-2)


def test_a_float16_loss_of_many_rows(backend):
    logits = variable(np.zeros((MANY, 2), np.float16))
    loss = sn.softmax_loss(logits, backends.to_device(np.zeros(MANY, int)))
    loss.backward()
    np.testing.assert_allclose(loss.item(), np.log(2), rtol=1e-3)
    np.testing.assert_allclose(host(logits.grad)[0], [-0.5 / MANY, 0.5 / MANY], rtol=2e-2)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("spread", [1, 30, 1000])
def test_softmax_and_its_logarithm_are_exact_to_4_ulp_of_1(backend, rng, dtype, axis, spread):
    x = (rng.uniform(-1, 1, (40, 9)) * spread).astype(dtype)
    soft, logarithm = (host(f(variable(x), axis)) for f in (sn.softmax, sn.log_softmax))
    with mpmath.workdps(30):
        exact = np.vectorize(lambda v: mpmath.mpf(float(v)), otypes=[object])(x)
        e = np.vectorize(mpmath.exp, otypes=[object])(exact)
        total = e.sum(axis=axis, keepdims=True)
        off = np.abs(soft - e / total) / np.finfo(dtype).eps
        expected = exact - np.vectorize(mpmath.log, otypes=[object])(total)
        off_log = np.abs(logarithm - expected) / np.finfo(dtype).eps / np.maximum(np.abs(expected), 1)
    assert off.max() <= 4
    assert off_log.max() <= 4


SMALL = {
    "softmax": sn.softmax, "log_softmax": sn.log_softmax, "logsumexp": sn.logsumexp,
    "sigmoid": sn.sigmoid, "log_sigmoid": sn.log_sigmoid, "softplus": sn.softplus, "silu": sn.silu,
    "gelu": sn.gelu, "elu": sn.elu, "selu": sn.selu, "erf": sn.erf, "erfc": sn.erfc, "tanh": sn.tanh,
    "norm": lambda x: sn.norm(x, axis=0), "std": sn.std, "leaky_relu": sn.leaky_relu,
    "linear": lambda x: sn.Linear(3, 2, 0)(x * 1e-30) * 1e-30, "prod": sn.prod,
    "softmax_loss": lambda x: sn.softmax_loss(x, backends.to_device([1, 0])),
    "plain_softmax_loss": lambda x: sn.plain_softmax_loss(x, backends.to_device([1, 0])),
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_what_is_too_small_is_0_and_no_fault(backend, name):
    x = variable(np.float32([[200.0, 0.0, -300.0], [1e-30, -90.0, 1e-40]]))
    optimizer = sn.SGD([x], 1e-20)
    with np.errstate(under="raise"):
        SMALL[name](x).sum().backward(np.float32(1e-30))
        optimizer.step()


@pytest.mark.parametrize(
    "name", ["erf", "erfc", "gelu", "softplus", "silu", "log_sigmoid", "elu", "selu", "sigmoid"]
)
def test_integers_give_floating_results(backend, name):
    x = np.array([1, 2, -1])
    found = host(getattr(sn, name)(backends.to_device(x)))
    np.testing.assert_array_equal(found, host(getattr(sn, name)(backends.to_device(x.astype(float)))))


@pytest.mark.parametrize(
    ("name", "at", "expected"), [("sigmoid", 7.625, 4.87e-4), ("gelu", -0.754, -9.1e-4)]
)
def test_gradients_in_float16_keep_their_digits(backend, name, at, expected):
    x = variable(np.float16([at]))
    getattr(sn, name)(x).backward()
    np.testing.assert_allclose(host(x.grad), expected, rtol=0.02)


def test_silu_is_exact_to_4_ulp_in_float32_everywhere():
    x = np.linspace(-20, 5, 400_001, dtype=np.float32)
    wide = x.astype(np.float64)
    expected = wide / (1 + np.exp(-wide))
    assert (np.abs(sn.silu(x) - expected) / np.spacing(np.abs(expected).astype(np.float32))).max() <= 1


class Kept(np.ndarray):
    """A subclass as other libraries make them."""


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_subclasses_of_numpy_s_arrays_are_plain_arrays_here():
    with backends.use("numpy"):
        matrix = np.asmatrix([[1.0, 2.0], [3.0, 4.0]])
        x = sn.Variable(matrix)
        assert type(x.data) is np.ndarray
        np.testing.assert_array_equal((x * matrix).data, [[1, 4], [9, 16]])
        assert x.sum(axis=1).shape == (2,)
        assert type(sn.exp(matrix)) is np.ndarray
        base = np.zeros(3)
        kept = sn.Variable(base.view(Kept))
        kept.data[0] = 5
        assert base[0] == 5  # it is the memory that was given
        kept.data = np.ones(3).view(Kept)
        assert type(kept.data) is np.ndarray


@pytest.mark.parametrize(
    "call",
    [
        sn.Variable,
        lambda a: sn.Variable([1.0, 2.0]) + a,
        sn.exp,
        lambda a: setattr(sn.Variable([1.0, 2.0]), "data", a),
    ],
)
def test_a_masked_array_is_refused_for_its_mask_would_be_lost(call):
    with backends.use("numpy"), pytest.raises(backends.WrongArrayError, match="its mask would be lost"):
        call(np.ma.masked_array([1.0, 2.0], [True, False]))


def gradient(function, values, dtype="float32"):
    x = variable(np.asarray(values, dtype))
    with np.errstate(all="ignore"):
        function(x).sum().backward()
    return host(x.grad)


GATES = {
    "relu": sn.relu, "clip": lambda x: sn.clip(x, 0, None), "threshold": lambda x: sn.threshold(x, 0),
    "maximum": lambda x: sn.maximum(x, 0.0), "hardtanh": lambda x: sn.hardtanh(x, 0, 9),
    "affine": lambda x: sn.functions.Affine(True).on(
        x.reshape(-1, 1), xp.ones((1, 1), "float32"), xp.zeros(1, "float32")),
}  # fmt: skip


@pytest.mark.parametrize("name", GATES)
def test_no_gradient_passes_a_closed_gate_even_if_it_is_infinite(backend, name):
    found = gradient(lambda x: sn.sqrt(GATES[name](x)), [-1, -2, 4])  # sqrt has slope infinity at 0
    np.testing.assert_array_equal(found, [0, 0, 0.25])


@pytest.mark.parametrize("function", [sn.sign, sn.floor, sn.ceil, lambda x: x**0, lambda x: sn.abs(x)])
def test_a_slope_of_0_stays_0_if_the_gradient_is_infinite(backend, function):
    x = variable(np.zeros(1, "float32"))
    function(x).backward(backends.to_device(np.float32([np.inf])))
    assert host(x.grad)[0] == 0


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([1e20, 1e-20] * 2, "float32"), ([1e-20, 1e20] * 3, "float32"),
     ([300, 0.01] * 2, "float16")],
)  # fmt: skip
def test_a_product_of_large_and_small_numbers(backend, values, dtype):
    exact = np.prod(np.asarray(values, dtype).astype("float64"))
    np.testing.assert_allclose(host(sn.prod(variable(np.asarray(values, dtype)))), exact, rtol=2e-3)


@pytest.mark.parametrize("dtype", ["int8", "int32"])
def test_the_norm_of_integers_is_that_of_their_numbers(backend, dtype):
    x = np.array([100, 100, -128 if dtype == "int8" else -(10**9)], dtype)
    for order in (None, 1, 3, np.inf):
        found = host(sn.norm(backends.to_device(x), order))
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, np.linalg.norm(x.astype("float64"), order))
    np.testing.assert_allclose(host(sn.std(backends.to_device(x))), x.astype("float64").std())


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_norm_of_the_largest_number(backend, dtype):
    largest = np.finfo(dtype).max
    assert host(sn.norm(variable(np.array([0, -largest], dtype)))) == largest


def test_a_tiny_gradient_of_a_tiny_norm(backend):
    x = variable(np.float32([3e-10, 4e-10]))
    (found,) = sn.grad(sn.norm(x), x, backends.to_device(np.float32(1e-34)))
    np.testing.assert_allclose(host(found), [6e-35, 8e-35], rtol=1e-5)


@pytest.mark.parametrize("size", [1e-30, 1e-10, 1.0, 1e25, 1e30])
@pytest.mark.parametrize("name", ["norm", "std"])
def test_a_norm_and_a_deviation_neither_overflow_nor_underflow(backend, name, size):
    x, wide = variable(np.float32([3, 4, -5]) * np.float32(size)), variable(np.array([3.0, 4, -5]))
    y, exact = getattr(sn, name)(x), getattr(sn, name)(wide)
    y.backward(), exact.backward()
    np.testing.assert_allclose(host(y) / size, host(exact), rtol=1e-5)
    np.testing.assert_allclose(host(x.grad), host(wide.grad), rtol=1e-5)


@pytest.mark.parametrize(
    "function",
    [lambda x: sn.std(x, ddof=1), lambda x: sn.norm(x, 3), lambda x: sn.maximum(x.sum(), x.max()),
     lambda x: sn.where(True, x.sum(), x.max()), lambda x: sn.functions.Add()(x.sum(), x.max())],
)  # fmt: skip
def test_functions_of_float32_numbers_stay_float32(function):
    assert function(np.float32([1, 2, 4])).dtype == np.float32


def test_float16_gradients_are_added_in_float32(backend):
    assert abs(gradient(sn.log_softmax, np.zeros(MANY), "float16")).max() < 2e-3
    for many in (lambda x: x[[0] * 5000], lambda x: x[([0] * 5000,)], lambda x: sn.repeat(x[:1], 5000)):
        assert gradient(many, [1, 2], "float16").tolist() == [5000, 0]
    np.testing.assert_allclose(host(sn.std(variable(np.float16([300, -300])))), 300)
    spread = host(sn.var(variable(np.float16([1000, 1000, 1000.5]))))
    np.testing.assert_allclose(spread.astype("float64"), 1 / 18, rtol=1e-3)


@pytest.mark.parametrize(("value", "dtype"), [(1000, "float16"), (1e8, "float32"), (1e17, "float64")])
def test_the_gradient_of_logsumexp_far_from_0(backend, value, dtype):
    np.testing.assert_allclose(gradient(sn.logsumexp, [value, value], dtype), [0.5, 0.5])


def test_the_activations_and_their_slopes_at_infinity(backend):
    at = variable(np.float32([-np.inf, np.inf]))
    for function in (sn.gelu, sn.silu):
        np.testing.assert_array_equal(host(function(at)), [0, np.inf])
        np.testing.assert_array_equal(gradient(function, [-np.inf, np.inf]), [0, 1])


def test_softplus_with_another_beta_keeps_its_digits(backend):
    x = np.float32(-22.327205)
    exact = mpmath.log1p(mpmath.exp(3 * mpmath.mpf(float(x)))) / 3
    np.testing.assert_allclose(host(sn.softplus(variable([x]), 3.0)), [float(exact)], rtol=1e-7)


UNDER = {
    "a gradient of a wider type": lambda: (
        (variable(np.float32([1])) * backends.to_device(np.array([1e-60]))).sum().backward()
    ),
    "a given gradient": lambda: variable(np.float32([1])).backward(np.array([1e-60])),
    "a list": lambda: sn.Variable([1e-60]),
}
OVER = {
    "erf": lambda: sn.erf(variable(np.float32([1e25]))), "erfc": lambda: sn.erfc(variable([1e200])),
    "gelu": lambda: sn.gelu(variable([1e200])).backward(), "softmax": lambda: sn.softmax(
        variable(np.float32([3e38, -3e38]))),
}  # fmt: skip


@pytest.mark.parametrize("what", [*UNDER, *OVER])
def test_a_step_inside_that_is_too_large_or_too_small_is_no_fault(backend, what):
    if backend != "numpy" and what == "a given gradient":
        pytest.skip("its gradient would be a host array")
    with np.errstate(all="raise"):
        (UNDER | OVER)[what]()
