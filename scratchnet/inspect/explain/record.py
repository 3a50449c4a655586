"""Observe a backward pass while it runs, and restore everything afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Any

import numpy as np

from backends import Array, to_host
from scratchnet.core.function import Edge, Function
from scratchnet.core.modes import observer
from scratchnet.core.sweep import fit, functions_behind, summed_axes
from scratchnet.errors import GraphError
from scratchnet.inspect.explain.explanation import Explanation, Leaf, Passed, Step
from scratchnet.inspect.gradient import Gradient
from scratchnet.inspect.untouched import attributes_put_back, generators_in, generators_put_back
from scratchnet.inspect.walk import calls_of, paths_in
from scratchnet.inspect.words import clean, formulas, operand_names, settings_of
from scratchnet.variable import Variable, swept

_looking = RLock()  # while one thread observes, it restores Functions; a rule may observe too


def explained(variable: Variable) -> Explanation:
    """Return what `scratchnet.explain` returns."""
    record = _Record(variable)
    functions = record.functions
    with (
        _looking,
        generators_put_back(generators_in(functions)),
        attributes_put_back(functions),
    ):
        try:
            gradients = copy_context().run(record.swept)
        except GraphError as error:
            raise type(error)(str(error).replace("backward: ", "explain: ", 1)) from error
    return record.explanation(gradients)


@dataclass
class _Part:
    """What is known about a Function's part while it runs."""

    function: Function
    grad_in: Gradient
    came_from: tuple[int, ...]
    passed: list[Passed] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)


class _Record:
    """Notes what passes. It becomes an Explanation afterwards, when all targets are known."""

    def __init__(self, root: Variable) -> None:
        self.root, self.parts = root, list[_Part]()
        self.functions = functions_behind([root.edge], all_that_is_there=True)
        self.arrived: dict[Any, tuple[int, ...]] = {}  # from which steps, by edge
        self.paths = paths_in(call.module for call in calls_of(self.functions))

    def swept(self) -> dict[Edge, Array]:
        """Run the real sweep and observe it. Return the gradients at the leaves."""
        observer.set(self)
        return swept(self.root, None, True, False, None, "explain")

    def applied(self, function: Function, arrays: Sequence[Any], results: Sequence[Any]) -> None:
        """Ignore Functions that a rule applies."""

    def arriving(self, function: Function, grads: Sequence[Any]) -> None:
        """Record the gradient that arrived. The gradients of several results are shown as one."""
        hosts = [to_host(grad).reshape(-1) for grad in grads if grad is not None]
        grad_in = Gradient.of(to_host(grads[0]) if len(grads) == 1 else np.concatenate(hosts))
        came_from = [self.arrived.get(known(), ()) for known, *_ in function.results]
        self.parts.append(_Part(function, grad_in, tuple(step for each in came_from for step in each)))

    def passed(self, function: Function, gradients: Sequence[Any]) -> None:
        """Fit the gradients as the sweep will do, so that its errors are the same."""
        part, names = self.parts[-1], operand_names(function)
        triples = zip(function.edges or (), function.needs_grad, gradients, strict=True)
        for position, (edge, needed, grad) in enumerate(triples):
            name = names[position] or f"operand {position}"
            own = f"∂L/∂{name}, by {type(function).__name__}'s backward"
            rule = next((part for part in formulas(function) if part.startswith(f"∂L/∂{name} =")), own)
            passed = Passed(name, "", rule, edge.shape if needed else None)
            if needed and grad is not None:
                given = getattr(grad, "shape", ())
                gradient = Gradient.of(to_host(fit(grad, edge, type(function).__name__)))
                former = self.arrived.get(edge, ())
                self.arrived[edge] = (*former, len(self.parts))
                summed, is_leaf = summed_axes(given, edge.shape), edge.creator is None
                passed = replace(passed, given=given, summed=summed, gradient=gradient,
                                 added_to=former, is_leaf=is_leaf)  # fmt: skip
            part.passed.append(passed)
            part.edges.append(edge)

    def explanation(self, gradients: dict[Edge, Array]) -> Explanation:
        """Put everything into words."""
        ends = ((edge, grad) for edge, grad in gradients.items() if edge.creator is None)
        leaves = [(edge, edge.variable, grad) for edge, grad in ends]
        leaves.sort(key=lambda each: min(self.arrived.get(each[0], (0,))))
        told = _names([(edge, leaf) for edge, leaf, _ in leaves], self.paths)
        names: dict[Any, str] = {edge: name for (edge, _, _), name in zip(leaves, told, strict=True)}
        told_of = tuple(
            Leaf(
                names[edge], Gradient.of(to_host(grad)), self.arrived.get(edge, ()),
                leaf is not None and leaf.grad is not None,
            )
            for edge, leaf, grad in leaves
        )  # fmt: skip
        for number, part in enumerate(self.parts, 1):
            for known, *_ in part.function.results:
                names[known()] = f"step {number}, {type(part.function).__name__}"
        steps = tuple(self._step(number, part, names) for number, part in enumerate(self.parts, 1))
        return Explanation(_beginning(self.root), steps, told_of)

    def _step(self, number: int, part: _Part, names: dict[Any, str]) -> Step:
        function = part.function
        module = None if function.scope is None else function.scope.module
        place = "" if module is None else self.paths.get(id(module)) or type(module).__name__
        passed = tuple(
            replace(each, source=self._source(edge, names),
                    target=names[edge] if each.gradient else "")
            for each, edge in zip(part.passed, part.edges, strict=True)
        )  # fmt: skip
        remarks = tuple(each for each in formulas(function) if not each.startswith("∂L/∂"))
        return Step(number, type(function).__name__, clean(settings_of(function)), place, remarks,
                    part.grad_in, part.came_from, passed)  # fmt: skip

    def _source(self, edge: Edge, names: dict[Any, str]) -> str:
        """Return what an operand is, as far as it is known."""
        if edge.dtype is None:
            return edge.name or ""
        leaf = edge.variable
        name = names.get(edge) or clean(self.paths.get(id(leaf)) or edge.name or "")
        if edge.creator is not None:
            return f"y of {name.partition(',')[0]}" if name else ""
        return f"'{name}'" if name else ""


def _beginning(root: Variable) -> str:
    """Return the result in words."""
    maker = f", from {type(root.creator).__name__}" if root.creator is not None else ""
    return (f"{root.item():.6g}" if root.shape == () else f"the sum of {root.label()}") + maker


def _names(leaves: Sequence[tuple[Edge, Variable | None]], paths: dict[int, str]) -> list[str]:
    """Return paths or names of leaves; numbered if there is none, or if several are equal."""
    names = [clean(paths.get(id(leaf)) or edge.name or "") for edge, leaf in leaves]
    total, so_far = Counter(names), Counter[str]()
    numbered = []
    for name in names:
        so_far[name] += 1
        numbered.append(name if name and total[name] == 1 else f"{name or 'leaf'} {so_far[name]}")
    return numbered
