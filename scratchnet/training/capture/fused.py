"""Recognising the network that has kernels of its own: Linear, ReLU, Linear, softmax loss.

It is read off the graph that one step left, never off a flag: whatever way the network was written, the
graph says what it computes.
"""

from __future__ import annotations

from typing import NamedTuple, cast

from backends import Array
from scratchnet.core.function import Function
from scratchnet.functions import Affine, ReLU, SoftmaxCrossEntropy
from scratchnet.variable import Variable


class TwoLayerNetwork(NamedTuple):
    """The parameters of both layers."""

    weight1: Variable
    bias1: Variable
    weight2: Variable
    bias2: Variable

    @property
    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Their data."""
        return self.weight1.array, self.bias1.array, self.weight2.array, self.bias2.array


def two_layers(loss: Variable, x: Variable, y: Variable) -> TwoLayerNetwork | None:
    """The network, if `loss` is the loss of such a one, of the inputs x and the labels y; else None.

    To be asked before `loss.backward()`, which consumes the graph.
    """
    criterion = loss.creator
    if type(criterion) is not SoftmaxCrossEntropy or criterion.labels is not y.array:
        return None
    second = _creator(criterion)
    hidden = _creator(second)
    first = _creator(hidden) if type(hidden) is ReLU else hidden
    if type(second) is not Affine or type(first) is not Affine:
        return None
    if second.relu or first.relu == (type(hidden) is ReLU) or first.x is not x.array:
        return None
    parameters = [*first.operands[1:], *second.operands[1:]]
    if not all(isinstance(each, Variable) and each.is_leaf for each in parameters):
        return None
    if len({id(each) for each in parameters}) < 4:
        return None
    return TwoLayerNetwork(*cast("list[Variable]", parameters))


def _creator(function: Function | None) -> Function | None:
    """What made a Function's first operand; None where it needs no gradient, or was made by hand."""
    source = function.operands[0] if function is not None and function.operands else None
    return None if source is None else source.creator
