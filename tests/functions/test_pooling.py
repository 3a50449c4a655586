"""Pooling: PyTorch's numbers, ties and NaN, in every layout."""

import numpy as np
import pytest
from arrays import host, variable
from oracle import assert_pytorch, assert_still_stored

import scratchnet as sn
from backends import to_device

ROOM = "functions_pooling"
CASES = {
    "max": ("max_pool2d", (2, 3, 4, 6), (2,), {}),
    "max that leaves rows": ("max_pool2d", (2, 3, 5, 7), (2,), {}),
    "max of pairs": ("max_pool2d", (2, 2, 7, 6), ((3, 2),), {"stride": (2, 1), "padding": (1, 0)}),
    "max that overlaps": ("max_pool2d", (2, 3, 7, 6), (3, 2, 1), {}),
    "max that overlaps across": ("max_pool2d", (2, 3, 6, 5), ((2, 3), (2, 1)), {}),
    "max with gaps": ("max_pool2d", (2, 3, 7, 6), (2, 3), {}),
    "max with dilation": ("max_pool2d", (2, 2, 7, 8), (3, 1, 1), {"dilation": 2}),
    "max to the ceiling": ("max_pool2d", (2, 3, 5, 6), (2,), {"ceil_mode": True}),
    "max to the ceiling, padded": ("max_pool2d", (2, 3, 6, 8), (3, 2, 1), {"ceil_mode": True}),
    "max where the last window would begin outside": (
        "max_pool2d", (1, 2, 5, 4), (2, 3, 1), {"ceil_mode": True},
    ),
    "max of all": ("max_pool2d", (2, 3, 4, 5), ((4, 5),), {}),
    "max of one": ("max_pool2d", (2, 3, 4, 5), (1,), {}),
    "max in large windows": ("max_pool2d", (1, 1, 20, 18), (17, 1), {}),
    "max of an image": ("max_pool2d", (3, 4, 5), (2,), {}),
    "max of no image": ("max_pool2d", (0, 3, 4, 5), (2,), {}),
    "mean": ("avg_pool2d", (2, 3, 4, 6), (2,), {}),
    "mean of pairs": ("avg_pool2d", (2, 2, 7, 6), ((3, 2), (2, 1), (1, 0)), {}),
    "mean that overlaps": ("avg_pool2d", (2, 3, 7, 6), (3, 2, 1), {"count_include_pad": False}),
    "mean to the ceiling": ("avg_pool2d", (2, 3, 5, 6), (2,), {"ceil_mode": True}),
    "mean to the ceiling, padded": ("avg_pool2d", (2, 3, 6, 8), (3, 2, 1), {"ceil_mode": True}),
    "mean to the ceiling without padding": (
        "avg_pool2d", (2, 3, 6, 8), (3, 2, 1), {"ceil_mode": True, "count_include_pad": False},
    ),
    "mean with a divisor": ("avg_pool2d", (2, 3, 4, 6), (2,), {"divisor_override": 3}),
    "mean of an image": ("avg_pool2d", (3, 4, 5), (2,), {"padding": 1}),
    "mean of no image": ("avg_pool2d", (0, 3, 4, 5), (2,), {}),
    "adaptive to one": ("adaptive_avg_pool2d", (2, 3, 4, 5), (1,), {}),
    "adaptive that divides": ("adaptive_avg_pool2d", (2, 3, 4, 6), ((2, 3),), {}),
    "adaptive that overlaps": ("adaptive_avg_pool2d", (2, 3, 5, 7), ((3, 4),), {}),
    "adaptive to more": ("adaptive_avg_pool2d", (2, 3, 2, 3), ((3, 5),), {}),
    "adaptive of one axis": ("adaptive_avg_pool2d", (3, 5, 4), ((2, None),), {}),
}  # fmt: skip


def drawn(case):
    """Draw from seven numbers, so that maxima are often equal."""
    name, shape, *call = CASES[case]
    rng = np.random.default_rng(len(case))
    numbers = rng.integers(-3, 4, shape) if name == "max_pool2d" else rng.standard_normal(shape)
    return name, numbers.astype("float64"), call


def by_pytorch(torch, case):
    name, array, (arguments, settings) = drawn(case)
    x = torch.tensor(array, requires_grad=True)
    y = getattr(torch.nn.functional, name)(x, *arguments, **settings)
    (gradient,) = torch.autograd.grad((y**3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad((gradient**3).sum(), x)
    found = {"y": y, "x": gradient, "second x": second}
    return {n: each.detach().numpy() for n, each in found.items()}


def by_scratchnet(name, x, arguments, settings):
    y = getattr(sn, name)(x, *arguments, **settings)
    (gradient,) = sn.grad((y**3).sum(), [x], create_graph=True)
    (second,) = sn.grad((gradient**3).sum(), [x])
    return {n: host(each) for n, each in {"y": y, "x": gradient, "second x": second}.items()}


@pytest.mark.parametrize("case", CASES)
def test_result_and_derivatives_are_those_of_pytorch(backend, case):
    name, array, call = drawn(case)
    assert_pytorch(ROOM, case, by_scratchnet(name, variable(array), *call), rtol=1e-9)


def test_pytorch_still_gives_what_is_stored():
    for case in CASES:
        assert_still_stored(ROOM, case, by_pytorch)


@pytest.mark.parametrize("case", ["max", "max that overlaps", "max to the ceiling, padded", "mean"])
def test_the_order_in_memory_changes_nothing(backend, case):
    name, array, call = drawn(case)
    last = sn.Variable(
        to_device(np.ascontiguousarray(array.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)
    )
    assert_pytorch(ROOM, case, by_scratchnet(name, last, *call), rtol=1e-9)


def test_the_maximum_with_nan_is_nan_and_the_last_nan_gets_the_gradient(backend):
    values = np.array([[[[1, np.nan, 5, 2], [np.nan, 3, 1, 5]]]])
    x = variable(values)
    y = sn.max_pool2d(x, 2)
    np.testing.assert_array_equal(host(y), [[[[np.nan, 5]]]])
    y.backward(to_device(np.array([[[[2.0, 3.0]]]])))
    np.testing.assert_array_equal(host(x.grad), [[[[0, 0, 3, 0], [2, 0, 0, 0]]]])


def test_infinities(backend):
    x = variable(np.full((1, 1, 2, 4), -np.inf))
    y = sn.max_pool2d(x, 2, padding=1)
    np.testing.assert_array_equal(host(y), np.full((1, 1, 2, 3), -np.inf))
    y.backward(to_device(np.full((1, 1, 2, 3), np.inf)))
    assert not np.isnan(host(x.grad)).any()
    mean = sn.avg_pool2d(variable(np.array([[[[np.inf, 1, 2, 3]]]])), (1, 2))
    np.testing.assert_array_equal(host(mean), [[[[np.inf, 2.5]]]])


def test_types(backend):
    x = np.arange(16).reshape(1, 1, 4, 4)
    for dtype in ("float16", "float32", "uint8", "int64"):
        y = sn.max_pool2d(to_device(x.astype(dtype)), 3, 2, 1)
        assert y.dtype == dtype
        np.testing.assert_array_equal(host(y), [[[[5, 7], [13, 15]]]])
    wide = np.full((1, 1, 64, 64), 60.0, "float16")  # the sum is beyond float16
    for y in (sn.avg_pool2d(variable(wide), 64), sn.adaptive_avg_pool2d(variable(wide), 1)):
        assert y.dtype == np.float16
        np.testing.assert_array_equal(host(y), [[[[60]]]])


X = np.zeros((2, 3, 5, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: sn.max_pool2d(X[0, 0], 2),
            sn.ShapeError,
            r"max_pool2d: x has shape \(5, 4\); it must be",
        ),
        (lambda: sn.max_pool2d([1], 2), sn.OperandError, "x is a list; wrap it"),
        (
            lambda: sn.max_pool2d(X, 5),
            sn.ShapeError,
            r"kernel_size 5 spans 5 elements, more than x of sh",
        ),
        (
            lambda: sn.max_pool2d(X, 3, padding=2),
            sn.SettingError,
            "padding 2 is more than half of kernel",
        ),
        (lambda: sn.avg_pool2d(X, 3, padding=2), sn.SettingError, "avg_pool2d: padding 2 is more than"),
        (lambda: sn.max_pool2d(X, 3, padding=-1), sn.SettingError, "padding is -1; give an integer"),
        (
            lambda: sn.max_pool2d(X, 0),
            sn.SettingError,
            "kernel_size is 0; give an integer of at least 1",
        ),
        (lambda: sn.max_pool2d(X, 2, 1.5), sn.SettingError, r"stride is 1.5; give an integer"),
        (lambda: sn.avg_pool2d(X, 2, divisor_override=0), sn.SettingError, "divisor_override is 0"),
        (lambda: sn.adaptive_avg_pool2d(X, (0, 1)), sn.SettingError, r"output_size is \(0, 1\)"),
        (lambda: sn.adaptive_avg_pool2d(X[:, :, :0], 1), sn.ShapeError, "has no rows or columns"),
    ],
)
def test_what_cannot_be_is_one_clear_line(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
