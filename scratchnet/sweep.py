"""The sweep: it carries gradients back through the graph.

It goes from the youngest Function to the oldest. A Function is always younger than its operands, so
that order is topological, and every gradient is complete before it is passed on. Here, and only
here, gradients are summed down to the shape they were broadcast from, added up at forks, and given
to the leaves; and the graph is cut behind, so that its memory comes back at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from backends import Array, active, check
from scratchnet.errors import GraphError, GraphFreedError, ShapeError
from scratchnet.function import Function, Operand


def sweep(root: Operand, grad: Array, retain_graph: bool) -> None:
    """Add the gradient of the root to the `grad` of every leaf that it was computed from."""
    pending = {root: grad}
    ahead: list[tuple[int, Operand]] = []
    _go_on_to(root, ahead)
    while ahead:
        made = heappop(ahead)[1]
        arrived = pending.pop(made)
        _propagate(made, arrived, pending, ahead)
        if made.keeps_grad:
            _accumulate(made, arrived.copy())
        if not retain_graph:
            made.creator = None
    for leaf, arrived in pending.items():
        _accumulate(leaf, arrived)


def _go_on_to(operand: Operand, ahead: list[tuple[int, Operand]]) -> None:
    """Put what a Function made among those ahead, of which the heap gives the youngest first."""
    if operand.creator is not None:
        heappush(ahead, (-operand.creator.age, operand))
    elif not operand.is_leaf:
        raise GraphFreedError(
            f"backward: the graph behind {operand.label()} is gone: an earlier backward consumed "
            "it; run forward again, or pass retain_graph=True to the earlier one"
        )


def _accumulate(operand: Operand, grad: Array) -> None:
    """Gradients add up until they are zeroed."""
    operand.grad = grad if operand.grad is None else active().as_array(operand.grad + grad)


def _propagate(
    made: Operand, grad: Array, pending: dict[Operand, Array], ahead: list[tuple[int, Operand]]
) -> None:
    """Hand the gradient at one operand on to the operands that it was made of."""
    assert made.creator is not None
    function, operands = made.creator, made.creator.operands
    grads = function.backward(grad)
    if not isinstance(grads, (tuple, list)):
        grads = (grads,)
    if len(grads) != len(operands):
        raise GraphError(
            f"{type(function).__name__}.backward gave {len(grads)} gradients for {len(operands)} "
            "operands; it must return one for each, None where there is none"
        )
    for position, (operand, g) in enumerate(zip(operands, grads, strict=True)):
        if operand is None or g is None:
            continue
        data = operand.data
        if type(g) is not type(data) or g.dtype is not data.dtype or g.shape != data.shape:
            g = fit(g, operand, type(function).__name__)
        if operand in pending:
            pending[operand] = active().as_array(pending[operand] + g)
        elif not operand.is_leaf:
            pending[operand] = g
            _go_on_to(operand, ahead)
        else:
            pending[operand] = g.copy() if _is_shared(g, grad, grads[:position], function) else g


def _is_shared(array: Array, grad: Array, others: Sequence[Any], function: Function) -> bool:
    """Whether anything else holds this array, so that a leaf must not keep it as its own."""
    if array.base is not None or array is grad:
        return True
    for operand in function.operands:
        if operand is not None and array is operand.data:
            return True
    held = [*others, *vars(function).values()]
    for each in held:
        if array is each:
            return True
        if type(each) is tuple or type(each) is list:
            held.extend(each)
    return False


def fit(grad: Array, operand: Operand, name: str) -> Array:
    """The gradient in the operand's dtype, summed down to its shape where it was broadcast."""
    data = operand.data
    if not isinstance(grad, np.generic):
        check(name, "the gradient", grad)
    grad, shape = active().as_array(grad), data.shape
    if grad.shape != shape:
        leading = grad.ndim - len(shape)
        axes = tuple(
            axis for axis, size in enumerate(grad.shape)
            if axis < leading or shape[axis - leading] != size
        )  # fmt: skip
        if leading < 0 or any(axis >= leading and shape[axis - leading] != 1 for axis in axes):
            raise ShapeError(
                f"{name}: a gradient of shape {grad.shape} cannot be summed down to shape {shape}"
                f" of {operand.label()}; backward must return the shape that was broadcast to"
            )
        grad = grad.sum(axis=axes, keepdims=True).reshape(shape)
    return grad.astype(data.dtype, copy=False)
