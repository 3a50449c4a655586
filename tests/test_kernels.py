"""Each kernel against its plain twin in float64, on every backend.

On the strict stand-in the CUDA kernels run their own source on the CPU; see `host_cuda`.
"""

import numpy as np
import pytest
from rounding import assert_within, sum_error

import backends
from backends import Backend, Setting, cuda_kernels, to_device, to_host, xp
from scratchnet.parity import ULP_ALLOWED

CLOSE = {"float32": 1e-5, "float64": 1e-12}
"""Of the largest number, for a threshold, which rounds once, and the softmax loss. With 32 classes and
logits up to 25 the loss has at most 32 + 10 + 4 * 25 roundings, each 6e-8 in float32; see `rounding`."""
SUMS = "matmul", "affine", "affine_backward", "sgd_update"
"""Kernels that only add up products: with the magnitudes they give the sizes of the sums."""


def compare(kernel, *arguments, dtype="float32", setting=None, terms=None):
    """Run a kernel, and its plain twin in float64 on NumPy; hold the results together.

    Arrays in the arguments are the host's; what the kernel changes in place is compared too. Where
    `terms` are given, the bound is the one that `scratchnet.parity` derives from their number.
    """
    settings = () if setting is None else (Setting(setting),)
    moved = [_each(to_device, each, dtype) for each in arguments]
    found = getattr(backends.active(), kernel)(*moved, *settings)
    with backends.use("numpy") as numpy_backend:
        exact = [_each(np.array, each, "float64") for each in arguments]
        expected = getattr(Backend, kernel)(numpy_backend, *exact, *settings)
        sizes = [*_arrays([expected, *exact])]
        if kernel in SUMS:
            magnitudes = [_each(np.abs, each, "float64") for each in arguments]
            against = () if setting is None else (Setting(-setting),)  # an update subtracts
            total = getattr(Backend, kernel)(numpy_backend, *magnitudes, *against)
            sizes = [*_arrays([total, *magnitudes])]
    for a, b, size in zip(_arrays([found, *moved]), _arrays([expected, *exact]), sizes, strict=True):
        a = to_host(a)
        assert a.shape == b.shape
        assert a.dtype == (dtype if b.dtype.kind == "f" else b.dtype)
        if kernel in SUMS:  # three more: a bias is added, and both factors are rounded to the dtype
            longest = max(max(each.shape, default=1) for each in _arrays(arguments))
            roundings = (1 if kernel == "sgd_update" else longest) + 3
            bound = sum_error(roundings, size, dtype) + sum_error(roundings, size, "float64")
            assert_within(a, b, bound)
            continue
        close = CLOSE[dtype] if terms is None else ULP_ALLOWED * terms**0.5 * np.finfo(dtype).eps
        scale = max(np.abs(b).max(initial=0), 1e-3)
        assert np.abs(a - b).max(initial=0) <= close * scale  # and no NaN


def _each(function, thing, dtype):
    if isinstance(thing, (tuple, list)):
        return [_each(function, each, dtype) for each in thing]
    if isinstance(thing, np.ndarray):
        return function(thing.astype(dtype) if thing.dtype.kind == "f" else thing)
    return thing


def _arrays(things):
    for thing in things:
        if isinstance(thing, (tuple, list)):
            yield from _arrays(thing)
        elif hasattr(thing, "shape"):
            yield thing


SHAPES = [(1, 3, 4, 2), (7, 5, 3, 10), (96, 33, 101, 32), (256, 784, 100, 10)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "inputs", "hidden", "classes"), SHAPES)
def test_a_layer_and_a_loss_forward_and_backward(backend, rng, n, inputs, hidden, classes, dtype):
    x, weight = rng.standard_normal((n, inputs)), rng.standard_normal((hidden, inputs))
    bias, grad = rng.standard_normal((1, hidden)), rng.standard_normal((n, hidden))
    y = np.maximum(rng.standard_normal((n, hidden)), 0)
    for relu in (False, True):
        compare("affine", x, weight, bias, relu, dtype=dtype)
    for result, needed in ((None, (1, 1, 1)), (y, (1, 1, 1)), (y, (0, 1, 0)), (None, (0, 0, 1))):
        compare("affine_backward", grad, x, weight, result, needed, dtype=dtype)
    for kind in ("int64", "uint8"):
        labels = rng.integers(0, classes, n).astype(kind)
        logits = 5 * rng.standard_normal((n, classes))
        compare("softmax_cross_entropy", logits, labels, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (5,), (7, 3), (0, 4), (3, 0), (2, 3, 5), (2, 20_000)])
def test_a_threshold(backend, rng, shape, dtype):
    for d in (0.0, -0.5):
        compare("threshold", np.asarray(rng.standard_normal(shape)), d, dtype=dtype)
    whole = backends.active().threshold(to_device(np.arange(-3, 3).reshape(2, 3)), 0.5)
    assert to_host(whole).tolist() == [[0.5] * 3, [0.5, 1, 2]]  # and no integer


@pytest.mark.parametrize(
    ("a", "b"),
    [((5,), (5,)), ((3, 5), (5,)), ((5,), (5, 2)), ((200, 40), (40, 300)), ((0, 4), (4, 3)),
     ((2, 0), (0, 3)), ((6, 3, 5), (5, 4)), ((2, 1, 3, 5), (4, 5, 2)), ((700, 9), (9, 520))],
)  # fmt: skip
def test_products_of_vectors_matrices_and_stacks(backend, rng, a, b):
    compare("matmul", rng.standard_normal(a), rng.standard_normal(b))
    compare("matmul", rng.standard_normal(a[::-1]).T, rng.standard_normal(b[::-1]).T)


def test_a_stack_longer_than_a_grid_is_high(backend, rng, monkeypatch):
    monkeypatch.setattr(cuda_kernels, "_MOST_BLOCKS", 2)
    compare("matmul", rng.standard_normal((5, 33, 7)), rng.standard_normal((5, 7, 40)))
    compare("matmul", rng.standard_normal((7, 9)), rng.standard_normal((9, 70)))


def test_one_update_for_many_parameters(backend, rng):
    shapes = [(100, 784), (1, 100), (), (0, 3), *[(3, 2)] * 70]
    parameters, gradients = ([rng.standard_normal(s) for s in shapes] for _ in range(2))
    compare("sgd_update", parameters, gradients, setting=0.25)


def test_an_update_of_arrays_with_gaps_and_of_other_types(backend, rng):
    parameters = [to_device(rng.standard_normal((4, 6)).astype(t)) for t in ("f4", "f8", "f2")]
    gradients = [to_device(rng.standard_normal((6, 4)).astype(t)).T for t in ("f4", "f4", "f2")]
    pairs = [(to_host(p).copy(), to_host(g)) for p, g in zip(parameters, gradients, strict=True)]
    backends.active().sgd_update(parameters, gradients, Setting(0.5))
    for parameter, (p, g) in zip(parameters, pairs, strict=True):  # two roundings on either side
        bound = 2 * sum_error(2, np.abs(p) + 0.5 * np.abs(g), p.dtype)
        assert_within(to_host(parameter), p - 0.5 * g, bound)


def test_a_label_out_of_range_makes_the_loss_nan_where_nothing_can_be_raised(backend, rng):
    if backend == "numpy":
        pytest.skip("NumPy raises LabelError")
    logits = to_device(rng.standard_normal((4, 3)).astype("float32"))
    loss, _ = backends.active().softmax_cross_entropy(logits, to_device(np.array([0, 3, -1, 2])))
    assert np.isnan(to_host(loss))


# No hidden unit of these is within 1e-5 of where the ReLU turns, where a rounding would decide.
NETWORKS = [  # samples, batch, inputs, hidden, classes: short batches, sizes off every tile
    (352, 256, 784, 100, 10), (300, 256, 30, 7, 2), (40, 16, 785, 129, 32), (70, 33, 930, 300, 21),
    (5, 8, 3, 1, 2), (600, 300, 13, 21, 20),
]  # fmt: skip


def draw_network(rng, samples, inputs, hidden, classes):
    parameters = [
        rng.standard_normal((hidden, inputs)) / inputs**0.5, 0.1 * rng.standard_normal((1, hidden)),
        rng.standard_normal((classes, hidden)) / hidden**0.5, 0.1 * rng.standard_normal((1, classes)),
    ]  # fmt: skip
    return rng.standard_normal((samples, inputs)), rng.integers(0, classes, samples), parameters


@pytest.mark.parametrize(("samples", "batch", "inputs", "hidden", "classes"), NETWORKS)
def test_the_whole_network_in_two_kernels(backend, rng, samples, batch, inputs, hidden, classes):
    x, labels, parameters = draw_network(rng, samples, inputs, hidden, classes)
    terms = inputs + hidden + classes + batch  # of a step
    steps = -(-samples // batch)
    compare("two_layer_epoch", x, labels, batch, parameters, setting=0.1, terms=steps * terms)
    compare("two_layer_evaluation", x, labels, batch, parameters, terms=terms)


def test_what_the_whole_network_cannot_be(backend):
    def fuses(hidden=100, classes=10, inputs=784, x=None, labels=None):
        x = xp.zeros((4, inputs), "float32") if x is None else x
        shapes = (hidden, inputs), (1, hidden), (classes, hidden), (1, classes)
        parameters = [xp.zeros(shape, "float32") for shape in shapes]
        labels = xp.zeros(4, "int64") if labels is None else labels
        return backends.active().fuses(x, labels, parameters)

    assert fuses() == fuses(hidden=1000) == fuses(classes=32) == backends.active().captures
    assert not fuses(classes=33)
    assert not fuses(hidden=5000)
    assert not fuses(x=xp.zeros((8, 784), "float32")[::2])
    assert not fuses(x=xp.zeros((4, 784), "float64"))
    assert not fuses(x=xp.zeros(4 * 784 + 1, "float32")[1:].reshape(4, 784))  # not at 16 bytes
    assert not fuses(labels=xp.zeros((4, 2), "int64")[:, 0])


def test_labels_beyond_every_integer_are_told_and_not_wrapped():
    kernel = backends.active().softmax_cross_entropy
    logits = np.zeros((2, 3), np.float32)
    for label in (2**64 - 1, 2**64 - 3, 2**63):
        with pytest.raises(backends.LabelError, match=f"label {label} in row 1"):
            kernel(logits, np.array([0, label], np.uint64))
    for label in (2**62, -(2**62), 3, -1):
        with pytest.raises(backends.LabelError, match=f"label {label} in row 1"):
            kernel(logits, np.array([0, label]))


def test_a_layer_whose_bias_is_infinite(backend):
    x, weight = (to_device(np.ones(shape, np.float32)) for shape in ((2, 3), (4, 3)))
    bias = to_device(np.array([[-np.inf, 0, 1, np.inf]], np.float32))
    out = to_host(backends.active().affine(x, weight, bias, True))
    assert out.tolist() == [[0, 3, 4, np.inf]] * 2
