"""The graph behind a result, as a list; and which module's call made which part of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from scratchnet.function import Function, Operand
from scratchnet.layers import Module


class Node(NamedTuple):
    """A Function of a graph, and the Variable it made."""

    function: Function
    result: Operand


@dataclass
class Call:
    """A module's call.

    Attributes:
        module: what was called.
        begun: the age at which it was.
        ended: the age of the last Function in it; less than `begun` if it applied none.
        results: the Variables it gave, of those that the graph holds.
        is_outer: whether other calls were made within it.
    """

    module: Module
    begun: int
    ended: int = -1
    results: list[Operand] = field(default_factory=list)
    is_outer: bool = False


def nodes_behind(results: Iterable[Operand]) -> list[Node]:
    """The Functions that led to the results, the oldest first; what was freed is not there."""
    nodes: list[Node] = []
    ahead, seen = list(results), set()
    while ahead:
        made = ahead.pop()
        if made.creator is None or id(made.creator) in seen:
            continue
        seen.add(id(made.creator))
        nodes.append(Node(made.creator, made))
        ahead += [operand for operand in made.creator.operands if operand is not None]
    return sorted(nodes, key=lambda node: node.function.age)


def calls_among(nodes: Iterable[Node]) -> list[Call]:
    """The modules' calls whose results are among the nodes, in the order in which they began."""
    calls: dict[int, Call] = {}
    for function, result in nodes:
        for module, begun in function.calls:
            call = calls.setdefault(begun, Call(module, begun))
            call.ended = max(call.ended, function.age)
            call.results.append(result)
    for function, _ in nodes:  # the innermost first: one that gave back what it got has no age within
        for inner, (_, begun) in enumerate(function.calls):
            calls[begun].is_outer |= any(begun < former for _, former in function.calls[:inner])
    in_order = sorted(calls.values(), key=lambda call: call.begun)
    for call, following in pairwise(in_order):
        call.is_outer |= following.begun <= call.ended
    return in_order


def call_of(function: Function, calls: Iterable[Call]) -> Call | None:
    """The innermost call that the Function was applied in; None if in none."""
    within = [call for call in calls if call.begun < function.age <= call.ended]
    return within[-1] if within else None


def paths_in(calls: Iterable[Call]) -> dict[int, str]:
    """The paths of modules and parameters in the outermost modules called, by identity."""
    paths: dict[int, str] = {}
    for call in calls:
        if id(call.module) not in paths:
            for path, each in (*call.module.named_modules(), *call.module.named_parameters()):
                paths.setdefault(id(each), path)
    return paths
