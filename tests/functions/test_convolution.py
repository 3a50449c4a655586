"""Convolutions: PyTorch's numbers, in every layout, and errors that name the shapes."""

import numpy as np
import pytest
from arrays import host, variable
from oracle import assert_pytorch, assert_still_stored

import scratchnet as sn
from backends import to_device, use
from backends.numpy.backend import PlainBackend

ROOM = "functions_convolution"

CASES = {
    "plain": ("conv2d", (2, 3, 5, 4), (4, 3, 3, 2), {}),
    "padding": ("conv2d", (2, 3, 5, 4), (4, 3, 3, 3), {"padding": 1}),
    "pairs": (
        "conv2d", (2, 2, 7, 8), (3, 2, 2, 3), {"stride": (2, 3), "padding": (1, 0), "dilation": (2, 1)},
    ),
    "stride that leaves rows": ("conv2d", (2, 2, 6, 7), (3, 2, 3, 3), {"stride": 2}),
    "dilation": ("conv2d", (1, 2, 7, 6), (3, 2, 3, 3), {"dilation": 2, "padding": 2}),
    "same": ("conv2d", (2, 2, 5, 6), (3, 2, 4, 2), {"padding": "same"}),
    "same with dilation": (
        "conv2d", (2, 2, 5, 6), (3, 2, 2, 3), {"padding": "same", "dilation": (3, 1)},
    ),
    "valid": ("conv2d", (2, 2, 5, 6), (3, 2, 2, 3), {"padding": "valid", "stride": 2}),
    "groups": ("conv2d", (2, 4, 5, 5), (6, 2, 3, 3), {"groups": 2, "padding": 1, "stride": 2}),
    "depthwise": ("conv2d", (2, 3, 5, 5), (6, 1, 3, 3), {"groups": 3, "padding": 1}),
    "many channels": ("conv2d", (2, 9, 4, 5), (3, 9, 3, 3), {"padding": 1}),
    "many channels in groups": ("conv2d", (2, 16, 4, 3), (4, 8, 2, 2), {"groups": 2, "padding": 1}),
    "one by one": ("conv2d", (2, 9, 3, 4), (5, 9, 1, 1), {}),
    "one by one with stride": ("conv2d", (2, 4, 5, 4), (6, 2, 1, 1), {"stride": 2, "groups": 2}),
    "whole image": ("conv2d", (2, 2, 4, 3), (3, 2, 4, 3), {}),
    "one image": ("conv2d", (3, 5, 4), (4, 3, 3, 2), {"padding": 1}),
    "empty batch": ("conv2d", (0, 3, 5, 4), (4, 3, 3, 2), {"padding": 1}),
    "sequence": (
        "conv1d", (2, 4, 9), (6, 2, 3), {"stride": 2, "padding": 1, "dilation": 2, "groups": 2},
    ),
    "same sequence": ("conv1d", (2, 3, 6), (2, 3, 4), {"padding": "same"}),
    "one sequence": ("conv1d", (3, 9), (2, 3, 3), {}),
    "transposed": ("conv_transpose2d", (2, 3, 4, 3), (3, 4, 3, 2), {}),
    "transposed with all": (
        "conv_transpose2d", (2, 4, 3, 2), (4, 3, 3, 2),
        {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2), "groups": 2, "dilation": (2, 1)},
    ),
    "output_padding beyond the stride": (
        "conv_transpose2d", (2, 2, 3, 2), (2, 3, 2, 2), {"output_padding": 2, "dilation": 3},
    ),
    "one transposed": ("conv_transpose2d", (3, 4, 3), (3, 4, 3, 3), {"stride": 2, "padding": 1}),
    "empty transposed": ("conv_transpose2d", (0, 3, 4, 3), (3, 4, 3, 3), {"stride": 2}),
}  # fmt: skip


def drawn(case):
    name, shape, weight, settings = CASES[case]
    rng = np.random.default_rng(len(case))
    features = weight[1] * settings.get("groups", 1) if "transpose" in name else weight[0]
    return name, [rng.standard_normal(each) for each in (shape, weight, (features,))], settings


def by_pytorch(torch, case):
    name, arrays, settings = drawn(case)
    operands = [torch.tensor(each, requires_grad=True) for each in arrays]
    y = getattr(torch.nn.functional, name)(*operands, **settings)
    gradients = torch.autograd.grad((y**3).sum(), operands, create_graph=True)
    second = torch.autograd.grad(sum((each**2).sum() for each in gradients), operands)
    names = "x", "weight", "bias"
    found = {"y": y} | dict(zip(names, gradients, strict=True))
    found |= {f"second {n}": each for n, each in zip(names, second, strict=True)}
    return {n: each.detach().numpy() for n, each in found.items()}


def by_scratchnet(name, operands, settings):
    y = getattr(sn, name)(*operands, **settings)
    gradients = sn.grad((y**3).sum(), operands, create_graph=True)
    total = (gradients[0] ** 2).sum() + (gradients[1] ** 2).sum() + (gradients[2] ** 2).sum()
    second = sn.grad(total, operands)
    names = "x", "weight", "bias"
    found = {"y": y} | dict(zip(names, gradients, strict=True))
    found |= {f"second {n}": each for n, each in zip(names, second, strict=True)}
    return {n: host(each) for n, each in found.items()}


@pytest.mark.parametrize("case", CASES)
def test_result_and_derivatives_are_those_of_pytorch(backend, case):
    name, arrays, settings = drawn(case)
    found = by_scratchnet(name, [variable(each) for each in arrays], settings)
    assert_pytorch(ROOM, case, found, rtol=1e-9)


def test_pytorch_still_gives_what_is_stored():
    for case in CASES:
        assert_still_stored(ROOM, case, by_pytorch)


def channels_last(x):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)), lambda y: y.transpose(0, 3, 1, 2)


LAYOUTS = {
    "channels last": channels_last,
    "every second column": lambda x: (np.repeat(x, 2, -1), lambda y: y[..., ::2]),
    "in reverse": lambda x: (np.ascontiguousarray(x[::-1, :, ::-1]), lambda y: y[::-1, :, ::-1]),
    "another order": lambda x: (np.ascontiguousarray(x.T), lambda y: y.T),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "case", ["pairs", "groups", "many channels", "one by one", "transposed with all"]
)
def test_the_order_in_memory_changes_nothing(backend, case, layout):
    name, arrays, settings = drawn(case)
    found = []
    for lay_out in (lambda x: (x, lambda y: y), LAYOUTS[layout]):
        operands = []
        for array in arrays[:2]:
            memory, view = lay_out(array)
            operands.append(sn.Variable(view(to_device(memory))))
            np.testing.assert_array_equal(host(operands[-1]), array)
        found.append(by_scratchnet(name, [*operands, variable(arrays[2])], settings))
    for key, array in found[0].items():
        np.testing.assert_allclose(found[1][key], array, rtol=1e-12, atol=1e-9, err_msg=key)


def test_images_too_large_for_a_block_are_cut_into_rows(rng):
    """On NumPy, a block of windows has about 2¹⁸ elements. The plain twin knows no blocks."""
    shapes = (2, 9, 100, 80), (5, 9, 3, 3), (5,)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    found = []
    for backend in ("numpy", PlainBackend()):
        with use(backend):
            operands = [sn.Variable(each) for each in arrays]
            y = sn.conv2d(*operands, stride=(2, 1), padding=1)
            y.backward(np.cos(y.data))
            found.append([y.data, *(each.grad for each in operands)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("function", [sn.conv2d, sn.conv_transpose2d])
def test_float16_is_added_up_in_float32_and_rounded_once(backend, rng, function):
    shapes = (2, 30, 5, 5), (30, 30, 3, 3)
    arrays = [rng.uniform(0, 1, shape).astype("float16") for shape in shapes]
    found = function(*map(variable, arrays))
    assert found.dtype == np.float16
    exact = host(function(*(variable(each.astype("float64")) for each in arrays)))
    np.testing.assert_allclose(host(found).astype("float64"), exact, rtol=2.0**-11 * 1.01)


def test_arrays_give_arrays(backend, rng):
    x, weight = (
        to_device(rng.standard_normal((2, 3, 4, 4))),
        to_device(rng.standard_normal((2, 3, 3, 3))),
    )
    y = sn.conv2d(x, weight)
    assert not isinstance(y, sn.Variable)
    np.testing.assert_array_equal(host(y), host(sn.conv2d(sn.Variable(x), weight)))


X, W = np.zeros((2, 3, 5, 4)), np.zeros((4, 3, 3, 3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: sn.conv2d(X[0, 0], W),
            sn.ShapeError,
            r"conv2d: x has shape \(5, 4\); it must be \(n, ",
        ),
        (lambda: sn.conv1d(X, W[0]), sn.ShapeError, r"conv1d: x has shape \(2, 3, 5, 4\).*length"),
        (lambda: sn.conv2d(X, W[0]), sn.ShapeError, r"conv2d: weight has shape \(3, 3, 3\); .* 4 axes"),
        (lambda: sn.conv2d([1], W), sn.OperandError, "conv2d: x is a list; wrap it"),
        (lambda: sn.conv2d(X, 3), sn.OperandError, "conv2d: weight is an int; wrap it"),
        (
            lambda: sn.conv2d(X[:, :2], W),
            sn.ShapeError,
            r"\(2, 2, 5, 4\) has 2 channels, but a weight .* with groups=1 expects 3",
        ),
        (lambda: sn.conv_transpose2d(X, W), sn.ShapeError, r"has 3 channels, .* expects 4"),
        (lambda: sn.conv2d(X, W, groups=3), sn.ShapeError, r"3 groups do not divide .*\(4, 3, 3, 3\)"),
        (
            lambda: sn.conv2d(X, W, np.zeros(3)),
            sn.ShapeError,
            r"bias has shape \(3,\); it must be \(4,\)",
        ),
        (
            lambda: sn.conv2d(X, W, dilation=2),
            sn.ShapeError,
            r"a kernel that spans 5 x 5 is larger than x of shape \(2, 3, 5, 4\), which has 5 x 4",
        ),
        (lambda: sn.conv2d(X, W, padding=-1), sn.SettingError, "padding is -1; give an integer of at"),
        (lambda: sn.conv2d(X, W, padding="full"), sn.SettingError, "padding is 'full'; give integers, "),
        (lambda: sn.conv2d(X, W, stride=(1, 1, 1)), sn.SettingError, r"stride is \(1, 1, 1\); give an"),
        (
            lambda: sn.conv2d(X, W, stride=0),
            sn.SettingError,
            "stride is 0; give an integer of at least 1",
        ),
        (lambda: sn.conv2d(X, W, 2, "same"), sn.ShapeError, r"bias has shape \(\)"),
        (lambda: sn.conv2d(X, W, None, 2, "same"), sn.SettingError, "needs stride 1, but stride is 2"),
        (
            lambda: sn.conv_transpose2d(X, W[:3], output_padding=1),
            sn.SettingError,
            "output_padding 1 must be smaller than stride 1 or dilation 1",
        ),
        (lambda: sn.conv_transpose2d(X, W[:3], padding=4), sn.ShapeError, "gives -1 x -2 elements"),
    ],
)
def test_what_cannot_be_is_one_clear_line(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_gradient_of_a_gradient_at_the_weight_alone(backend, rng):
    x, weight = rng.standard_normal((2, 3, 5, 4)), rng.standard_normal((2, 3, 3, 2))

    def slope(weight, x):
        (found,) = sn.grad(sn.square(sn.conv2d(x, weight)).sum(), weight, create_graph=True)
        return sn.square(found)

    assert sn.gradcheck(lambda each: slope(each, to_device(x)), weight)
