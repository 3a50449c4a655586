"""Numbers that are too many, too small or too large for a dtype, and arrays that are nearly NumPy's."""

import mpmath
import numpy as np
import pytest
from arrays import host, variable

import backends
import scratchnet as sn

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
