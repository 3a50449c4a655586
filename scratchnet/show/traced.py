"""The graph behind a Variable, walked once and laid out as plain lists."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, cast

from scratchnet.errors import GraphError, GraphFreedError, OperandError
from scratchnet.function import Function, Operand
from scratchnet.graph import Variable
from scratchnet.layers import Module
from scratchnet.show.operands import operands_of


class TracedVariable(NamedTuple):
    """An operand or a result.

    Attributes:
        kind: "leaf": made by hand, and needs a gradient; "result": a Function's; "freed": a result whose
            Function an earlier backward pass has consumed; "constant": needs no gradient.
        name: a parameter's path in the module of its box; else the Variable's name; of a constant, what
            the Function calls it, or a number itself; "" if there is none.
        shape: None where the graph does not know it.
        dtype: as `shape`.
        box: the box it stands in, an index; None outside of all.
        variable: the Variable; None for a constant that the graph does not hold as one.
    """

    kind: str
    name: str
    shape: tuple[int, ...] | None
    dtype: str | None
    box: int | None
    variable: Variable | None


class TracedFunction(NamedTuple):
    """A Function, and the indices of its operands in their order, of its results, and of its box."""

    function: Function
    operands: list[int]
    results: list[int]
    box: int | None


class Box(NamedTuple):
    """A call of a module, its path within the module around it, and the index of the box around it."""

    module: Module
    path: str
    parent: int | None


class Trace(NamedTuple):
    """Everything a result was computed from.

    Attributes:
        variables: in the order in which the Functions met them; the last result is the root.
        functions: the oldest first, so that operands come before what is made of them.
        boxes: a box comes before those within it.
    """

    variables: list[TracedVariable]
    functions: list[TracedFunction]
    boxes: list[Box]


def traced(root: Any, asker: str) -> Trace:
    """The graph behind a Variable; a leaf is alone. No array is read, and nothing is changed.

    Args:
        root: the Variable.
        asker: the function that errors name.

    Raises:
        OperandError: root is no Variable.
        GraphFreedError: a backward pass has consumed its graph.
        GraphError: it was made without a graph.
    """
    _check(root, asker)
    made = _made(root)
    within = _calls(made)
    boxes, box_of = _boxes(within)
    return _Tracer(made, boxes, box_of).trace(root)


class _Made(NamedTuple):
    function: Function
    results: list[Variable]


def _check(root: Any, asker: str) -> None:
    if not isinstance(root, Variable):
        raise OperandError(
            f"{asker}: a {type(root).__name__} is no Variable; give a result, such as the loss or net(x)"
        )
    if root.creator is not None or root.is_leaf:
        return
    if root.requires_grad:
        raise GraphFreedError(
            f"{asker}: the graph behind {root.label()} is gone: backward has consumed it; do this "
            "before backward, or pass retain_graph=True to it"
        )
    raise GraphError(
        f"{asker}: there is no graph behind {root.label()}: it was made under no_grad(), of inputs that "
        "need no gradient, or by a loader"
    )


def _made(root: Variable) -> list[_Made]:
    """Every Function with its results, the oldest first. Copies of a Variable share their Function."""
    made: dict[int, _Made] = {}
    seen: set[Operand] = {root}
    ahead: list[Operand] = [root]
    while ahead:
        result = ahead.pop()
        function = result.creator
        if function is None:
            continue
        made.setdefault(id(function), _Made(function, [])).results.append(cast("Variable", result))
        for operand in function.operands:
            if operand is not None and operand not in seen:
                seen.add(operand)
                ahead.append(operand)
    return sorted(made.values(), key=lambda each: each.function.age)


def _calls(made: list[_Made]) -> list[tuple[Function, dict[int, Module]]]:
    """Each Function with the calls of modules that it belongs to, by the ages at which they began.

    It belongs to a call if it led to the call's result and is younger than the call's beginning.
    """
    within: dict[int, dict[int, Module]] = {id(each.function): {} for each in made}
    for function, _ in reversed(made):
        calls = within[id(function)] | {begun: module for module, begun in function.calls}
        calls = {begun: module for begun, module in calls.items() if begun < function.age}
        within[id(function)] = calls
        for operand in function.operands:
            if operand is not None and operand.creator is not None:
                within[id(operand.creator)] |= calls
    return [(each.function, within[id(each.function)]) for each in made]


def _boxes(within: Sequence[tuple[Function, dict[int, Module]]]) -> tuple[list[Box], dict[int, int]]:
    """The boxes, and in which of them each Function is.

    Calls lie within each other or apart, so those of one Function, in the order of their beginnings, are
    the boxes around it from the outside in.
    """
    modules: dict[int, Module] = {}
    around: dict[int, int] = {}
    innermost: dict[int, int] = {}
    for function, calls in within:
        modules |= calls
        chain = sorted(calls)
        for outer, inner in pairwise(chain):
            around[inner] = max(outer, around.get(inner, outer))
        if chain:
            innermost[id(function)] = chain[-1]
    place = {begun: index for index, begun in enumerate(sorted(modules))}
    paths = {
        id(module): {id(each): path for path, each in module.named_modules()}
        for module in {id(modules[begun]): modules[begun] for begun in around.values()}.values()
    }
    boxes: list[Box] = []
    for begun in place:
        module, parent = modules[begun], around.get(begun)
        path = "" if parent is None else paths[id(modules[parent])].get(id(module), "")
        boxes.append(Box(module, path, None if parent is None else place[parent]))
    return boxes, {function: place[begun] for function, begun in innermost.items()}


class _Tracer:
    """Numbers the Variables as the Functions meet them."""

    def __init__(self, made: list[_Made], boxes: list[Box], box_of: dict[int, int]) -> None:
        self.made, self.boxes, self.box_of = made, boxes, box_of
        self.variables: list[TracedVariable] = []
        self.numbers: dict[int, int] = {}
        self.used_in: dict[Operand, list[int | None]] = {}
        self.paths: dict[int, dict[Operand, str]] = {}

    def trace(self, root: Variable) -> Trace:
        """All of it."""
        operands = [operands_of(each.function) for each in self.made]
        for (function, _), known in zip(self.made, operands, strict=True):
            for _, operand in known:
                if isinstance(operand, Operand):
                    self.used_in.setdefault(operand, []).append(self.box_of.get(id(function)))
        functions = []
        for (function, results), known in zip(self.made, operands, strict=True):
            box = self.box_of.get(id(function))
            inputs = [self._operand(name, operand, box) for name, operand in known]
            outputs = [self._add(self._result(result, box), result) for result in results]
            functions.append(TracedFunction(function, inputs, outputs, box))
        if not functions:
            self._add(self._leaf(root), root)
        return Trace(self.variables, functions, self.boxes)

    def _add(self, traced: TracedVariable, key: object) -> int:
        """Its index, which is found again by the key's identity."""
        self.variables.append(traced)
        if key is not None:
            self.numbers[id(key)] = len(self.variables) - 1
        return len(self.variables) - 1

    def _operand(self, name: str, operand: Any, box: int | None) -> int:
        if isinstance(operand, (int, float)):
            return self._add(TracedVariable("constant", f"{operand:g}", (), None, box, None), None)
        if operand is None:
            return self._add(TracedVariable("constant", "", None, None, None, None), None)
        if id(operand) in self.numbers:
            return self.numbers[id(operand)]
        if isinstance(operand, Variable):
            return self._add(self._leaf(operand), operand)
        shape, dtype = operand.shape, str(operand.dtype)
        return self._add(TracedVariable("constant", name, shape, dtype, None, None), operand)

    def _result(self, variable: Variable, box: int | None) -> TracedVariable:
        shape, dtype = variable.shape, str(variable.dtype)
        return TracedVariable("result", variable.name or "", shape, dtype, box, variable)

    def _leaf(self, variable: Variable) -> TracedVariable:
        """What no Function here has made; a parameter stands in the box of its module."""
        box, path = self._home(variable)
        kind = "constant" if not variable.requires_grad else "leaf" if variable.is_leaf else "freed"
        name = path or variable.name or ""
        return TracedVariable(kind, name, variable.shape, str(variable.dtype), box, variable)

    def _home(self, variable: Variable) -> tuple[int | None, str]:
        """The innermost box around all its uses whose module has it as a parameter, and its path there.

        Where no box around all uses has it, its path in one of them.
        """
        path = ""
        chains = [self._around(box) for box in dict.fromkeys(self.used_in.get(variable, []))]
        for box in dict.fromkeys(box for chain in chains for box in chain):
            here = self._parameters(self.boxes[box].module).get(variable)
            if here is not None:
                if all(box in chain for chain in chains):
                    return box, here
                path = here
        return None, path

    def _around(self, box: int | None) -> list[int]:
        """The box and those around it, from the inside out."""
        chain: list[int] = []
        while box is not None:
            chain.append(box)
            box = self.boxes[box].parent
        return chain

    def _parameters(self, module: Module) -> dict[Operand, str]:
        if id(module) not in self.paths:
            self.paths[id(module)] = {each: path for path, each in module.named_parameters()}
        return self.paths[id(module)]
