"""The sweep: it carries gradients back through the graph.

The sweep visits each Function once, after all Functions that used its results. So every gradient is
complete before the sweep passes it on. Only the sweep does the following: it sums a gradient down to the
shape that was broadcast, adds gradients at forks, and gives them to the leaves. It empties each Function
as soon as the Function is done, which frees the memory at once.

Who owns a gradient: rules never change an array in place, so they may pass the same array to several
operands. The `grad` of a leaf belongs to the user, who may change it. If nothing else holds the array
that arrived at a leaf, or its memory, the leaf takes that array. Otherwise the leaf takes a copy.
"""

from __future__ import annotations

from _thread import allocate_lock  # threading.Lock; the module threading takes a millisecond to import
from collections.abc import Iterator, Sequence
from sys import getrefcount
from typing import Any, TypeAlias
from weakref import ref

import numpy as np

from backends import Array, active, check, xp
from backends.plain.library import without_underflow
from scratchnet.core.function import GRAPH, Edge, Function, Operand, check_real
from scratchnet.core.modes import Observer, observer, pauses
from scratchnet.core.share import share
from scratchnet.errors import GraphError, GraphFreedError, ShapeError, StaleGraphError

Gradient: TypeAlias = Any
"""An array; a Variable if the pass is recorded, so that it can be differentiated again."""


def sweep(
    root: Operand,
    grad: Gradient,
    *,
    retain_graph: bool,
    create_graph: bool,
    targets: Sequence[Edge] | None = None,
) -> dict[Edge, Gradient]:
    """Carry a gradient from the root back through the graph.

    Args:
        root: a Variable that needs a gradient.
        grad: the gradient at the root, of the root's shape: an array, or a Variable with `create_graph`.
        retain_graph: keep the graph for another pass.
        create_graph: record the pass. It then runs on Variables.
        targets: the edges whose gradients are wanted; the sweep visits only Functions that lead to them.
            None visits all Functions.

    Returns:
        The gradients by edge. They are those of the targets that a gradient reached; without targets,
        those of all leaves and of the results that retain their gradient.

    Raises:
        GraphFreedError: an earlier pass has freed the graph.
        StaleGraphError: data that a rule needs have changed since forward.
        GraphError: a Function returned the wrong number of gradients, or cannot be differentiated twice.
        ShapeError: a Function returned a gradient whose shape does not fit.
    """
    ends = set(targets or ())
    order = functions_behind([root.edge])
    if ends:
        order = _leading_to(ends, order)
    gradients: dict[Edge, Gradient] = {root.edge: grad}
    paused, looking, mine = pauses.get(), observer.get(), share.get()
    uses = _uses(order) if mine is not None and mine.listens else None
    kind: Any = Operand.result_type if create_graph else active().array_type
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
                continue  # no visited Function has used its results
            given = _backward(function, grads, create_graph, looking)
            for edge, needed, g in zip(edges, needs_grad, given, strict=True):
                if not needed or g is None:
                    continue
                if type(g) is not kind or g.shape != edge.shape or g.dtype is not edge.dtype:
                    g = fit(g, edge, type(function).__name__)
                former = gradients.get(edge)
                gradients[edge] = g if former is None else _sum(former, g)
            if uses:
                _announce(function, uses, gradients)
            if not retain_graph:
                function.__dict__.clear()
    finally:
        pauses.set(paused)
    return gradients


def _uses(order: list[Function]) -> dict[Edge, int]:
    """Return how many Functions will add to the gradient of each leaf."""
    uses: dict[Edge, int] = {}
    for function in order:
        for edge, needed in zip(function.edges or (), function.needs_grad, strict=True):
            if needed and edge.creator is None:
                uses[edge] = uses.get(edge, 0) + 1
    return uses


def _announce(function: Function, uses: dict[Edge, int], gradients: dict[Edge, Gradient]) -> None:
    """Tell the share of the batch which leaves have their whole gradient after this Function."""
    mine = share.get()
    for edge, needed in zip(function.edges or (), function.needs_grad, strict=True):
        if needed and edge in uses:
            uses[edge] -= 1
            if not uses[edge] and edge in gradients and mine is not None:
                mine.ready(edge.variable, gradients[edge])


def accumulate(gradients: dict[Edge, Gradient]) -> None:
    """Add each gradient to the `grad` of its leaf, and empty the dict.

    Raises:
        StaleGraphError: a leaf got data of another shape or dtype after the graph used it.
    """
    with _ONE_AT_A_TIME:  # two threads may add to the same leaf
        while gradients:
            edge, arrived = gradients.popitem()
            leaf = None if edge.receiver is None else edge.receiver()
            if leaf is None:
                continue  # the leaf was deleted, so nothing can read its gradient
            if leaf.edge is not edge:
                raise StaleGraphError(
                    f"backward: {edge.label()} was given data of shape {leaf.edge.shape} and dtype "
                    f"{leaf.edge.dtype} after the graph used it; run forward again, or replace the data "
                    "after backward"
                )
            if leaf._grad is not None:  # gradients add up until they are zeroed
                arrived = _sum(leaf._grad, arrived)
            elif isinstance(arrived, Operand):
                arrived = arrived.astype(edge.dtype)  # a copy, which can be differentiated
            elif getrefcount(arrived) > _ALONE or (arrived.base is not None and not _is_whole(arrived)):
                arrived = arrived.copy()
            leaf._grad = arrived


def functions_behind(roots: Sequence[Edge], all_that_is_there: bool = False) -> list[Function]:
    """Return the Functions behind some edges, each one before the Functions that used its results.

    Args:
        roots: the edges to start from.
        all_that_is_there: whether to include Functions that need no gradient, and to skip parts of the
            graph that were freed. By default, return exactly what a backward pass visits.

    Raises:
        GraphFreedError: an earlier pass has freed a part of the graph, and `all_that_is_there` is False.
    """
    order: list[Function] = []
    seen: set[int] = set()  # by identity: a user's Function may define equality
    ahead: list[Edge | Function] = [*reversed(roots)]
    while ahead:
        each = ahead.pop()
        if not isinstance(each, Edge):  # a Function: everything behind it has been visited
            order.append(each)
            continue
        function = each.creator
        if function is None or function.edges is None:
            if not all_that_is_there and (function is not None or each.receiver is None):
                raise _freed(each)
        elif id(function) not in seen:
            seen.add(id(function))
            ahead.append(function)
            pairs = zip(function.edges[::-1], function.needs_grad[::-1], strict=True)
            for edge, needed in pairs:
                if needed or all_that_is_there:
                    ahead.append(edge)
    return order


def _leading_to(targets: set[Edge], order: list[Function]) -> list[Function]:
    """Return the Functions of `order` whose gradients reach a target."""
    leading: set[int] = set()
    for function in order:
        for edge, needed in zip(function.edges or (), function.needs_grad, strict=True):
            if needed and (edge in targets or id(edge.creator) in leading):
                leading.add(id(function))
    return [function for function in order if id(function) in leading]


def _freed(edge: Edge) -> GraphFreedError:
    return GraphFreedError(
        f"backward: the graph behind {edge.label()} is gone: an earlier backward freed it, or it is a "
        "deep copy; run forward again, and compute in it what a module keeps, such as weight.T; or pass "
        "retain_graph=True to the earlier backward"
    )


def _backward(
    function: Function, grads: list[Gradient], create_graph: bool, looking: Observer | None
) -> Sequence[Gradient]:
    """Check that what the Function kept is unchanged, and return the gradients of its operands."""
    name = type(function).__name__
    for source in function.sources:
        if source is not None:
            place, version, number = source
            if version[0] != number:
                edge = function.results[place][0]() if isinstance(place, int) else place
                changed = f"a result of {name}" if edge is None else edge.label()
                raise StaleGraphError(
                    f"backward: {changed} was changed after {name} used it; its gradient would be "
                    "wrong; run forward again, or change it after backward"
                )
    kept = _kept_as_variables(function) if create_graph else function.kept
    if looking is not None:
        looking.arriving(function, grads)
    grad = grads[0]
    if len(grads) > 1:
        pairs = zip(grads, function.results, strict=True)
        grad = tuple(xp.zeros(*result[1:]) if each is None else each for each, result in pairs)
    try:
        given = function.backward(grad, *kept)
    except FloatingPointError:
        given = without_underflow(function.backward, grad, *kept)
    given = given if isinstance(given, (tuple, list)) else (given,)
    if len(given) != len(function.needs_grad):
        raise GraphError(
            f"{name}.backward returned {len(given)} gradients for {len(function.needs_grad)} operands; "
            "it must return one for each, and None for zero"
        )
    if looking is not None:
        looking.passed(function, given)
    return given


def _kept_as_variables(function: Function) -> list[Any]:
    """Return what `forward` kept as Variables of the graph, so that the rule can be differentiated.

    Raises:
        GraphError: the Function holds arrays in other attributes. They would count as constants.
    """
    value: Any
    for name, value in vars(function).items():
        if name in GRAPH or name in function.constants:
            continue
        for each in _inside(value):
            computed = isinstance(each, np.floating) and name not in function.settings
            if computed or (isinstance(each, active().array_type) and each.dtype.kind == "f"):
                raise GraphError(
                    f"backward: {type(function).__name__} holds an array in its attribute {name!r}, so "
                    "it cannot be differentiated twice; keep operands and results with self.keep in "
                    "forward, or list the name of a constant in the class attribute `constants`"
                )
    kept: list[Any] = []
    for array, source in zip(function.kept, function.sources, strict=True):
        if source is None:
            kept.append(None)
        elif isinstance(source[0], int):
            result = active().as_array(array)
            kept.append(_edge_of_result(function, source[0], result).as_variable(result))
        else:
            kept.append(source[0].as_variable(array))
    return kept


def _inside(value: Any) -> Iterator[Any]:
    """Return a value, or what a list, a tuple or a dict holds, at any depth."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        yield value
    else:
        for each in value:
            yield from _inside(each)


def _edge_of_result(function: Function, index: int, result: Array) -> Edge:
    """Return the edge of a result; make a new one if it was deleted."""
    known, shape, dtype = function.results[index]
    edge = known()
    if edge is None:
        edge = Edge(result)
        edge.creator, edge.index = function, index
        function.results[index] = ref(edge), shape, dtype
    return edge


def no_gradient(name: str, root: Operand) -> GraphError:
    """Return the error to raise if a Variable needs no gradient; `name` begins the message."""
    return GraphError(
        f"{name}: {root.edge.label()} needs no gradient: it was made under no_grad(), by a loader, from "
        "integers, or from inputs with requires_grad=False; compute it from a leaf that needs a gradient"
    )


def _sum(a: Gradient, b: Gradient) -> Gradient:
    """Return the sum of two gradients: of two arrays as an array, even if the library gives a scalar."""
    total = a + b
    return total if isinstance(total, Operand) else active().as_array(total)


def _is_whole(view: Array) -> bool:
    """Return whether an array is a view of all elements of a base that nothing else holds."""
    base = view.base
    return (
        type(base) is type(view)
        and base.nbytes == view.nbytes
        and 0 not in view.strides
        and getrefcount(base) <= _BASE_ALONE
    )


def _counted(gradients: dict[None, Array]) -> tuple[int, int]:
    """Return the reference counts that `accumulate` and `_is_whole` see if nothing else holds the array.

    The first is the count of an array, and the second is that of its base.
    """
    _, arrived = gradients.popitem()
    base = arrived.base
    return getrefcount(arrived), getrefcount(base)


_ONE_AT_A_TIME = allocate_lock()
_ALONE, _BASE_ALONE = _counted({None: np.empty((2, 1)).T})


def summed_axes(shape: tuple[int, ...], to: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes over which to sum a gradient of one shape, if `to` was broadcast to that shape."""
    leading = len(shape) - len(to)
    return tuple(axis for axis, size in enumerate(shape) if axis < leading or to[axis - leading] != size)


def fit(grad: Gradient, edge: Edge, name: str) -> Gradient:
    """Return the gradient with the operand's dtype, summed down to the operand's shape.

    Args:
        grad: an array, a scalar of the array library, or a Variable.
        edge: the operand's edge.
        name: the name of the Function that returned the gradient, for messages.

    Raises:
        ShapeError: the operand cannot have been broadcast to the gradient's shape.
        OperandError: the gradient does not hold real numbers.
        WrongArrayError: the gradient is not an array of the active backend.
    """
    if not isinstance(grad, Operand):
        if not isinstance(grad, np.generic):  # NumPy returns such a scalar in place of a 0-d array
            check(name, "the gradient", grad)
        grad = active().as_array(grad)
        check_real(f"{name}: a gradient", grad)
    shape = edge.shape
    if grad.shape != shape:
        leading, axes = grad.ndim - len(shape), summed_axes(grad.shape, shape)
        if leading < 0 or any(axis >= leading and shape[axis - leading] != 1 for axis in axes):
            raise ShapeError(
                f"{name}: a gradient of shape {grad.shape} cannot be summed down to shape {shape} of "
                f"{edge.label()}; backward must return the shape that the operand was broadcast to"
            )
        operation: Any = type(grad).sum if isinstance(grad, Operand) else active().sum
        grad = operation(grad, axis=axes, keepdims=True).reshape(shape)
    return grad if grad.dtype == edge.dtype else without_underflow(grad.astype, edge.dtype)
