"""A backward pass that is watched as it runs, and leaves no trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Any

import numpy as np

from backends import Array, check, computed, to_host
from scratchnet.core.function import Function, Operand
from scratchnet.core.sweep import fit, summed_axes
from scratchnet.errors import GraphError
from scratchnet.inspect.explain.explanation import Explanation, Leaf, Passed, Step
from scratchnet.inspect.gradient import Gradient
from scratchnet.inspect.operands import operands_of
from scratchnet.inspect.untouched import attributes_put_back, generators_put_back
from scratchnet.inspect.walk import paths_in, walk
from scratchnet.inspect.words import clean, formulas, operand_names, settings_of
from scratchnet.variable import Variable

_looking = RLock()  # a Function's backward may look too, at a graph of its own


def explained(variable: Variable) -> Explanation:
    """What `scratchnet.explain` gives. One looks at a time: what another has put in is no graph."""
    with _looking:
        return _explained(variable)


def _explained(variable: Variable) -> Explanation:
    check("explain", "the Variable", variable.array)
    record = _Record(variable)
    functions = [node.function for node in record.nodes]
    with (
        generators_put_back(functions=functions),
        attributes_put_back(functions),
        _gradients_put_back(record.operands),
    ):
        had_gradient = {id(each) for each in record.operands if each.raw_grad is not None}
        for each in record.operands:
            each.raw_grad = None
        for function in functions:
            vars(function)["backward"] = record.watched(function)
        try:
            variable.backward(retain_graph=True)
        except GraphError as error:
            raise type(error)(str(error).replace("backward: ", "explain: ", 1)) from error
        return record.explanation(had_gradient)


@contextmanager
def _gradients_put_back(operands: Sequence[Operand]) -> Iterator[None]:
    """After it, these have their gradients, and leaves are known to be changed, as before."""
    grads = [(each, each.raw_grad) for each in operands]
    watches = [
        (each.watch, each.watch.changed, each.watch.snapshot) for each in operands if each.is_leaf
    ]
    try:
        yield
    finally:
        for operand, grad in grads:
            operand.raw_grad = grad
        for watch, changed, snapshot in watches:
            watch.changed, watch.snapshot = changed, snapshot


@dataclass
class _Run:
    """A Function's part: all that is known at the time."""

    function: Function
    result: Operand
    grad_in: Gradient
    came_from: tuple[int, ...]
    passed: list[Passed] = field(default_factory=list)


class _Record:
    """Notes what passes; made into an Explanation afterwards, when it is known where all has gone."""

    def __init__(self, root: Variable) -> None:
        self.root, self.runs = root, list[_Run]()
        self.nodes, calls = walk([root])
        operands = [each for node in self.nodes for each in node.function.operands if each is not None]
        self.operands = list({id(each): each for each in (root, *operands)}.values())
        self.arrived: dict[int, tuple[int, ...]] = {}  # from which steps, by operand
        # Copies of a Variable share their Function, which passes on the gradient of each in turn.
        self.waiting: dict[int, list[Operand]] = {id(root.creator): [root]}
        self.paths = paths_in(call.module for call in calls)
        self.called = {id(node.function): node.call.module for node in self.nodes if node.call}

    def watched(self, function: Function) -> Callable[[Array | None], Any]:
        """Its `backward`, noting what comes and goes."""
        backward = function.backward

        def watched(grad: Array | None) -> Any:
            result = self.waiting[id(function)].pop(0)
            grad_in = _numbers(grad, result)  # now, for it may be overwritten
            run = _Run(function, result, grad_in, self.arrived.get(id(result), ()))
            self.runs.append(run)
            grads = backward(grad)
            self._note(run, grads if isinstance(grads, (tuple, list)) else (grads,))
            return grads

        return watched

    def _note(self, run: _Run, grads: Sequence[Array | None]) -> None:
        """As the sweep will do, so that its errors are the same."""
        function, names = run.function, operand_names(run.function)
        for position, (operand, grad) in enumerate(zip(function.operands, grads, strict=False)):
            name = names[position] or f"operand {position}"
            own = f"∂L/∂{name}, by {type(function).__name__}'s backward"
            rule = next((part for part in formulas(function) if part.startswith(f"∂L/∂{name} =")), own)
            passed = Passed(name, "", rule, None if operand is None else operand.array.shape)
            if operand is not None and grad is not None:
                given = getattr(grad, "shape", ())
                gradient = _numbers(computed(fit(grad, operand, type(function).__name__)), operand)
                former = self.arrived.get(id(operand), ())
                if not former:
                    self.waiting.setdefault(id(operand.creator), []).append(operand)
                self.arrived[id(operand)] = (*former, len(self.runs))
                summed = summed_axes(given, operand.array.shape)
                passed = replace(passed, given=given, summed=summed, gradient=gradient,
                                 added_to=former, is_leaf=operand.is_leaf)  # fmt: skip
            run.passed.append(passed)

    def explanation(self, had_gradient: set[int]) -> Explanation:
        """All in words, while the leaves have the gradients."""
        leaves = [each for each in self.operands if each.is_leaf and each.raw_grad is not None]
        names = dict(zip(map(id, leaves), _names(leaves, self.paths), strict=True))
        told = tuple(
            Leaf(
                names[each], _numbers(leaf.grad, leaf), self.arrived.get(each, ()), each in had_gradient
            )
            for each, leaf in zip(names, leaves, strict=True)
        )
        for number, run in enumerate(self.runs, 1):
            names[id(run.result)] = f"step {number}, {type(run.function).__name__}"
        steps = tuple(self._step(number, run, names) for number, run in enumerate(self.runs, 1))
        return Explanation(_beginning(self.root), steps, told)

    def _step(self, number: int, run: _Run, names: dict[int, str]) -> Step:
        function = run.function
        module = self.called.get(id(function))
        place = "" if module is None else self.paths[id(module)] or type(module).__name__
        operands = function.operands
        sources = [self._source(each, names) for _, each in operands_of(function)]
        sources += [self._source(each, names) for each in operands[len(sources) :]]
        passed = tuple(
            replace(each, source=source, target=names[id(operand)] if each.gradient else "")
            for each, operand, source in zip(run.passed, operands, sources, strict=False)
        )
        remarks = tuple(part for part in formulas(function) if not part.startswith("∂L/∂"))
        return Step(number, type(function).__name__, clean(settings_of(function)), place, remarks,
                    run.grad_in, run.came_from, passed)  # fmt: skip

    def _source(self, operand: Any, names: dict[int, str]) -> str:
        """What an operand is, as far as it is known."""
        if isinstance(operand, (int, float)):
            return f"{operand:g}"
        if not isinstance(operand, Variable):
            return ""
        name = names.get(id(operand)) or clean(self.paths.get(id(operand)) or operand.name or "")
        if operand.creator is not None:
            return f"y of {name.partition(',')[0]}" if name else ""
        return f"'{name}'" if name else ""


def _numbers(grad: Array | None, operand: Operand) -> Gradient:
    """Those of the gradient at an operand; None stands for ones."""
    array = operand.array
    return Gradient.of(np.ones(array.shape, array.dtype) if grad is None else to_host(grad))


def _beginning(root: Variable) -> str:
    """The result in words."""
    maker = f", from {type(root.creator).__name__}" if root.creator is not None else ""
    return (f"{root.item():.6g}" if root.shape == () else f"the sum of {root.label()}") + maker


def _names(leaves: Sequence[Operand], paths: dict[int, str]) -> list[str]:
    """Their paths, or else names; numbered where there is none, or several have the same."""
    names = [clean(paths.get(id(leaf)) or getattr(leaf, "name", None) or "") for leaf in leaves]
    total, so_far = Counter(names), Counter[str]()
    numbered = []
    for name in names:
        so_far[name] += 1
        numbered.append(name if name and total[name] == 1 else f"{name or 'leaf'} {so_far[name]}")
    return numbered
