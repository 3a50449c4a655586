"""Every class of Functions on the samples that it carries: value, gradients, types, layouts.

A class is found by being there, its reference by its name: a new one without a reference fails.
"""

import pkgutil
from functools import partial
from importlib import import_module
from inspect import getmembers, isclass

import numpy as np
import pytest
from arrays import host, variable

import scratchnet as sn
from backends import to_device
from scratchnet import functions
from scratchnet.functions.elementwise import Elementwise
from scratchnet.functions.reduction import Reduction
from scratchnet.inspect.summary import flops


def log_sum_exp(x, axis=None, keepdims=False):
    return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


def cross_entropy(logits, labels):
    logits = logits.reshape(-1, logits.shape[-1])
    rows = np.arange(len(logits))
    return (log_sum_exp(logits, 1) - logits[rows, np.ravel(labels)]).mean()


def binary_cross_entropy(p, t):
    return -t * np.log(p) - (1 - t) * np.log(1 - p)


def add_at(x, index, shape, basic):
    whole = np.zeros(shape, x.dtype)
    np.add.at(whole, index, x)
    return whole


def normalize(x, weight=1.0, bias=0.0, *, axes, along=None):
    weight, bias = (
        np.reshape(each, along) if along and np.ndim(each) else each for each in (weight, bias)
    )
    variance = x.var(axes, keepdims=True)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(variance + 1e-5) * weight + bias


def windows_of(x, windows, fill=0):
    """The windows of x: (n, channels, down, across, *kernel)."""
    padded = np.pad(x, [(0, 0), (0, 0), *windows.padding], constant_values=fill)
    rows, columns = (
        np.arange(number)[:, None] * step + np.arange(kernel) * apart
        for number, step, kernel, apart in zip(
            windows.result(x.shape[2:]), windows.stride, windows.kernel, windows.dilation, strict=True
        )
    )
    return padded[:, :, rows[:, None, :, None], columns[None, :, None, :]]


def in_groups(array, axis, groups):
    shape = array.shape
    return array.reshape(*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])


def conv2d(x, weight, bias=None, *, windows, groups=1):
    read = in_groups(windows_of(x, windows), 1, groups)
    y = np.einsum("ngcyxij,gfcij->ngfyx", read, in_groups(weight, 0, groups))
    y = y.reshape(len(x), len(weight), *y.shape[3:])
    return y if bias is None else y + bias[:, None, None]


def as_gradient(linear, shape, grad):
    """The gradient of a linear function at its operand, element by element."""
    found = np.zeros(shape)
    for place in np.ndindex(*shape):
        one = np.zeros(shape)
        one[place] = 1
        found[place] = (linear(one) * grad).sum()
    return found


def conv_transpose2d(x, weight, bias=None, *, windows, size, groups=1):
    shape = (len(x), weight.shape[1] * groups, *size)
    y = as_gradient(lambda each: conv2d(each, weight, windows=windows, groups=groups), shape, x)
    return y if bias is None else y + bias[:, None, None]


def conv2d_weight(x, y, windows, groups=1):
    shape = (y.shape[1], x.shape[1] // groups, *windows.kernel)
    return as_gradient(lambda each: conv2d(x, each, windows=windows, groups=groups), shape, y)


def at_places(x, places, windows):
    read = windows_of(x, windows)
    flat = read.reshape(*read.shape[:4], -1)
    return np.take_along_axis(flat, places[..., None], -1)[..., 0]


def max_unpool2d(y, places, windows, size):
    shape = (*y.shape[:2], *size)
    return as_gradient(lambda each: at_places(each, places, windows), shape, y)


def over_steps(step, x, w_ih, w_hh, b_ih, b_hh, *state, reverse=False):
    """h after each step of a recurrent cell, from its gates' two parts; of an LSTM also c at the end."""
    results = [None] * len(x)
    for t in range(len(x))[:: -1 if reverse else 1]:
        state = step(x[t] @ w_ih.T + b_ih, state[0] @ w_hh.T + b_hh, *state)
        results[t] = state[0]
    return joined((np.stack(results), *state[1:]))


def logistic(x):
    return 1 / (1 + np.exp(-x))


def lstm(x, hidden, h, c):
    i, f, g, o = np.split(x + hidden, 4, 1)
    c = logistic(f) * c + logistic(i) * np.tanh(g)
    return logistic(o) * np.tanh(c), c


def gru(x, hidden, h):
    (r, z, n), (r_h, z_h, n_h) = np.split(x, 3, 1), np.split(hidden, 3, 1)
    z = logistic(z + z_h)
    return ((1 - z) * np.tanh(n + logistic(r + r_h) * n_h) + z * h,)


def joined(results):
    """Several results of a Function as one array."""
    if not isinstance(results, tuple) or len(results) == 1:
        return results[0] if isinstance(results, tuple) else results
    library = np if isinstance(results[0], np.ndarray) else sn
    return library.concatenate([each.reshape(-1) for each in results])


def masked_softmax(scores, mask=0.0):
    added = np.where(mask, 0, -np.inf) if np.asarray(mask).dtype == bool else mask
    e = np.exp(scores + added)
    total = e.sum(-1, keepdims=True)
    return np.divide(e, total, out=np.zeros_like(e), where=total > 0)


def embedding_weight(x, indices, rows, padding_idx=None):
    whole = np.zeros((rows, x.shape[-1]), x.dtype)
    np.add.at(whole, indices, x)
    whole[rows if padding_idx is None else padding_idx :][:1] = 0
    return whole


REFERENCES = {
    "RNN": partial(over_steps, lambda x, hidden, h: (np.tanh(x + hidden),)),
    "ReLURNN": partial(over_steps, lambda x, hidden, h: (np.maximum(x + hidden, 0),)),
    "LSTM": partial(over_steps, lstm), "GRU": partial(over_steps, gru),
    "MaskedSoftmax": masked_softmax, "Unstack": lambda x, axis=0: np.moveaxis(x, axis, 0).reshape(-1),
    "Embedding": lambda weight, indices, padding_idx=None: weight[indices],
    "EmbeddingWeight": embedding_weight,
    "Conv2d": conv2d, "ConvTranspose2d": conv_transpose2d, "Conv2dWeight": conv2d_weight,
    "MaxPool2d": lambda x, windows: windows_of(x, windows, -np.inf).max((-2, -1)),
    "MaxPool2dAt": at_places, "MaxUnpool2d": max_unpool2d,
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Neg": np.negative,
    "Pow": np.power, "Where": np.where,
    "Maximum": np.maximum, "Minimum": np.minimum,
    "GetItem": lambda x, index: x[index], "AddAt": add_at,
    "Concatenate": lambda *arrays, axis=0: np.concatenate(arrays, axis), "Roll": np.roll,
    "MatMul": np.matmul, "Einsum": lambda *arrays, subscripts: np.einsum(subscripts, *arrays),
    "Affine": lambda x, w, b, relu=False: np.maximum(x @ w.T + b, 0 if relu else -np.inf),
    "Sum": np.sum,
    "Mean": lambda x, axis=None, **how: np.mean(x, axis if x.ndim else None, **how),
    "Max": np.max, "Min": np.min, "CumSum": np.cumsum,
    "Reshape": np.reshape, "BroadcastTo": np.broadcast_to, "Transpose": np.transpose,
    "AsType": lambda x, dtype: x.astype(dtype), "LogSumExp": log_sum_exp,
    "Softmax": lambda x, axis=-1: np.exp(x - log_sum_exp(x, axis, True)),
    "LogSoftmax": lambda x, axis=-1: x - log_sum_exp(x, axis, True),
    "Dropout": lambda x, mask, scale: x * mask * scale, "Normalize": normalize,
    "SumOfShares": lambda x: x,
    "SoftmaxCrossEntropy": cross_entropy, "BinaryCrossEntropy": binary_cross_entropy,
    "Threshold": lambda x, d: np.maximum(x, d), "ReLU": lambda x: np.maximum(x, 0),
}  # fmt: skip
MODULES = [
    import_module(f"scratchnet.functions.{m.name}") for m in pkgutil.iter_modules(functions.__path__)
]
CLASSES = {
    name: each
    for module in MODULES
    for name, each in getmembers(module, isclass)
    if issubclass(each, sn.Function)
    and each.__module__ == module.__name__
    and each not in (Elementwise, Reduction)
}
OTHERS = [name for name, each in CLASSES.items() if not issubclass(each, Elementwise)]
SAMPLES = [(name, number) for name in OTHERS for number in range(len(CLASSES[name].samples))]
ALL = pytest.mark.parametrize(("name", "number"), SAMPLES, ids=lambda value: str(value))
WITHOUT_A_NAME = {
    "RNN",
    "ReLURNN",
    "LSTM",
    "GRU",
    "MaskedSoftmax",
    "Normalize",
    "SumOfShares",
    "Affine",
    "EmbeddingWeight",
    "AddAt",
    "GetItem",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Neg",
    "Pow",
    "SoftmaxCrossEntropy",
    "Conv2dWeight",
    "MaxPool2dAt",
    "MaxUnpool2d",
    "BinaryCrossEntropy",
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_says_all_that_is_found_from_there(name):
    each = CLASSES[name]
    assert each.rule
    assert each.samples
    assert (each.operations is not None) != (each in flops._OF_SHAPES)
    assert getattr(functions, name) is each
    assert name in REFERENCES or issubclass(each, Elementwise)
    if name not in WITHOUT_A_NAME:
        names = [n for n in dir(functions) if n.islower() and n.replace("_", "") == name.lower()]
        assert names
        assert all(getattr(functions, n).__doc__ for n in names)


def drawn(name, number, dtype="float64", seed=0):
    """The operands of a sample: positive for a power or a quotient, and below 1 for a probability."""
    rng, (shapes, settings) = np.random.default_rng(seed), CLASSES[name].samples[number]
    operands = []
    for shape in shapes:
        if isinstance(shape, list):
            operands.append(np.array(shape))
        elif name in ("Pow", "Div"):
            operands.append(rng.uniform(0.5, 2, shape).astype(dtype))
        elif name == "BinaryCrossEntropy":
            operands.append(rng.uniform(0.1, 0.9, shape).astype(dtype))
        else:
            operands.append(rng.standard_normal(shape).astype(dtype))
    return operands, settings


@ALL
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_the_value_is_the_reference_s(backend, name, number):
    operands, settings = drawn(name, number)
    if not all(each.size for each in operands) and "Soft" in name:
        expected = operands[0]  # of no elements
    else:
        expected = REFERENCES[name](*operands, **settings)
    found = joined(CLASSES[name](**settings).on(*map(to_device, operands)))
    np.testing.assert_allclose(host(found), expected, rtol=1e-12, atol=1e-12)


@ALL
def test_gradients_and_second_gradients(backend, name, number):
    operands, settings = drawn(name, number)
    places = [place for place, each in enumerate(operands) if each.dtype.kind == "f"]
    whole = [to_device(each) for each in operands]

    def function(*given):
        for place, each in zip(places, given, strict=True):
            whole[place] = each
        return joined(CLASSES[name](**settings).on(*whole))

    assert sn.gradcheck(function, *(operands[place] for place in places))
    assert sn.gradgradcheck(function, *(operands[place] for place in places))


@ALL
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_types_stay_and_layouts_change_nothing(backend, name, number, dtype):
    operands, settings = drawn(name, number, dtype)

    def function(*given):
        return joined(CLASSES[name](**settings).on(*given))

    plain = [variable(each) if each.dtype.kind == "f" else to_device(each) for each in operands]
    y = function(*plain)
    assert y.dtype == settings.get("dtype", dtype)
    y.sum().backward()
    assert all(v.grad.dtype == v.dtype for v in plain if isinstance(v, sn.Variable))
    spread = [
        to_device(np.repeat(each, 2, -1))[..., ::2] if each.ndim else to_device(each)
        for each in operands
    ]
    tolerance = 16 * np.finfo(dtype).eps
    np.testing.assert_allclose(host(function(*spread)), host(y), rtol=tolerance, atol=tolerance)
    wide = host(
        function(
            *(to_device(each.astype("float64") if each.dtype.kind == "f" else each) for each in operands)
        )
    )
    np.testing.assert_allclose(host(y), wide, rtol=tolerance, atol=tolerance)
