"""Which module's call made which part of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scratchnet.core.function import Function
from scratchnet.core.modes import Scope
from scratchnet.layers import Module


def outward(call: Scope | None) -> Iterator[Scope]:
    """Yield the call and those around it, from the inside out."""
    while call is not None:
        yield call
        call = call.around


def calls_of(functions: Iterable[Function]) -> list[Scope]:
    """Return the calls within which they were applied, in this order, each after those around it."""
    found: dict[int, Scope] = {}
    for function in functions:
        for call in reversed(list(outward(function.scope))):
            found.setdefault(id(call), call)
    return list(found.values())


def paths_in(modules: Iterable[Module]) -> dict[int, str]:
    """Return paths of modules and parameters by identity, in the first module that has them."""
    paths: dict[int, str] = {}
    for module in modules:
        if id(module) not in paths:
            for path, each in (*module.named_modules(), *module.named_parameters()):
                paths.setdefault(id(each), path)
    return paths
