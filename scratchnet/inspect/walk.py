"""The graph behind results, as a list; and which module's call made which part of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from scratchnet.core.function import Function, Operand
from scratchnet.layers import Module


class Call:
    """A module's call.

    Attributes:
        module: what was called.
        begun: the age at which it was.
        around: the innermost call that it was made in; None if in none.
        results: the Variables it gave, of those that the graph holds.
    """

    def __init__(self, module: Module, begun: int, around: Call | None) -> None:
        """Its results are to be added."""
        self.module, self.begun, self.around = module, begun, around
        self.results: list[Operand] = []


class Node(NamedTuple):
    """A Function of a graph.

    Attributes:
        function: it.
        results: the Variable it made, and copies of that.
        call: the innermost that it belongs to: it led to the call's result, and is younger than the
            call's beginning. None if it belongs to none.
    """

    function: Function
    results: list[Operand]
    call: Call | None


def walk(results: Iterable[Operand]) -> tuple[list[Node], list[Call]]:
    """The Functions that led to the results, the oldest first, and the calls that gave them, likewise.

    What was freed is not there. A call that gave back what it got has a result, and no Functions.
    """
    made = _made(results)
    within, around = _nesting([function for function, _ in made])
    calls: dict[int, Call] = {}
    for begun, module in sorted(
        {b: m for function, _ in made for m, b in function.module_calls}.items()
    ):
        calls[begun] = Call(module, begun, calls.get(around[begun]))
    for function, variables in made:
        for _, begun in function.module_calls:
            calls[begun].results.extend(variables)
    nodes = [Node(*each, calls.get(max(within[id(each[0])], default=_NONE))) for each in made]
    return nodes, list(calls.values())


def outward(call: Call | None) -> Iterator[Call]:
    """The call and those around it."""
    while call is not None:
        yield call
        call = call.around


def paths_in(modules: Iterable[Module]) -> dict[int, str]:
    """The paths of modules and parameters in the first of these that has them, by identity."""
    paths: dict[int, str] = {}
    for module in modules:
        if id(module) not in paths:
            for path, each in (*module.named_modules(), *module.named_parameters()):
                paths.setdefault(id(each), path)
    return paths


_NONE = -1  # no call begins at this age


def _made(results: Iterable[Operand]) -> list[tuple[Function, list[Operand]]]:
    """Every Function with its results, the oldest first. Copies of a Variable share their Function."""
    made: dict[int, tuple[Function, list[Operand]]] = {}
    ahead = list(dict.fromkeys(results))
    seen = set(ahead)
    while ahead:
        result = ahead.pop()
        function = result.creator
        if function is None:
            continue
        made.setdefault(id(function), (function, []))[1].append(result)
        for operand in function.operands:
            if operand is not None and operand not in seen:
                seen.add(operand)
                ahead.append(operand)
    return sorted(made.values(), key=lambda each: each[0].age)


def _nesting(functions: list[Function]) -> tuple[dict[int, set[int]], dict[int, int]]:
    """The calls that each Function belongs to, and the call around each: calls by their beginnings."""
    within: dict[int, set[int]] = {id(function): set() for function in functions}
    around: dict[int, int] = {}

    def nest(inner: int, outer: Iterable[int]) -> None:
        """Calls lie within each other or apart: of some around a call, the last begun is the nearest."""
        around[inner] = max(around.get(inner, _NONE), *(each for each in outer if each < inner), _NONE)

    for function in reversed(functions):
        given_by = [begun for _, begun in function.module_calls]
        calls = {each for each in within[id(function)].union(given_by) if each < function.age}
        within[id(function)] = calls
        for each in calls:
            nest(each, calls)
        for place, each in enumerate(given_by, 1):
            nest(each, given_by[place:])
        for operand in function.operands:
            former = None if operand is None else operand.creator
            if former is not None:
                within[id(former)] |= calls
                for _, begun in former.module_calls:
                    if former.age < begun < function.age:  # it gave this operand back as it was
                        nest(begun, calls)
    return within, around
