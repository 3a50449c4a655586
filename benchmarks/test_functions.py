"""Each Function and each layer alone, forward and backward, at the recipe's sizes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import scratchnet as sn
from backends import to_device
from benchmarks.conftest import Measure

ROWS, PIXELS, HIDDEN, CLASSES = 256, 784, 100, 10
_A, _W = (ROWS, PIXELS), (PIXELS, HIDDEN)

FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "Add": (lambda a, b: a + b, (_A, (1, PIXELS))),
    "Mul": (lambda a, b: a * b, (_A, _A)),
    "Div": (lambda a, b: a / b, (_A, _A)),
    "Pow": (lambda a: a**2, (_A,)),
    "MatMul": (lambda a, b: a @ b, (_A, _W)),
    "Transpose": (lambda a: a.T * 1, (_A,)),
    "Reshape": (lambda a: a.reshape(-1), (_A,)),
    "GetItem": (lambda a: a[:, ::2], (_A,)),
    "Sum": (lambda a: a.sum(axis=0), (_A,)),
    "Mean": (lambda a: a.mean(axis=0), (_A,)),
    "Max": (lambda a: a.max(axis=1), (_A,)),
    "Exp": (sn.exp, (_A,)),
    "Log": (sn.log, (_A,)),
    "Tanh": (sn.tanh, (_A,)),
    "Sigmoid": (sn.sigmoid, (_A,)),
    "ReLU": (sn.relu, (_A,)),
    "Softmax": (sn.softmax, ((ROWS, CLASSES),)),
    "LogSoftmax": (sn.log_softmax, ((ROWS, CLASSES),)),
    "SoftmaxCrossEntropy": (
        lambda a: sn.softmax_loss(a, sn.xp.arange(ROWS) % CLASSES), ((ROWS, CLASSES),)
    ),
}  # fmt: skip

LAYERS: dict[str, tuple[Callable[[], sn.Module], tuple[int, ...]]] = {
    "Linear 784-100": (lambda: sn.Linear(PIXELS, HIDDEN, 0), _A),
    "Linear 784-100 with ReLU": (lambda: sn.Linear(PIXELS, HIDDEN, 0, activation=sn.relu), _A),
    "Linear 100-10": (lambda: sn.Linear(HIDDEN, CLASSES, 0), (ROWS, HIDDEN)),
    "Classifier 784-100-10": (lambda: sn.Classifier(rng=0), _A),
}


def variables(shapes: tuple[tuple[int, ...], ...], requires_grad: bool = True) -> list[sn.Variable]:
    """Return positive random numbers, which have a logarithm."""
    rng = np.random.default_rng(0)
    drawn = (rng.uniform(0.5, 2, shape).astype(np.float32) for shape in shapes)
    return [sn.Variable(to_device(each), requires_grad) for each in drawn]


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(measure: Measure, backend: str, name: str, direction: str) -> None:
    """Measure the Function with its graph recorded, or the sweep through that graph."""
    function, shapes = FUNCTIONS[name]
    operands = variables(shapes)
    if direction == "forward":
        measure("function", f"{name}, forward", lambda: function(*operands))
    else:
        measure("function", f"{name}, backward", _backward(function(*operands), operands))


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer(measure: Measure, backend: str, name: str, direction: str) -> None:
    """Measure the layer on inputs that need no gradient, as in training."""
    make, shape = LAYERS[name]
    layer, (x,) = make(), variables((shape,), requires_grad=False)
    if direction == "forward":
        measure("layer", f"{name}, forward", lambda: layer(x))
    else:
        measure("layer", f"{name}, backward", _backward(layer(x), layer.parameters()))


def _backward(result: sn.Variable, leaves: list[sn.Variable]) -> Callable[[], None]:
    """Measure the sweep of a graph that is kept, each time into empty gradients."""
    ones = sn.xp.ones_like(result.data)

    def backward() -> None:
        for leaf in leaves:
            leaf.zero_grad()
        result.backward(ones, retain_graph=True)

    return backward
