"""Every loss and its gradient, compared with arithmetic of sixty digits, over a dtype's whole range.

An error is counted in ULP of the exact value. Where numbers of both signs are added, it is counted in
ULP of the sum of their magnitudes.
"""

import mpmath
import numpy as np
import pytest
from arrays import host, variable

import backends
import scratchnet as sn
from backends import to_device

MP = mpmath.MPContext()
MP.dps = 60
exact = np.vectorize(lambda number: MP.mpf(float(number)), otypes=[object])
log, exp, log1p, sqrt = (
    np.vectorize(each, otypes=[object]) for each in (MP.log, MP.exp, MP.log1p, MP.sqrt)
)
DTYPES = ["float32", "float64"]


def ulp_of(found, expected, scale=None):
    """Return the largest error in ULP of the scale, which is the expected number by default."""
    found = host(found)
    scale = np.abs(expected if scale is None else scale).astype(float).astype(found.dtype)
    denormal = np.finfo(found.dtype).smallest_subnormal
    spacing = exact(np.maximum(np.spacing(scale), denormal))
    apart = np.abs(exact(found) - expected) / spacing
    return np.nan_to_num(apart.astype(float), nan=np.inf).max()


def with_gradient(loss, x, *others, **options):
    """Return the losses of all elements or rows, and the gradient of their sum at the first operand."""
    leaf = variable(x)
    losses = loss(leaf, *map(to_device, others), reduction="none", **options)
    losses.sum().backward()
    return losses, leaf.grad


def of_all_sizes(dtype, largest, smallest=None):
    """Return numbers of both signs, from the smallest normal one to the largest that is given."""
    rng = np.random.default_rng(0)
    low = np.log10(float(smallest or np.finfo(dtype).tiny))
    sizes = 10.0 ** rng.uniform(low, np.log10(largest), 150)
    x = np.concatenate([sizes, -sizes, rng.uniform(-120, 120, 150), rng.uniform(-2, 2, 50), [0.0]])
    return x.clip(-largest, largest).astype(dtype)


@pytest.mark.guarantee("Losses and linear layers keep their digits over the whole range of a dtype.")
@pytest.mark.filterwarnings("ignore:underflow")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", [0, 1])
def test_binary_cross_entropy_with_logits_in_both_tails(backend, dtype, label):
    x = of_all_sizes(dtype, 1e4)
    target = np.full(x.shape, label, dtype)
    losses, gradient = with_gradient(sn.binary_cross_entropy_with_logits, x, target)
    towards = exact(x) * (1 - 2 * label)  # positive where the prediction is wrong
    assert ulp_of(losses, log1p(exp(towards))) <= 4
    assert ulp_of(gradient, (1 - 2 * label) / (1 + exp(-towards))) <= 4


@pytest.mark.guarantee("Losses and linear layers keep their digits over the whole range of a dtype.")
@pytest.mark.filterwarnings("ignore:underflow")
@pytest.mark.parametrize("dtype", DTYPES)
def test_binary_cross_entropy_with_logits_of_probabilities_and_weights(backend, dtype):
    x = of_all_sizes(dtype, 1e4)
    target = np.random.default_rng(1).uniform(0, 1, x.shape).astype(dtype)
    factor = np.asarray(3, dtype)
    losses, gradient = with_gradient(
        sn.binary_cross_entropy_with_logits, x, target, pos_weight=to_device(factor)
    )
    x, t = exact(x), exact(target)
    assert ulp_of(losses, 3 * t * log1p(exp(-x)) + (1 - t) * log1p(exp(x))) <= 6
    up, down = (1 - t) / (1 + exp(-x)), 3 * t / (1 + exp(x))
    assert ulp_of(gradient, up - down, up + down) <= 6


@pytest.mark.guarantee("Losses and linear layers keep their digits over the whole range of a dtype.")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", [0, 1])
def test_binary_cross_entropy_near_0_and_1(backend, dtype, label):
    rng, limits = np.random.default_rng(2), np.finfo(dtype)
    small = 10.0 ** rng.uniform(-37, 0, 200)
    p = np.concatenate([small, 1 - limits.epsneg * rng.integers(1, 99, 50), rng.uniform(0, 1, 50)])
    p = p.astype(dtype)[p.astype(dtype) < 1]
    losses, gradient = with_gradient(sn.binary_cross_entropy, p, np.full(p.shape, label, dtype))
    right = exact(p) if label else 1 - exact(p)
    assert ulp_of(losses, -log(right)) <= 4
    plain = host(sn.binary_cross_entropy(to_device(p), to_device(np.full(p.shape, label)))).item()
    assert plain == pytest.approx(float((-log(right)).mean()), rel=1e-5)
    usual = (p > 2e-12) & (p < 1 - 2e-12)
    assert usual.sum() > 50
    expected = (1 - 2 * label) / right
    assert ulp_of(gradient[to_device(np.flatnonzero(usual))], expected[usual]) <= 6


def logits_and_labels(dtype):
    rng = np.random.default_rng(3)
    eps = np.finfo(dtype).eps
    return {
        "moderate": (rng.standard_normal((16, 10)), rng.integers(0, 10, 16)),
        "spread wide": (30 * rng.standard_normal((16, 10)), rng.integers(0, 10, 16)),
        "ten thousand": ([[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [0, 1e4, -1e4]], [0, 1, 2]),
        "sure and right": (np.c_[np.full(4, 20.0), rng.standard_normal((4, 9))], [0] * 4),
        "surer than the dtype's digits": ([[60.0, 0, 1], [40, -3, 2]], [0, 0]),
        "sure and wrong": ([[60.0, 0, 1], [40, -3, 2]], [1, 2]),
        "near ties": (1 + eps * rng.integers(0, 3, (8, 10)), rng.integers(0, 10, 8)),
        "classes excluded": ([[1.0, -np.inf, 0.5], [-np.inf, -2, -np.inf]], [2, 1]),
    }


@pytest.mark.guarantee("Losses and linear layers keep their digits over the whole range of a dtype.")
@pytest.mark.filterwarnings("ignore:underflow")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("of", ["labels", "weights", "probabilities", "log-probabilities"])
@pytest.mark.parametrize("name", logits_and_labels("float32"))
def test_the_softmax_loss_with_options(backend, name, of, dtype):
    """The difference of two logits is rounded, so a probability p has |log p| ULP more."""
    logits, labels = logits_and_labels(dtype)[name]
    logits, labels = np.asarray(logits, dtype), np.asarray(labels)
    rows, classes = logits.shape
    weight = np.ones(classes)
    target, options = np.eye(classes)[labels], {}
    loss, given = sn.softmax_loss, labels
    if of == "weights":
        weight = np.linspace(0.5, 2, classes)
        options = {"weight": to_device(weight.astype(dtype))}
    elif of == "probabilities":
        target = np.random.default_rng(4).uniform(0, 1, (rows, classes)) * np.isfinite(logits)
        given = target = target.astype(dtype)
    elif of == "log-probabilities":

        def loss(x, labels, **options):
            return sn.nll_loss(sn.log_softmax(x), labels, **options)

    losses, gradient = with_gradient(loss, logits, given, **options)

    shifted = exact(logits) - exact(logits.max(axis=1, keepdims=True))
    e = exp(shifted)
    p = e / e.sum(axis=1, keepdims=True)
    rest = np.array([[sum(row[:i]) + sum(row[i + 1 :]) for i in range(classes)] for row in p])
    log_p = np.where(np.isfinite(logits), shifted, 0) - log1p(e.sum(axis=1) - 1)[:, None]
    highest = logits == logits.max(axis=1, keepdims=True)
    log_p = np.where(highest & (rest < 0.5), log1p(-rest), log_p)
    t = exact(target) * exact(weight.astype(dtype))
    assert ulp_of(losses, -(t * log_p).sum(axis=1)) <= 2 * classes + np.ptp(logits[np.isfinite(logits)])
    up, down = p * (t.sum(axis=1, keepdims=True) - t), t * rest
    more = np.minimum(-log_p.astype(float), 800).max()  # below, a float64 exponential is 0
    assert ulp_of(gradient, up - down, up + down) <= 2 * (classes + more)


@pytest.mark.guarantee("Losses and linear layers keep their digits over the whole range of a dtype.")
@pytest.mark.filterwarnings("ignore:underflow")
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_losses_for_numbers(backend, dtype):
    largest = float(np.finfo(dtype).max) ** 0.45
    x = of_all_sizes(dtype, largest, 1 / largest)
    target = np.zeros(x.shape, dtype)
    d = exact(x)
    for loss, value, slope in (
        (sn.mse_loss, d * d, 2 * d),
        (sn.l1_loss, abs(d), np.sign(x).astype(int)),
        (
            sn.huber_loss,
            np.where(abs(d) <= 1, d * d / 2, abs(d) - MP.mpf("0.5")),
            np.where(abs(d) <= 1, d, np.sign(x).astype(int)),
        ),
    ):
        losses, gradient = with_gradient(loss, x, target)
        assert ulp_of(losses, value) <= 2, loss.__name__
        assert ulp_of(gradient, slope) <= 2, loss.__name__
    huge = np.asarray([float(np.finfo(dtype).max) / 2, -1e30], dtype)
    losses, gradient = with_gradient(sn.huber_loss, huge, np.zeros(2, dtype))
    assert ulp_of(losses, abs(exact(huge)) - MP.mpf("0.5")) <= 1
    np.testing.assert_array_equal(host(gradient), [1, -1])


@pytest.mark.guarantee("Losses and linear layers keep their digits over the whole range of a dtype.")
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_divergence_of_tiny_probabilities(backend, dtype):
    rng, low = np.random.default_rng(5), np.log10(float(np.finfo(dtype).tiny))
    p = (10.0 ** rng.uniform(low, 0, 300)).astype(dtype)
    log_q = (-(10.0 ** rng.uniform(-6, 4, 300))).astype(dtype)
    log_p, q = log(exact(p)), exact(log_q)
    terms, gradient = with_gradient(sn.kl_divergence, log_q, p)
    assert ulp_of(terms, exact(p) * (log_p - q), exact(p) * (abs(log_p) + abs(q))) <= 4
    np.testing.assert_array_equal(host(gradient), -p)
    leaf = variable(p)
    sn.kl_divergence(to_device(log_q), leaf, reduction="sum").backward()
    assert ulp_of(leaf.grad, log_p - q + 1, abs(log_p) + abs(q) + 1) <= 4


@pytest.mark.guarantee("Losses and linear layers keep their digits over the whole range of a dtype.")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [(1, 1), ("huge", "tiny"), ("huge", "huge"), (1, "tiny")], ids=str)
def test_the_cosine_of_very_long_and_very_short_vectors(backend, dtype, sizes):
    rng, eps = np.random.default_rng(6), 1e-8
    size = {1: 1.0, "huge": float(np.finfo(dtype).max) / 8, "tiny": float(np.finfo(dtype).tiny) * 2**30}
    a, b = ((rng.uniform(-1, 1, (20, 6)) * size[each]).astype(dtype) for each in sizes)
    leaf = variable(a)
    cosines = sn.cosine_similarity(leaf, to_device(b), eps=eps)
    cosines.sum().backward()
    a, b = exact(a), exact(b)
    lengths = [sqrt((x * x).sum(axis=1)) for x in (a, b)]
    long, other = (np.maximum(each, exact(np.asarray(eps, dtype))) for each in lengths)
    expected = (a * b).sum(axis=1) / long / other
    assert ulp_of(cosines, expected, abs(a * b).sum(axis=1) / long / other) <= 12
    first, second = b / (long * other)[:, None], a * (expected / long**2)[:, None]
    assert ulp_of(leaf.grad, first - second, abs(first) + abs(second) / abs(expected)[:, None]) <= 24


@pytest.mark.guarantee("Losses and linear layers keep their digits over the whole range of a dtype.")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_the_margin_losses(backend, dtype, size):
    rng = np.random.default_rng(7)
    a, near, far = ((size * rng.standard_normal((20, 6))).astype(dtype) for _ in range(3))
    losses, _ = with_gradient(sn.triplet_margin_loss, a, near, far)
    small = exact(np.asarray(1e-6, dtype))
    to_near, to_far = (
        sqrt(((exact(a) - exact(x) + small) ** 2).sum(axis=1)) for x in (near, far)
    )  # fmt: skip
    expected = np.maximum(1 + to_near - to_far, 0)
    assert ulp_of(losses, expected, 1 + to_near + to_far) <= 16
    target = rng.choice([-1, 1], (20, 6))
    losses, gradient = with_gradient(sn.hinge_loss, a, target)
    inside = 1 - target * exact(a)
    assert ulp_of(losses, np.maximum(inside, 0)) <= 1
    np.testing.assert_array_equal(host(gradient), np.where(inside > 0, -target, 0))


def test_the_plain_twins_are_as_accurate():
    with backends.use(backends.PlainBackend()):
        test_the_softmax_loss_with_options("plain", "sure and right", "weights", "float32")
