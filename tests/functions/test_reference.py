"""The loss and the gradients, compared with arithmetic of fifty digits on difficult inputs.

An error is counted in ULP, the distance from one number of the dtype to the next: of the exact value if
nothing can cancel; for a product, of the sum of its magnitudes. Two are allowed for each summed term.
"""

import mpmath
import numpy as np
import pytest
from arrays import host, variable

import backends
import scratchnet as sn
from backends import to_device

MP = mpmath.MPContext()
MP.dps = 50
exact = np.vectorize(lambda number: MP.mpf(float(number)), otypes=[object])
DTYPES = ["float32", "float64"]


def errors_in_ulp(found, expected, scale=None):
    """Return each number's distance from the expected one, in ULP of the scale; NaN: infinity."""
    found, expected = np.atleast_1d(host(found)), np.atleast_1d(expected)
    scale = np.abs(expected if scale is None else scale).astype(found.dtype)
    apart = np.abs(exact(found) - expected) / exact(np.spacing(scale))
    return np.nan_to_num(apart.astype(float), nan=np.inf)


def logits_and_labels(dtype):
    """Return named logits and labels."""
    rng, limits = np.random.default_rng(5), np.finfo(dtype)
    lowest = float(-np.log(limits.tiny))  # from here on a probability is denormal
    return {
        "moderate": (rng.standard_normal((16, 10)), rng.integers(0, 10, 16)),
        "spread wide": (30 * rng.standard_normal((16, 10)), rng.integers(0, 10, 16)),
        "ten thousand": ([[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [0, 1e4, -1e4]], [0, 1, 2]),
        "huge": ([[1e30, -1e30, 9e29], [1e30, 1e30, -1e30]], [2, 0]),
        "sure and right": (np.c_[np.full(4, 20.0), rng.standard_normal((4, 9))], [0] * 4),
        "surer than the dtype's digits": ([[60.0, 0, 1], [40, -3, 2]], [0, 0]),
        "sure and wrong": ([[60.0, 0, 1], [40, -3, 2]], [1, 2]),
        "near ties": (1 + limits.eps * rng.integers(0, 3, (8, 10)), rng.integers(0, 10, 8)),
        "denormal": (limits.smallest_subnormal * rng.integers(0, 9, (4, 5)), rng.integers(0, 5, 4)),
        "denormal results": ([[lowest + 2, 0, 1], [lowest - 1, 0.5, 0], [lowest + 9, 0, 3]], [0, 0, 1]),
        "far from zero": (1e6 + rng.integers(0, 20, (4, 5)), rng.integers(0, 5, 4)),
        "many classes": (rng.standard_normal((1, 1500)), [7]),
        "many rows": (5 * rng.standard_normal((300, 3)), rng.integers(0, 3, 300)),
        "differences that are rounded": (rng.uniform(-45, 45, (40, 2)), rng.integers(0, 2, 40)),
        "classes excluded": ([[1.0, -np.inf, 0.5], [-np.inf, -2, -np.inf]], [2, 1]),
    }


@pytest.mark.guarantee("Losses and linear layers keep their digits over the whole range of a dtype.")
@pytest.mark.filterwarnings("ignore:underflow")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", logits_and_labels("float32"))
def test_the_softmax_loss_and_its_gradient(backend, name, dtype):
    logits, labels = logits_and_labels(dtype)[name]
    x = variable(np.asarray(logits, dtype))
    loss = sn.softmax_loss(x, to_device(np.asarray(labels)))
    loss.backward()

    rows, classes = x.shape
    shifted = exact(host(x)) - exact(host(x).max(axis=1, keepdims=True))
    e = np.vectorize(MP.exp, otypes=[object])(shifted)
    at_label = np.arange(classes) == np.asarray(labels)[:, None]
    others = (e * ~at_label).sum(axis=1)
    gradient = np.where(at_label, -others[:, None], e) / e.sum(axis=1, keepdims=True) / rows
    log_ratio = np.vectorize(lambda a, b: MP.log1p(a / b), otypes=[object])
    expected = log_ratio(others, e[at_label]).sum() / rows

    denormals = np.finfo(dtype).tiny if backend == "cupy" else 0  # CuPy compiles with -ftz=true
    scale = np.maximum(np.abs(gradient), denormals)
    assert (errors_in_ulp(x.grad, gradient, scale) <= 2 * classes).all()
    assert errors_in_ulp(loss, expected) <= 2 * (rows + classes)


@pytest.mark.guarantee("Losses and linear layers keep their digits over the whole range of a dtype.")
@pytest.mark.filterwarnings("ignore:underflow")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", logits_and_labels("float32"))
def test_the_plain_twin_of_the_softmax_loss(name, dtype):
    with backends.use(backends.PlainBackend()):
        test_the_softmax_loss_and_its_gradient("plain", name, dtype)


def layers(dtype):
    """Return named x (n, in), weight (out, in), bias (out,), and the gradient at the result."""
    rng, limits = np.random.default_rng(6), np.finfo(dtype)

    def drawn(n, inputs, outputs):
        shapes = (n, inputs), (outputs, inputs), (outputs,), (n, outputs)
        return [rng.standard_normal(shape) for shape in shapes]

    def spread(array):
        return array * 10.0 ** rng.integers(-12, 12, array.shape)

    cancelling = drawn(6, 40, 5)
    cancelling[0][:, 20:], cancelling[1][:, 20:] = -cancelling[0][:, :20], cancelling[1][:, :20]
    cancelling[3][3:] = -cancelling[3][:3]
    denormal = drawn(6, 7, 5)
    denormal[0] = denormal[0] * limits.tiny
    denormal[3] = denormal[3] * limits.smallest_subnormal * 9
    return {
        "moderate": drawn(9, 24, 7),
        "one of each": drawn(1, 1, 1),
        "spread wide": [spread(each) for each in drawn(6, 40, 5)],
        "all but cancelling": [each + limits.eps * each for each in cancelling],
        "denormal": denormal,
        "many inputs": drawn(2, 1500, 2),
        "many rows": drawn(1500, 2, 2),
        "many outputs": drawn(2, 2, 1500),
    }


@pytest.mark.guarantee("Losses and linear layers keep their digits over the whole range of a dtype.")
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", layers("float32"))
def test_a_layer_and_its_gradients(backend, name, dtype, relu):
    *operands, grad = (np.asarray(each, dtype) for each in layers(dtype)[name])
    operands = [variable(each) for each in operands]
    y = sn.functions.Affine(relu)(*operands)
    y.backward(to_device(grad))

    x, weight, bias = (exact(host(each)) for each in operands)
    out, size = x @ weight.T + bias, np.abs(x) @ np.abs(weight).T + np.abs(bias)
    if relu:  # the sign is the kernel's: if the exact one differs, the value is only rounding
        grad = grad * (host(y) > 0)
        out = np.maximum(out, 0)
    g = exact(grad)
    (n, outputs), inputs = g.shape, x.shape[1]
    cases = {
        "result": (y, out, size, inputs + 1),
        "x": (operands[0].grad, g @ weight, np.abs(g) @ np.abs(weight), outputs),
        "weight": (operands[1].grad, g.T @ x, np.abs(g).T @ np.abs(x), n),
        "bias": (operands[2].grad, g.sum(axis=0)[None], np.abs(g).sum(axis=0)[None], n),
    }
    denormals = np.finfo(dtype).tiny if backend == "cupy" else 0
    for what, (found, expected, sizes, terms) in cases.items():
        sizes = np.maximum(sizes, denormals)
        assert (errors_in_ulp(found, expected, sizes) <= 2 * terms).all(), what
