"""The number of floating-point operations of a Function, from its shapes.

It counts as `summary` says: a multiplication and an addition are two operations, so the product of (n,
k) and (k, m) is 2nkm. Per element, each operation is one, also a comparison, an exponential, a
logarithm, a power and a hyperbolic tangent. Moving elements counts as none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from scratchnet import functions as F
from scratchnet.core.function import Function


class Work(NamedTuple):
    """The operations of one Function.

    Attributes:
        forward: operations of `forward`.
        backward: operations of `backward` for each operand, if its gradient is needed.
        common: operations of `backward` for all operands together.
    """

    forward: int
    backward: tuple[int, ...]
    common: int = 0


Sizes = Sequence[int | None]
"""Return the number of elements of each operand; None if its gradient is not needed."""


def work(function: Function, result: tuple[int, ...], operands: Sizes) -> Work | None:
    """Return the work of a Function whose result has this shape; None if it is not known."""
    if (of_shapes := _OF_SHAPES.get(type(function))) is not None:
        return of_shapes(function, result, operands)
    if function.operations is None:
        return None
    forward, *backward = function.operations
    size = max(map(prod, (result, *_shapes(function))))
    # It may take more operands, of the same kind, or leave out the last ones.
    backward = [*backward, *[0] * len(operands)][: len(operands)]
    gradients = zip(operands, backward, strict=True)
    return Work(forward * size, tuple(n * size + _summed(prod(result), each) for each, n in gradients))


def _summed(size: int, operand: int | None) -> int:
    """Return the additions that sum a gradient to the shape of a broadcast operand."""
    return size if operand is not None and operand < size else 0


def _shapes(function: Function) -> list[tuple[int, ...]]:
    """Return the shapes of the operands."""
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


def _convolution(function: Function, result: tuple[int, ...], operands: Sizes) -> Work:
    """As a product of each window with the weight. The elements of the padding count too."""
    shapes, size = _shapes(function), prod(result)
    of_windows = {F.Conv2d: (result, shapes[1]), F.ConvTranspose2d: shapes[:2]}
    y, weight = of_windows.get(type(function), (shapes[1], result))
    product = 2 * prod(y) * prod(weight[1:])
    bias = (size,) * (len(operands) - 2)
    return Work(product + sum(bias), (product, product, *bias))


def _get_item(function: F.GetItem, result: tuple[int, ...], _: Sizes) -> Work:
    return Work(0, (0 if function.basic else prod(result),))


def _embedding(_: F.Embedding, result: tuple[int, ...], __: Sizes) -> Work:
    return Work(0, (prod(result), 0))


def _embedding_weight(function: F.EmbeddingWeight, _: tuple[int, ...], __: Sizes) -> Work:
    return Work(prod(_shapes(function)[0]), (0, 0))


def _einsum(function: F.Einsum, _: tuple[int, ...], operands: Sizes) -> Work:
    """As one sum of all products; the order that the array library chooses may need fewer."""
    product = len(operands) * prod(function.sizes.values())
    return Work(product, (product,) * len(operands))


def _recurrent(function: F.RNN, _: tuple[int, ...], operands: Sizes) -> Work:
    """Two products for each step; with four operations for each gate, and six in backward."""
    x, w_ih, w_hh = _shapes(function)[:3]
    (width, inputs), hidden = w_ih, w_hh[1]
    gates = prod(x[:2]) * width
    of_x, of_h = 2 * gates * inputs, 2 * gates * hidden
    backward = of_x, of_x, of_h, gates, gates, *(0 for _ in operands[5:])
    return Work(of_x + of_h + 4 * gates, backward, of_h + 6 * gates)


_OF_SHAPES: dict[type[Function], Callable[[Any, tuple[int, ...], Sizes], Work]] = {
    F.MatMul: _matmul,
    F.Affine: _affine,
    F.GetItem: _get_item,
    F.Conv2d: _convolution,
    F.ConvTranspose2d: _convolution,
    F.Conv2dWeight: _convolution,
    F.Einsum: _einsum,
    F.RNN: _recurrent,
    F.ReLURNN: _recurrent,
    F.LSTM: _recurrent,
    F.GRU: _recurrent,
    F.Embedding: _embedding,
    F.EmbeddingWeight: _embedding_weight,
}
