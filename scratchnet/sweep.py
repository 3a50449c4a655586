"""The sweep: it carries gradients back through the graph.

It goes from the youngest Function to the oldest. A Function is always younger than its operands, so
that order is topological, and every gradient is complete before it is passed on. Here, and only
here, gradients are summed down to the shape they were broadcast from, added up at forks, and given
to the leaves; and the graph is cut behind, so that its memory comes back at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from backends import Array, active, check
from scratchnet.errors import GraphError, GraphFreedError, ShapeError
from scratchnet.function import Function, Operand


def sweep(root: Operand, grad: Array, retain_graph: bool) -> None:
    """Add the gradient of the root to the `grad` of every leaf that it was computed from."""
    pending = {root: grad}
    makers = _makers(root)
    while makers:
        made = makers.pop()
        arrived = pending.pop(made, None)
        if arrived is not None:
            _propagate(made, arrived, pending)
            if made.keeps_grad:
                _accumulate(made, arrived.copy())
        if not retain_graph:
            made.creator = None
    for leaf, arrived in pending.items():
        _accumulate(leaf, arrived)


def _accumulate(operand: Operand, grad: Array) -> None:
    """Gradients add up until they are zeroed."""
    operand.grad = grad if operand.grad is None else active().as_array(operand.grad + grad)


def _makers(root: Operand) -> list[Operand]:
    """The Variables that Functions made on the way to the root, oldest first."""
    found, todo = {root}, [root]
    made: list[Operand] = []
    while todo:
        operand = todo.pop()
        if operand.creator is None:
            if not operand.is_leaf:
                raise GraphFreedError(
                    f"backward: the graph behind {operand.label()} is gone: an earlier backward "
                    "consumed it; run forward again, or pass retain_graph=True to the earlier one"
                )
            continue
        made.append(operand)
        for source in operand.creator.operands:
            if source is not None and source not in found:
                found.add(source)
                todo.append(source)
    made.sort(key=attrgetter("creator.age"))
    return made


def _propagate(made: Operand, grad: Array, pending: dict[Operand, Array]) -> None:
    """Hand the gradient at one operand on to the operands that it was made of."""
    assert made.creator is not None
    function, operands = made.creator, made.creator.operands
    name = type(function).__name__
    grads = function.backward(grad)
    if not isinstance(grads, (tuple, list)):
        grads = (grads,)
    if len(grads) != len(operands):
        raise GraphError(
            f"{name}.backward gave {len(grads)} gradients for {len(operands)} operands; "
            "it must return one for each, None where there is none"
        )
    for position, (operand, g) in enumerate(zip(operands, grads, strict=True)):
        if operand is None or g is None:
            continue
        data = operand.data
        as_it_is = type(g) is type(data) and g.dtype is data.dtype and g.shape == data.shape
        fitted = g if as_it_is else fit(g, operand, name)
        if operand in pending:
            pending[operand] = active().as_array(pending[operand] + fitted)
        elif operand.is_leaf and _is_shared(fitted, grad, grads[:position], function):
            pending[operand] = fitted.copy()
        else:
            pending[operand] = fitted


def _is_shared(array: Array, grad: Array, others: Sequence[Any], function: Function) -> bool:
    """Whether anything else holds this array, so that a leaf must not keep it as its own."""
    if array.base is not None or array is grad:
        return True
    for other in others:
        if array is other:
            return True
    for each in vars(function).values():
        if array is each:
            return True
        if isinstance(each, (tuple, list)):
            for part in each:
                if array is part or (isinstance(part, Operand) and array is part.data):
                    return True
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
