"""The cases of the Functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from backends import to_device
from backends.windows import Windows
from scratchnet import functions
from scratchnet.core.function import Function
from scratchnet.functions import where
from scratchnet.losses import plain_softmax_loss
from scratchnet.variable import Variable
from scratchnet.verify.cases.case import Case, of_function, of_labels

_PAIRS = Windows((2, 2), (2, 2))


_PLACES = [[[[0, 3]], [[1, 2]]]]
"""One in each of the four windows."""


def _at(function: Function, indices: Any) -> Callable[[Variable], Variable]:
    """Return a Function of an operand and of fixed indices."""
    return lambda x: function(x, to_device(np.array(indices)))


def _lstm(*operands: Variable) -> Variable:
    """Return both results of an LSTM side by side."""
    y, c = functions.LSTM().on(*operands)
    return functions.concatenate([y.reshape(-1), c.reshape(-1)])  # type: ignore[no-any-return]


def _functions() -> Iterable[Case]:
    table, row = (5, 7), (7,)
    for binary in (functions.Add, functions.Sub, functions.Mul):
        yield Case(binary.__name__, 5, of_function(binary(), table, row))
    yield Case("Div", 5, of_function(functions.Div(), table, row, positive=True))
    yield Case("Pow", 5, of_function(functions.Pow(), table, row, positive=True))
    for elementwise in (functions.Neg(), functions.ReLU(), functions.Threshold(0.5)):
        yield Case(type(elementwise).__name__, 0, of_function(elementwise, table))
    for moving in (functions.Max(axis=1), functions.Transpose(), functions.Reshape((7, 5))):
        yield Case(type(moving).__name__, 0, of_function(moving, table))
    dropped = of_function(lambda x: functions.dropout(x, 0.25, rng=1), table)
    yield Case("Dropout", 1, dropped)
    yield Case("GetItem", 2, of_function(functions.GetItem([0, 0, 2]), table))
    for unary in (functions.Exp, functions.Tanh, functions.Sigmoid):
        yield Case(unary.__name__, 1, of_function(unary(), table))
    yield Case("Where", 0, of_function(lambda x: where(x.data > 0, x, 0.5), table))
    yield Case("AsType", 1, of_function(lambda x: x.astype("float64").astype(x.dtype), table))
    yield Case("Log", 1, of_function(functions.Log(), table, positive=True))
    for reduction in (functions.Sum, functions.Mean):  # normal numbers would almost cancel
        yield Case(reduction.__name__, 35, of_function(reduction(), table, positive=True))
    for normal in (functions.Softmax, functions.LogSoftmax):
        yield Case(normal.__name__, 7, of_function(normal(), table))
    yield Case("MaskedSoftmax", 7, of_function(functions.MaskedSoftmax(), table, table))
    yield Case("Unstack", 0, of_function(lambda x: functions.stack(functions.unstack(x, 1)), table))
    yield Case("MatMul", 24, of_function(functions.MatMul(), (2, 9, 24), (24, 7)))
    shapes = (33, 24), (12, 24), (12,)
    yield Case("Affine", 33, of_function(functions.Affine(), *shapes))
    weights = (20, 4), (20, 5), (20,), (20,)
    yield Case("LSTM", 60, of_function(_lstm, (3, 2, 4), *weights, (2, 5), (2, 5)))
    yield Case("Affine with ReLU", 33, of_function(functions.Affine(relu=True), *shapes))
    for name, function, shape in (
        ("MaxPool2dAt", functions.MaxPool2dAt(_PAIRS), (1, 2, 3, 4)),
        ("MaxUnpool2d", functions.MaxUnpool2d(_PAIRS, (3, 4)), (1, 2, 1, 2)),
    ):
        yield Case(name, 0, of_function(_at(function, _PLACES), shape))
    words = [[0, 3, 1], [3, 1, 3]]
    yield Case("Embedding", 3, of_function(_at(functions.Embedding(), words), (4, 7)))
    yield Case("EmbeddingWeight", 3, of_function(_at(functions.EmbeddingWeight(4), words), (2, 3, 7)))
    yield Case("SoftmaxCrossEntropy", 43, of_labels(functions.SoftmaxCrossEntropy()))
    yield Case("plain_softmax_loss", 43, of_labels(plain_softmax_loss))


def _of_samples(told: set[str]) -> Iterable[Case]:
    """Return a case for each other class of Functions, on the largest of the samples that it carries."""
    for name, each in vars(functions).items():
        if not isinstance(each, type) or not issubclass(each, Function) or each.__name__ != name:
            continue
        if name not in told:
            shapes: Any
            shapes, settings = max(each.samples, key=lambda sample: sum(map(math.prod, sample[0])))
            low, high = getattr(each, "domain", (-math.inf, math.inf))
            terms = max(4, *map(math.prod, shapes))
            function, inside = each(**settings), low == -math.inf
            yield Case(
                name, terms, of_function(function, *shapes, positive=not inside, scale=min(high, 4) / 4)
            )


def function_cases() -> list[Case]:
    """Return the cases of all classes of Functions."""
    told = list(_functions())
    return [*told, *_of_samples({case.name for case in told})]
