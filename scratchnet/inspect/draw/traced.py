"""The graph behind a Variable, laid out as plain lists."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from backends.errors import kind_of
from scratchnet.core.function import Function, Operand
from scratchnet.errors import GraphError, GraphFreedError, OperandError
from scratchnet.inspect.operands import operands_of
from scratchnet.inspect.walk import Call, Node, outward, paths_in, walk
from scratchnet.layers import Module
from scratchnet.variable import Variable


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
    nodes, calls = walk([root])
    return _Tracer(nodes, calls).trace(root)


def _check(root: Any, asker: str) -> None:
    if not isinstance(root, Variable):
        raise OperandError(
            f"{asker}: {kind_of(root)} is no Variable; give a result, such as the loss or net(x)"
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


class _Tracer:
    """Numbers the Variables as the Functions meet them, and the calls that made Functions."""

    def __init__(self, nodes: list[Node], calls: list[Call]) -> None:
        self.nodes, self.operands = nodes, [operands_of(node.function) for node in nodes]
        filled = {call for node in nodes for call in outward(node.call)}
        self.calls = [call for call in calls if call in filled]
        self.box_of: dict[Call | None, int | None] = {call: i for i, call in enumerate(self.calls)}
        self.box_of[None] = None
        self.variables: list[TracedVariable] = []
        self.numbers: dict[int, int] = {}
        self.used_in: dict[int, set[Call | None]] = {}
        for node, known in zip(nodes, self.operands, strict=True):
            for _, operand in known:
                self.used_in.setdefault(id(operand), set()).add(node.call)
        self.paths: dict[int, dict[int, str]] = {}

    def trace(self, root: Variable) -> Trace:
        """All of it."""
        functions = []
        for node, known in zip(self.nodes, self.operands, strict=True):
            box = self.box_of[node.call]
            inputs = [self._operand(name, operand, box) for name, operand in known]
            outputs = [self._variable("result", result, "", box) for result in node.results]
            functions.append(TracedFunction(node.function, inputs, outputs, box))
        if not functions:
            self._leaf(root)
        return Trace(self.variables, functions, [self._box(call) for call in self.calls])

    def _box(self, call: Call) -> Box:
        path = self._path(call.module, call.around) if call.around else ""
        return Box(call.module, path, self.box_of[call.around])

    def _operand(self, name: str, operand: Any, box: int | None) -> int:
        if isinstance(operand, (int, float)):
            return self._add(TracedVariable("constant", f"{operand:g}", (), None, box, None))
        if operand is None:
            return self._add(TracedVariable("constant", "", None, None, None, None))
        if id(operand) not in self.numbers:
            if isinstance(operand, Variable):
                return self._leaf(operand)
            shape, dtype = operand.shape, str(operand.dtype)
            constant = TracedVariable("constant", name, shape, dtype, None, None)
            self.numbers[id(operand)] = self._add(constant)
        return self.numbers[id(operand)]

    def _leaf(self, variable: Variable) -> int:
        """What no Function here has made; a parameter stands in the box of its module."""
        home, path = self._home(variable)
        kind = "constant" if not variable.requires_grad else "leaf" if variable.is_leaf else "freed"
        return self._variable(kind, variable, path, self.box_of[home])

    def _variable(self, kind: str, operand: Operand, path: str, box: int | None) -> int:
        variable = cast("Variable", operand)
        name, dtype = path or variable.name or "", str(variable.dtype)
        number = self._add(TracedVariable(kind, name, variable.shape, dtype, box, variable))
        self.numbers[id(variable)] = number
        return number

    def _add(self, traced: TracedVariable) -> int:
        self.variables.append(traced)
        return len(self.variables) - 1

    def _home(self, variable: Variable) -> tuple[Call | None, str]:
        """The innermost call around all its uses whose module has it as a parameter, and its path there.

        Where no call around all uses has it, its path in one of them.
        """
        path, uses = "", self.used_in.get(id(variable), set())
        chains = [list(outward(call)) for call in uses]
        for call in sorted(set().union(*chains), key=lambda call: -call.begun):
            here = self._path(variable, call)
            if here:
                path = here
                if all(call in chain for chain in chains):
                    return call, here
        return None, path

    def _path(self, thing: Module | Variable, call: Call) -> str:
        """Of what the module called has; "" if it has it not."""
        module = call.module
        if id(module) not in self.paths:
            self.paths[id(module)] = paths_in([module])
        return self.paths[id(module)].get(id(thing), "")
