"""The sweep: it carries gradients back through the graph.

It goes from the youngest Function to the oldest. A Function is always younger than its operands, so
that order is topological, and every gradient is complete before it is passed on. Here, and only
here, gradients are summed down to the shape they were broadcast from, added up at forks, and given
to the leaves; and the graph is cut behind, so that its memory comes back at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count

import numpy as np

from backends import Array, DeferredProduct, active, check, computed
from scratchnet.core.function import Function, Operand, check_real
from scratchnet.errors import GraphError, GraphFreedError, ShapeError


def sweep(root: Operand, grad: Array | None, retain_graph: bool) -> None:
    """Add the gradient of the root to the `grad` of every leaf that it was computed from.

    `grad` is the one to begin with; None stands for ones.
    """
    creator = root.creator
    if grad is None and (creator is None or root.keeps_grad or not creator.takes_none):
        grad = root.array.copy()
        grad.fill(1)
    pending: dict[Operand, Array] = {root: grad}  # what has arrived so far, and where
    unshared: set[Operand] = set()  # where that is nobody else's
    retained: list[tuple[Operand, Array]] = []
    arrivals = count()
    ahead = [] if root.is_leaf else [_place(root, next(arrivals))]  # a heap: the youngest comes first
    while ahead:
        made = heappop(ahead)[-1]
        if (function := made.creator) is None:
            raise _freed(made)
        arrived = pending.pop(made)
        if made.keeps_grad:
            retained.append((made, arrived.copy()))
        for watch in function.watches:
            if watch.changed > function.age:
                watch.check(function)
        function.may_overwrite = made in unshared
        grads = _backward(function, arrived)
        for operand, g in zip(function.operands, grads, strict=True):
            if operand is None or g is None:
                continue
            data = operand.array
            if type(g) is not type(data) or g.dtype is not data.dtype or g.shape != data.shape:
                g = fit(g, operand, type(function).__name__)
            if operand in pending:
                pending[operand] = active().as_array(computed(pending[operand]) + computed(g))
                unshared.add(operand)
            elif operand.is_leaf:
                held = not function.gives_new and _is_held(g, arrived, function, grads)
                pending[operand] = g.copy() if held else g
            else:
                pending[operand] = g
                heappush(ahead, _place(operand, next(arrivals)))
                if function.gives_new:
                    unshared.add(operand)
        if not retain_graph:
            made.creator = None
    for operand, arrived in (*pending.items(), *retained):
        if operand.raw_grad is not None:  # gradients add up until they are zeroed
            arrived = active().as_array(operand.grad + computed(arrived))
        operand.raw_grad = arrived


def _place(operand: Operand, arrival: int) -> tuple[int, int, Operand]:
    """Its place in the heap: the youngest first; copies of a Variable, of one age, as they are met."""
    if operand.creator is None:
        raise _freed(operand)
    return -operand.creator.age, arrival, operand


def _freed(operand: Operand) -> GraphFreedError:
    return GraphFreedError(
        f"backward: the graph behind {operand.label()} is gone: an earlier backward consumed it; run "
        "forward again, or pass retain_graph=True to the earlier one"
    )


def _backward(function: Function, grad: Array | None) -> Sequence[Array | None]:
    """What the Function gives to its operands."""
    grads = function.backward(grad)
    if not isinstance(grads, (tuple, list)):
        grads = (grads,)
    if len(grads) != len(function.operands):
        raise GraphError(
            f"{type(function).__name__}.backward gave {len(grads)} gradients for "
            f"{len(function.operands)} operands; it must return one for each, None where there is none"
        )
    return grads


def _is_held(
    array: Array, grad: Array | None, function: Function, grads: Sequence[Array | None]
) -> bool:
    """Whether anything else holds this array, so that a leaf must not keep it as its own."""
    if array is grad or array.base is not None or sum([array is each for each in grads]) > 1:
        return True
    for operand in function.operands:
        if operand is not None and array is operand.array:
            return True
    for kept in vars(function).values():
        if array is kept:
            return True
        if type(kept) is tuple or type(kept) is list:
            for part in kept:
                if array is part:
                    return True
    return False


def summed_axes(shape: tuple[int, ...], to: tuple[int, ...]) -> tuple[int, ...]:
    """The axes over which a gradient of one shape is summed down to the other, if that was broadcast."""
    leading = len(shape) - len(to)
    return tuple(axis for axis, size in enumerate(shape) if axis < leading or to[axis - leading] != size)


def fit(grad: Array, operand: Operand, name: str) -> Array:
    """The gradient in the operand's dtype, summed down to its shape where it was broadcast."""
    data = operand.array
    if type(grad) is DeferredProduct:
        if operand.is_leaf and grad.shape == data.shape:
            return grad
        grad = grad.compute()
    if not isinstance(grad, np.generic):
        check(name, "the gradient", grad)
    grad, shape = active().as_array(grad), data.shape
    check_real(f"{name}: a gradient", grad)
    if grad.shape != shape:
        leading, axes = grad.ndim - len(shape), summed_axes(grad.shape, shape)
        if leading < 0 or any(axis >= leading and shape[axis - leading] != 1 for axis in axes):
            raise ShapeError(
                f"{name}: a gradient of shape {grad.shape} cannot be summed down to shape {shape}"
                f" of {operand.label()}; backward must return the shape that was broadcast to"
            )
        grad = grad.sum(axis=axes, keepdims=True).reshape(shape)
    return grad.astype(data.dtype, copy=False)
