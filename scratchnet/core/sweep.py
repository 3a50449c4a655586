"""The sweep: it carries gradients back through the graph.

It visits each Function once, after all Functions that used its results, so that every gradient is
complete before it is passed on. Here, and only here, gradients are summed down to the shape they were
broadcast from, added up at forks, and given to the leaves; and each Function is emptied as soon as it
is done, so that its memory comes back at once.

Who owns a gradient: rules never change an array in place, and so may pass on the same array to several
operands. Only the `grad` of a leaf belongs to somebody, the user, who may change it. A leaf takes the
array that arrived where nothing else holds that array or its memory, and a copy otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Any, TypeAlias
from weakref import ref

import numpy as np

from backends import Array, active, check, xp
from scratchnet.core.function import Edge, Function, Operand, check_real
from scratchnet.core.modes import Observer, observer, pauses
from scratchnet.errors import GraphError, GraphFreedError, ShapeError, StaleGraphError

Gradient: TypeAlias = Any
"""An array; a Variable where the pass is recorded, to be differentiated again."""


@np.errstate(under="ignore")  # a gradient that is too small for its dtype is 0, which is no fault
def sweep(
    root: Operand,
    grad: Gradient,
    *,
    retain_graph: bool,
    create_graph: bool,
    targets: Sequence[Edge] | None = None,
) -> dict[Edge, Gradient]:
    """The gradients of the root, of which `grad` is the one to begin with, by the edges where they end.

    Args:
        root: a Variable that needs a gradient.
        grad: an array of its shape; where the pass is recorded, a Variable.
        retain_graph: keep the graph for another pass.
        create_graph: record the pass. It then runs on Variables.
        targets: only what leads to these edges is visited, and they are in the answer if a gradient
            arrived. None visits all; then the answer has all leaves, and results that retain theirs.
    """
    ends = set(targets or ())
    order = functions_behind([root.edge])
    if ends:
        order = _leading_to(ends, order)
    gradients: dict[Edge, Gradient] = {root.edge: grad}
    paused, looking = pauses.get(), observer.get()
    kind: Any = Operand if create_graph else active().array_type
    pauses.set(() if create_graph else (*paused, sweep))
    try:
        while order:
            function = order.pop()
            edges, needs_grad = function.edges, function.needs_grad
            if edges is None:
                raise _freed(root.edge)
            grads: list[Gradient] = []
            is_reached = False
            for known, _, _ in function.results:
                edge: Any = known()
                g = gradients.get(edge)
                if g is not None:
                    is_reached = True
                    if edge.receiver is None and edge not in ends:
                        del gradients[edge]
                grads.append(g)
            if not is_reached:
                continue  # nothing that was visited has used its results
            given = _backward(function, grads, create_graph, looking)
            for edge, needed, g in zip(edges, needs_grad, given, strict=True):
                if not needed or g is None:
                    continue
                if not isinstance(g, kind) or g.shape != edge.shape or g.dtype is not edge.dtype:
                    g = fit(g, edge, type(function).__name__)
                former = gradients.get(edge)
                gradients[edge] = g if former is None else _sum(former, g)
            if not retain_graph:
                function.__dict__.clear()
    finally:
        pauses.set(paused)
    return gradients


def accumulate(gradients: dict[Edge, Gradient]) -> None:
    """Add each gradient to the `grad` of its leaf."""
    while gradients:
        edge, arrived = gradients.popitem()
        leaf = None if edge.receiver is None else edge.receiver()
        if leaf is None:
            continue  # nobody can ask for it any more
        if leaf.edge is not edge:
            raise StaleGraphError(
                f"backward: {edge.label()} was given data of shape {leaf.edge.shape} and "
                f"{leaf.edge.dtype} after the graph used it; run forward again, or replace the data "
                "after backward"
            )
        if leaf._grad is not None:  # gradients add up until they are zeroed
            arrived = _sum(leaf._grad, arrived)
        elif not isinstance(arrived, Operand) and (
            getrefcount(arrived) > _ALONE or (arrived.base is not None and not _is_whole(arrived))
        ):
            arrived = arrived.copy()
        leaf._grad = arrived


def functions_behind(roots: Sequence[Edge], all_that_is_there: bool = False) -> list[Function]:
    """The Functions behind some edges, producers before those that used their results.

    Args:
        roots: the edges.
        all_that_is_there: also go where no gradient is needed, and pass over what is gone. Otherwise the
            answer is what a backward pass visits.

    Raises:
        GraphFreedError: an earlier pass has emptied a part of the graph.
    """
    order: list[Function] = []
    seen: set[Function] = set()
    ahead: list[Edge | Function] = [*reversed(roots)]
    while ahead:
        each = ahead.pop()
        if not isinstance(each, Edge):  # a Function of which all that is behind it has been visited
            order.append(each)
            continue
        function = each.creator
        if function is None or function.edges is None:
            if not all_that_is_there and (function is not None or each.receiver is None):
                raise _freed(each)
        elif function not in seen:
            seen.add(function)
            ahead.append(function)
            pairs = zip(function.edges[::-1], function.needs_grad[::-1], strict=True)
            for edge, needed in pairs:
                if needed or all_that_is_there:
                    ahead.append(edge)
    return order


def _leading_to(targets: set[Edge], order: list[Function]) -> list[Function]:
    """Those Functions whose gradients reach a target."""
    leading: set[Function] = set()
    for function in order:
        for edge, needed in zip(function.edges or (), function.needs_grad, strict=True):
            if needed and (edge in targets or edge.creator in leading):
                leading.add(function)
    return [function for function in order if function in leading]


def _freed(edge: Edge) -> GraphFreedError:
    return GraphFreedError(
        f"backward: the graph behind {edge.label()} is gone: an earlier backward consumed it, or it is "
        "a deep copy; run forward again, or pass retain_graph=True to the earlier one"
    )


def _backward(
    function: Function, grads: list[Gradient], create_graph: bool, looking: Observer | None
) -> Sequence[Gradient]:
    """What the Function gives to its operands, one for each."""
    name = type(function).__name__
    for source in function.sources:
        if source is not None:
            edge, version = (function.results[source][0](), 0) if isinstance(source, int) else source
            if edge is not None and edge.version != version:
                raise StaleGraphError(
                    f"backward: {edge.label()} was changed after {name} used it; its gradient would be "
                    "wrong; run forward again, or change it after backward"
                )
    kept = _kept_as_variables(function) if create_graph else function.kept
    if looking is not None:
        looking.arriving(function, grads)
    if len(grads) == 1:
        given = function.backward(grads[0], *kept)
    else:
        pairs = zip(grads, function.results, strict=True)
        given = function.backward(
            tuple(xp.zeros(*result[1:]) if grad is None else grad for grad, result in pairs), *kept
        )
    given = given if isinstance(given, (tuple, list)) else (given,)
    if len(given) != len(function.needs_grad):
        raise GraphError(
            f"{name}.backward gave {len(given)} gradients for {len(function.needs_grad)} operands; it "
            "must return one for each, None where there is none"
        )
    if looking is not None:
        looking.passed(function, given)
    return given


def _kept_as_variables(function: Function) -> list[Any]:
    """What `forward` kept, as Variables of the graph, so that the rule itself can be differentiated.

    Raises:
        GraphError: the Function has kept arrays in attributes, which would count as constants.
    """
    value: Any
    for name, value in vars(function).items():
        if name in _OWN or name in function.constants:
            continue
        for each in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(each, active().array_type) and each.dtype.kind == "f":
                raise GraphError(
                    f"backward: {type(function).__name__} holds an array in its attribute {name!r}, and "
                    "so cannot be differentiated twice; let forward keep operands and results with "
                    "self.keep, or name a constant in the class attribute `constants`"
                )
    kept: list[Any] = []
    for array, source in zip(function.kept, function.sources, strict=True):
        if source is None:
            kept.append(None)
        elif isinstance(source, int):
            result = active().as_array(array)
            kept.append(_edge_of_result(function, source, result).as_variable(result))
        else:
            kept.append(source[0].as_variable(array))
    return kept


def _edge_of_result(function: Function, index: int, result: Array) -> Edge:
    """The one that is there, or another in its place."""
    known, shape, dtype = function.results[index]
    edge = known()
    if edge is None:
        edge = Edge(result)
        edge.creator, edge.index = function, index
        function.results[index] = ref(edge), shape, dtype
    return edge


_OWN = {"kept", "edges", "results", "sources", "scope", "needs_grad"}
"""The attributes of a Function that are the graph's."""


def no_gradient(name: str, root: Operand) -> GraphError:
    """What to raise where a Variable needs no gradient."""
    return GraphError(
        f"{name}: {root.edge.label()} needs no gradient: it was made under no_grad(), by a loader, "
        "or of integers or inputs with requires_grad=False"
    )


def _sum(a: Gradient, b: Gradient) -> Gradient:
    """Of two gradients; an array, where they are arrays, though the library may give a scalar."""
    total = a + b
    return total if isinstance(total, Operand) else active().as_array(total)


def _is_whole(view: Array) -> bool:
    """Whether an array is a view of all the elements of another array that nothing else holds."""
    base = view.base
    return (
        type(base) is type(view)
        and base.nbytes == view.nbytes
        and 0 not in view.strides
        and getrefcount(base) <= _BASE_ALONE
    )


def _counted(gradients: dict[None, Array]) -> tuple[int, int]:
    """The references that `accumulate` finds to an array, and `_is_whole` to its base, if alone."""
    _, arrived = gradients.popitem()
    base = arrived.base
    return getrefcount(arrived), getrefcount(base)


_ALONE, _BASE_ALONE = _counted({None: np.empty((2, 1)).T})


def summed_axes(shape: tuple[int, ...], to: tuple[int, ...]) -> tuple[int, ...]:
    """The axes over which a gradient of one shape is summed down to the other, if that was broadcast."""
    leading = len(shape) - len(to)
    return tuple(axis for axis, size in enumerate(shape) if axis < leading or to[axis - leading] != size)


def fit(grad: Gradient, edge: Edge, name: str) -> Gradient:
    """The gradient in the operand's dtype, summed down to its shape where it was broadcast."""
    if not isinstance(grad, Operand):
        if not isinstance(grad, np.generic):  # which the library gives for 0-d
            check(name, "the gradient", grad)
        grad = active().as_array(grad)
        check_real(f"{name}: a gradient", grad)
    shape = edge.shape
    if grad.shape != shape:
        leading, axes = grad.ndim - len(shape), summed_axes(grad.shape, shape)
        if leading < 0 or any(axis >= leading and shape[axis - leading] != 1 for axis in axes):
            raise ShapeError(
                f"{name}: a gradient of shape {grad.shape} cannot be summed down to shape {shape}"
                f" of {edge.label()}; backward must return the shape that was broadcast to"
            )
        operation: Any = type(grad).sum if isinstance(grad, Operand) else active().sum
        grad = operation(grad, axis=axes, keepdims=True).reshape(shape)
    return grad if grad.dtype == edge.dtype else grad.astype(edge.dtype)
