"""The graph behind results, as a list of Functions; and which module's call made which part of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scratchnet.core.function import Edge, Function
from scratchnet.core.modes import Scope
from scratchnet.layers import Module


def walk(roots: Iterable[Edge]) -> list[Function]:
    """The Functions that led to these, operands before what is made of them, without what was freed."""
    order: list[Function] = []
    seen: set[Function] = set()
    ahead = [(root.creator, False) for root in reversed(list(roots))]
    while ahead:
        function, is_left = ahead.pop()
        if function is None or function.edges is None:
            continue
        if is_left:
            order.append(function)
        elif function not in seen:
            seen.add(function)
            ahead.append((function, True))
            ahead += [(edge.creator, False) for edge in reversed(function.edges)]
    return order


def outward(call: Scope | None) -> Iterator[Scope]:
    """The call and those around it, from the inside out."""
    while call is not None:
        yield call
        call = call.around


def calls_of(functions: Iterable[Function]) -> list[Scope]:
    """The calls within which they were applied, in this order, each after those around it."""
    found: dict[int, Scope] = {}
    for function in functions:
        for call in reversed(list(outward(function.scope))):
            found.setdefault(id(call), call)
    return list(found.values())


def paths_in(modules: Iterable[Module]) -> dict[int, str]:
    """The paths of modules and parameters in the first of these that has them, by identity."""
    paths: dict[int, str] = {}
    for module in modules:
        if id(module) not in paths:
            for path, each in (*module.named_modules(), *module.named_parameters()):
                paths.setdefault(id(each), path)
    return paths
