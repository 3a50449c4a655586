"""The work of a Function: how many floating-point operations it does, by its shapes.

The convention is that of `summary`: a multiplication and an addition are two, so the product of (n, k)
and (k, m) is 2nkm; of an element alone each operation is one, also a comparison, an exponential, a
logarithm, a power and a hyperbolic tangent. Moving elements is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from scratchnet import functions as F
from scratchnet.core.function import Function


class Work(NamedTuple):
    """Of one Function.

    Attributes:
        forward: operations of `forward`.
        backward: of `backward` for each operand, if its gradient is needed.
        common: of `backward` for all operands together.
    """

    forward: int
    backward: tuple[int, ...]
    common: int = 0


Sizes = Sequence[int | None]
"""The number of elements of each operand; None where its gradient is not asked for."""


def work(function: Function, result: tuple[int, ...], operands: Sizes) -> Work | None:
    """The work of a Function whose result has this shape; None where nobody has said it."""
    if (each := _EACH.get(type(function))) is not None:
        size, (forward, *backward) = prod(result), each
        gradients = zip(operands, backward, strict=True)
        return Work(forward * size, tuple(n * size + _summed(size, operand) for operand, n in gradients))
    of_shapes = _OF_SHAPES.get(type(function))
    return of_shapes(function, result, operands) if of_shapes is not None else None


def _summed(size: int, operand: int | None) -> int:
    """The additions that sum a gradient down to an operand that was broadcast."""
    return size if operand is not None and operand < size else 0


# For each element of the result: forward, and backward for each operand.
_EACH: dict[type[Function], tuple[int, ...]] = {
    F.Add: (1, 0, 0),
    F.Sub: (1, 0, 1),
    F.Mul: (1, 1, 1),
    F.Div: (1, 1, 4),
    F.Neg: (1, 1),
    F.Pow: (1, 3, 3),
    F.Exp: (1, 1),
    F.Abs: (1, 1),
    F.Sign: (1, 1),
    F.Floor: (1, 1),
    F.Ceil: (1, 1),
    F.Square: (1, 2),
    F.Sqrt: (1, 2),
    F.Expm1: (1, 2),
    F.Log1p: (1, 2),
    F.Log2: (1, 2),
    F.Log10: (1, 2),
    F.Sin: (1, 2),
    F.Cos: (1, 3),
    F.Tan: (1, 3),
    F.Arcsin: (1, 5),
    F.Arccos: (1, 6),
    F.Arctan: (1, 3),
    F.Sinh: (1, 2),
    F.Cosh: (1, 2),
    F.Log: (1, 1),
    F.Tanh: (1, 3),
    F.Sigmoid: (4, 3),
    F.Threshold: (1, 2),
    F.ReLU: (1, 2),
    F.Softmax: (5, 4),
    F.LogSoftmax: (5, 4),
    F.Transpose: (0, 0),
    F.Reshape: (0, 0),
    F.BroadcastTo: (0, 1),
    F.AsType: (0, 0),
    F.Where: (0, 1, 1),
    F.Maximum: (1, 2, 2),
    F.Minimum: (1, 2, 2),
}


def _shapes(function: Function) -> list[tuple[int, ...]]:
    """Those of the operands."""
    return [edge.shape for edge in function.edges or ()]


def _matmul(function: F.MatMul, result: tuple[int, ...], operands: Sizes) -> Work:
    a, b = _shapes(function)
    product = 2 * prod(result) * a[-1]
    stack = prod(np.broadcast_shapes(a[:-2], b[:-2]))
    pairs = zip((a, b), operands, strict=True)
    return Work(product, tuple(product + _summed(stack * prod(each[-2:]), size) for each, size in pairs))


def _affine(function: F.Affine, result: tuple[int, ...], _: Sizes) -> Work:
    size, product = prod(result), 2 * prod(result) * _shapes(function)[0][1]
    relu = size if function.relu else 0
    return Work(product + size + relu, (product, product, size), 2 * relu)


def _sum(function: F.Sum, _: tuple[int, ...], __: Sizes) -> Work:
    return Work(prod(function.shape), (0,))


def _mean(function: F.Mean, result: tuple[int, ...], _: Sizes) -> Work:
    return Work(function.size + prod(result), (prod(result),))


def _max(function: F.Max, _: tuple[int, ...], __: Sizes) -> Work:
    size = prod(_shapes(function)[0])
    return Work(size, (4 * size,))


def _get_item(function: F.GetItem, result: tuple[int, ...], _: Sizes) -> Work:
    return Work(0, (0 if function.basic else prod(result),))


def _softmax_cross_entropy(function: F.SoftmaxCrossEntropy, _: tuple[int, ...], __: Sizes) -> Work:
    """Maximum, difference, exponential, sum, and two divisions; the gradient is a by-product."""
    return Work(6 * function.gradient.size, (0, 0))


_OF_SHAPES: dict[type[Function], Callable[[Any, tuple[int, ...], Sizes], Work]] = {
    F.MatMul: _matmul,
    F.Affine: _affine,
    F.Sum: _sum,
    F.Mean: _mean,
    F.Max: _max,
    F.GetItem: _get_item,
    F.SoftmaxCrossEntropy: _softmax_cross_entropy,
}
