"""Compare each kernel with its plain twin in float64, on every backend.

On the strict stand-in, the CUDA kernels run their own source on the CPU; see `host_cuda`.
"""

import numpy as np
import pytest
from networks import NETWORKS, draw_network
from rounding import assert_within, sum_error

import backends
from backends import Backend, Setting, to_device, to_host, xp
from backends.cuda import compiled
from scratchnet.verify.parity import ULP_ALLOWED

CLOSE = {"float32": 1e-5, "float64": 1e-12}
"""Relative to the largest number, for threshold, which rounds once, and for the softmax loss. With 32
classes and logits up to 25 the loss has at most 32 + 10 + 4 * 25 roundings, each 6e-8 in float32; see
`rounding`."""
SUMS = "matmul", "affine", "affine_backward", "sgd_update"
"""Kernels that only add products. With the magnitudes as arguments, they return the size of the sums."""


def compare(kernel, *arguments, dtype="float32", setting=None, terms=None):
    """Run a kernel, and its plain twin in float64 on NumPy, and compare the results.

    Array arguments are on the host. Arrays that the kernel changes in place are compared too. If `terms`
    are given, the bound is the one that `scratchnet.verify.parity` derives from their number.
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
    bias, grad = rng.standard_normal(hidden), rng.standard_normal((n, hidden))
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


@pytest.mark.parametrize("kernel", ["erf", "erfc", "gelu"])
@pytest.mark.parametrize("shape", [(), (0, 4), (70, 131), (2, 3, 4096)])
def test_an_error_function_of_more_elements_than_a_block(backend, rng, kernel, shape):
    x = np.asarray(2 * rng.standard_normal(shape))
    compare(kernel, x)
    compare(kernel, x.T, dtype="float64")


@pytest.mark.parametrize(
    ("a", "b"),
    [((5,), (5,)), ((3, 5), (5,)), ((5,), (5, 2)), ((200, 40), (40, 300)), ((0, 4), (4, 3)),
     ((2, 0), (0, 3)), ((6, 3, 5), (5, 4)), ((2, 1, 3, 5), (4, 5, 2)), ((700, 9), (9, 520)),
     ((2, 0, 4), (4, 3))],
)  # fmt: skip
def test_products_of_vectors_matrices_and_stacks(backend, rng, a, b):
    compare("matmul", rng.standard_normal(a), rng.standard_normal(b))
    compare("matmul", rng.standard_normal(a[::-1]).T, rng.standard_normal(b[::-1]).T)


def test_a_stack_longer_than_a_grid_is_high(backend, rng, monkeypatch):
    monkeypatch.setattr(compiled, "_MOST_BLOCKS", 2)
    compare("matmul", rng.standard_normal((5, 33, 7)), rng.standard_normal((5, 7, 40)))
    compare("matmul", rng.standard_normal((7, 9)), rng.standard_normal((9, 70)))


def test_one_update_for_many_parameters(backend, rng):
    shapes = [(100, 784), (100,), (), (0, 3), *[(3, 2)] * 70]
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


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_out_of_range_makes_the_loss_nan_where_nothing_can_be_raised(backend, rng, label):
    logits = to_device(rng.standard_normal((4, 3)).astype("float32"))
    labels = to_device(np.array([0, label, 1, 2]))
    kernels = [Backend.softmax_cross_entropy]  # and NumPy's own raises LabelError
    kernels += [type(backends.active()).softmax_cross_entropy] * (backend != "numpy")
    for kernel in kernels:
        loss, _ = kernel(backends.active(), logits, labels)
        assert np.isnan(to_host(loss))


def test_one_large_loss_swallows_none_of_the_others(backend):
    """Check that losses are added in float64: in float32, 3.4e7 + 1.9 is 3.4e7."""
    rows, classes = 8192, 7
    logits, labels = np.zeros((rows, classes), "float32"), np.ones(rows, int)
    logits[0, 0] = 3.4e7
    exact = (3.4e7 + (rows - 1) * np.log(classes)) / rows
    for kernel in (type(backends.active()).softmax_cross_entropy, Backend.softmax_cross_entropy):
        loss, _ = kernel(backends.active(), to_device(logits), to_device(labels))
        np.testing.assert_allclose(to_host(loss), exact, rtol=1.2e-7)


def index_of(rng, rows, *shape):
    return rng.integers(-rows, rows, shape)


SCATTERS = {  # shape of the target, shape of the index
    "one": ((1,), (1,)),
    "elements": ((9,), (50,)),
    "no dimension": ((4, 3), ()),
    "none": ((4, 3), (0,)),
    "rows without elements": ((4, 0), (5,)),
    "a table of words": ((50, 7), (30, 11)),
    "rows of two dimensions": ((20, 2, 3), (40,)),
    "one row, a thousand times": ((1, 5), (1000,)),
    "a tile": ((300, 2), (1024,)),
    "a tile and one more": ((300, 2), (1025,)),
    "five tiles, the last one short": ((3000, 1), (4500,)),
    "more columns than threads": ((6, 700), (20,)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", SCATTERS)
def test_rows_are_added_where_an_index_says(backend, rng, case, dtype):
    shape, indices = SCATTERS[case]
    target, index = rng.standard_normal(shape), index_of(rng, shape[0], *indices)
    compare("scatter_add", target, index, rng.standard_normal((*indices, *shape[1:])), dtype=dtype)


def test_rows_longer_than_a_grid_is_high(backend, rng, monkeypatch):
    monkeypatch.setattr(compiled, "_MOST_BLOCKS", 2)
    values = rng.standard_normal((9, 1300))
    compare("scatter_add", np.zeros((4, 1300)), index_of(rng, 4, 9), values)
    compare("take_rows", values, np.array([8, 0]), np.zeros((2, 1300)))
    compare("take_rows", rng.standard_normal((3, 20_000)), np.array([2, 0]), np.zeros((2, 20_000)))


@pytest.mark.parametrize(
    "kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
)
def test_every_type_of_index_adds_and_takes_rows(backend, rng, kind):
    index = rng.integers(0, 100, 300).astype(kind)
    compare("scatter_add", np.zeros((100, 3)), index, rng.standard_normal((300, 3)))
    compare("take_rows", rng.standard_normal((100, 3)), index, np.zeros((300, 3)))


@pytest.mark.parametrize("kind", ["float32", "float64", "complex64", "int32", "uint8", "float16"])
def test_additions_have_one_order_and_the_same_bits_each_time(backend, rng, kind):
    index = index_of(rng, 7, 3000)
    values = (50 * rng.standard_normal((3000, 2))).astype(kind)
    expected = np.zeros((7, 2), kind)
    for place, value in zip(index, values, strict=True):
        expected[place] += value
    for _ in range(2):
        target = to_device(np.zeros((7, 2), kind))
        backends.active().scatter_add(target, to_device(index), to_device(values))
        if kind == "float16":
            np.testing.assert_allclose(to_host(target), expected, rtol=0.1, atol=30)
        else:
            np.testing.assert_array_equal(to_host(target), expected)


@pytest.mark.parametrize("kind", ["float32", "int16", "complex128"])
@pytest.mark.parametrize("rows", [1, 15, 16, 300, 70_000])
def test_rows_that_are_added_many_at_a_time_have_the_same_bits(backend, rng, rows, kind):
    """Some rows get many values, and some get none."""
    index = rng.zipf(1.2, (40, 50)) % rows
    values = (50 * rng.standard_normal((40, 50, 66))).astype(kind)
    target, expected = to_device(np.ones((rows, 6, 11), kind)), np.ones((rows, 66), kind)
    for place, value in zip(index.reshape(-1), values.reshape(-1, 66), strict=True):
        expected[place] += value
    backends.active().scatter_add(target, to_device(index), to_device(values.reshape(40, 50, 6, 11)))
    np.testing.assert_array_equal(to_host(target).reshape(rows, 66), expected)


def test_the_rows_of_an_embedding(backend, rng):
    weight = rng.standard_normal((5, 3))
    for index in ([[0, 4], [2, 2]], [], 3):
        compare("embedding", weight, np.array(index, int))
    compare("embedding", weight.T, np.array([2, 0], "uint64"))
    index = to_device(np.array([4, 5, -1, 0]))
    found = to_host(backends.active().embedding(to_device(weight), index))
    np.testing.assert_array_equal(found, [weight[4], [np.nan] * 3, [np.nan] * 3, weight[0]])


def test_values_and_indices_with_gaps(backend, rng):
    index, values = index_of(rng, 5, 40), rng.standard_normal((3, 40))
    target, expected = to_device(np.zeros((5, 3))), np.zeros((5, 3))
    np.add.at(expected, index[::2], values.T[::2])
    backends.active().scatter_add(target, to_device(index)[::2], to_device(values).T[::2])
    np.testing.assert_array_equal(to_host(target), expected)


def test_an_index_out_of_range_is_an_error_or_counts_modulo_the_rows(backend):
    target, index, values = np.zeros((3, 2)), np.array([3, -4, 8]), np.array([[1.0, 2]] * 3)
    target, index, values = map(to_device, (target, index, values))
    if backend == "numpy":
        with pytest.raises(IndexError):
            backends.active().scatter_add(target, index, values)
    else:
        backends.active().scatter_add(target, index, values)
        assert to_host(target).tolist() == [[1, 2], [0, 0], [2, 4]]


ROWS = [  # bytes of a row, bytes before the first one: pieces of 16, 8, 4, 2 and 1 bytes
    (16, 0), (3136, 0), (40_000, 16), (8, 0), (16, 8), (4, 0), (20, 4), (6, 0), (4, 2), (1, 0), (5, 0),
    (1300, 1), (0, 0),
]  # fmt: skip


@pytest.mark.parametrize(("row", "before"), ROWS)
@pytest.mark.parametrize("orders", ["int64", "int32"])
def test_rows_of_any_size_from_any_address(backend, rng, row, before, orders):
    order = np.array([4, 0, 6, 6, 1, 2, 3, 5, 0], orders)
    source = rng.integers(0, 255, before + 7 * row, "uint8")
    out = to_device(np.full(before + 10 * row, 255, "uint8"))
    rows = to_device(source)[before:].reshape(7, row)
    backends.active().take_rows(rows, to_device(order), out[before : before + 9 * row].reshape(9, row))
    expected = np.full(before + 10 * row, 255, "uint8")
    expected[before : before + 9 * row] = source[before:].reshape(7, row)[order].reshape(-1)
    np.testing.assert_array_equal(to_host(out), expected)  # and nothing next to them


# No hidden unit is within 1e-5 of the point where ReLU turns: there, rounding would decide.
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
        shapes = (hidden, inputs), (hidden,), (classes, hidden), (classes,)
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
