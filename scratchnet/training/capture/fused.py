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
        return self.weight1.data, self.bias1.data, self.weight2.data, self.bias2.data


def two_layers(loss: Variable, x: Variable, y: Variable) -> TwoLayerNetwork | None:
    """The network, if `loss` is the loss of such a one, of the inputs x and the labels y; else None.

    To be asked before `loss.backward()`, which consumes the graph.
    """
    criterion = loss.creator
    if type(criterion) is not SoftmaxCrossEntropy or criterion.labels is not y.data:
        return None
    second = _creator(criterion)
    hidden = _creator(second)
    first = _creator(hidden) if type(hidden) is ReLU else hidden
    if type(second) is not Affine or type(first) is not Affine:
        return None
    if second.relu or first.relu == (type(hidden) is ReLU) or first.kept[0] is not x.data:
        return None
    edges = [*(first.edges or ())[1:], *(second.edges or ())[1:]]
    parameters = [each.variable for each in edges]
    if not all(isinstance(each, Variable) and each.is_leaf for each in parameters):
        return None
    if len({id(each) for each in parameters}) < 4:
        return None
    return TwoLayerNetwork(*cast("list[Variable]", parameters))


def _creator(function: Function | None) -> Function | None:
    """What made a Function's first operand; None where it needs no gradient, or was made by hand."""
    return function.edges[0].creator if function is not None and function.edges else None
