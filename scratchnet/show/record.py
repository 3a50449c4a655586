"""A backward pass that is watched as it runs, and leaves no trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backends import Array, computed, to_host
from scratchnet.function import Function, Operand
from scratchnet.graph import Variable
from scratchnet.show.explanation import Explanation, Gradient, Leaf, Passed, Step
from scratchnet.show.nodes import Node, call_of, calls_among, nodes_behind, paths_in
from scratchnet.show.operands import arguments
from scratchnet.show.untouched import attributes_put_back, generators_put_back
from scratchnet.show.words import clean, settings_of
from scratchnet.sweep import fit, summed_axes


def explained(variable: Variable) -> Explanation:
    """What `scratchnet.explain` gives."""
    nodes = nodes_behind([variable])
    record, functions = _Record(nodes, variable), [node.function for node in nodes]
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
        variable.backward(retain_graph=True)
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
class _Pass:
    """What a Function gave to an operand: all that is known at the time."""

    operand: Operand | None
    given: tuple[int, ...] | None = None
    gradient: Gradient | None = None
    added_to: tuple[int, ...] = ()


@dataclass
class _Run:
    """A Function's part."""

    function: Function
    result: Operand
    grad_in: Gradient
    came_from: tuple[int, ...]
    passed: list[_Pass] = field(default_factory=list)


class _Record:
    """Notes what passes; made into an Explanation afterwards, when it is known where all has gone."""

    def __init__(self, nodes: list[Node], root: Variable) -> None:
        self.root, self.runs = root, list[_Run]()
        operands = [each for node in nodes for each in node.function.operands if each is not None]
        self.operands = list({id(each): each for each in (root, *operands)}.values())
        self.arrived: dict[int, tuple[int, ...]] = {}  # from which steps, by operand
        # Copies of a Variable share their Function, which passes on the gradient of each in turn.
        self.waiting: dict[int, list[Operand]] = {id(root.creator): [root]}
        self.calls = calls_among(nodes)
        self.paths = paths_in(self.calls)

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
        function, number = run.function, len(self.runs)
        for operand, grad in zip(function.operands, grads, strict=False):
            passed = _Pass(operand)
            run.passed.append(passed)
            if operand is None or grad is None:
                continue
            passed.given = getattr(grad, "shape", ())
            passed.gradient = _numbers(computed(fit(grad, operand, type(function).__name__)), operand)
            passed.added_to = self.arrived.get(id(operand), ())
            if not passed.added_to:
                self.waiting.setdefault(id(operand.creator), []).append(operand)
            self.arrived[id(operand)] = (*passed.added_to, number)

    def explanation(self, had_gradient: set[int]) -> Explanation:
        """All in words, while the leaves have the gradients."""
        leaves = [each for each in self.operands if each.is_leaf and each.raw_grad is not None]
        names = _names(leaves, self.paths)
        told = tuple(
            Leaf(
                name, _numbers(each.grad, each), self.arrived.get(id(each), ()), id(each) in had_gradient
            )
            for each, name in zip(leaves, names, strict=True)
        )
        targets = {id(each): name for each, name in zip(leaves, names, strict=True)}
        for number, run in enumerate(self.runs, 1):
            targets[id(run.result)] = f"step {number}, {type(run.function).__name__}"
        steps = (self._step(number, run, targets) for number, run in enumerate(self.runs, 1))
        return Explanation(_beginning(self.root), tuple(steps), told)

    def _step(self, number: int, run: _Run, targets: dict[int, str]) -> Step:
        function = run.function
        call = call_of(function, self.calls)
        module = (self.paths[id(call.module)] or type(call.module).__name__) if call else ""
        parts = function.rule.split("; ") if function.rule else []
        names = [*arguments(type(function).forward)]
        names += [f"operand {position}" for position in range(len(names), len(run.passed))]
        passed = []
        for each, name in zip(run.passed, names, strict=False):
            formula = next((part for part in parts if part.startswith(f"∂L/∂{name} =")), "")
            operand = each.operand
            shape = None if operand is None else operand.array.shape
            is_leaf = operand is not None and operand.is_leaf
            axes = () if shape is None or each.given is None else summed_axes(each.given, shape)
            target = "" if each.gradient is None else targets[id(operand)]
            passed.append(Passed(name, formula, target, shape, each.given, axes, each.gradient,
                                 each.added_to, is_leaf))  # fmt: skip
        remarks = tuple(part for part in parts if not part.startswith("∂L/∂"))
        settings = clean(settings_of(function))
        return Step(number, type(function).__name__, settings, module, function.rule, remarks,
                    run.grad_in, run.came_from, tuple(passed))  # fmt: skip


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
