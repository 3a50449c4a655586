"""Recognize the network that has its own kernels: Linear, ReLU, Linear, softmax loss.

It is recognized in the graph of one step, so it does not matter how the network was written.
"""

from __future__ import annotations

from typing import cast

from backends import Array
from scratchnet.core.function import Function
from scratchnet.data.batches import Structure
from scratchnet.functions import Affine, ReLU, SoftmaxCrossEntropy
from scratchnet.variable import Variable


class TwoLayerNetwork:
    """The parameters of both layers: weight, bias, weight, bias."""

    def __init__(self, *parameters: Variable) -> None:
        self.parameters = parameters

    @property
    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Their data."""
        weight1, bias1, weight2, bias2 = (each.data for each in self.parameters)
        return weight1, bias1, weight2, bias2


def two_layers(loss: Variable, x: Structure, y: Structure) -> TwoLayerNetwork | None:
    """Return the network, if `loss` is its loss for inputs x and labels y; otherwise None.

    Call it before `loss.backward()`, which frees the graph.
    """
    if not (isinstance(x, Variable) and isinstance(y, Variable)):
        return None
    criterion = loss.creator
    if type(criterion) is not SoftmaxCrossEntropy or criterion.kept[1] is not y.data:
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
    """Return the Function that made the first operand; None for a leaf, or if no gradient is needed."""
    return function.edges[0].creator if function is not None and function.edges else None
