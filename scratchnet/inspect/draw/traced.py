"""The graph behind a Variable, as plain lists."""

from __future__ import annotations

from typing import Any, NamedTuple

from backends.errors import kind_of
from scratchnet.core.function import Edge, Function
from scratchnet.core.modes import Scope
from scratchnet.core.sweep import functions_behind
from scratchnet.errors import GraphError, GraphFreedError, OperandError
from scratchnet.inspect.walk import calls_of, outward, paths_in
from scratchnet.inspect.words import operand_names
from scratchnet.layers import Module
from scratchnet.variable import Variable


class TracedVariable(NamedTuple):
    """An operand or a result.

    Attributes:
        kind: "leaf": not made by a Function, and needs a gradient; "result": made by a Function;
            "freed": a result whose Function an earlier backward pass has emptied; "constant": needs no
            gradient.
        name: a parameter's path in the module of its box; otherwise the Variable's name. For a constant,
            the Function's name for it, or the number itself. "" without a name.
        shape, dtype: for a number, the dtype is None.
        box: the index of the box around it; None outside of all boxes.
        variable: the Variable, if it still exists and is the root, a leaf, or a result that retains its
            gradient; otherwise None, because the graph holds no arrays.
    """

    kind: str
    name: str
    shape: tuple[int, ...]
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
    """Everything that a result was computed from.

    Attributes:
        variables: in the order in which the Functions met them. The last result is the root.
        functions: the oldest first, so operands come before their results.
        boxes: a box comes before those within it.
    """

    variables: list[TracedVariable]
    functions: list[TracedFunction]
    boxes: list[Box]


def traced(root: Any, asker: str) -> Trace:
    """Return the graph behind a Variable; for a leaf, the leaf alone. No array is read.

    Args:
        root: the Variable.
        asker: the name of the function that errors show.

    Raises:
        OperandError: root is not a Variable.
        GraphFreedError: a backward pass has freed its graph.
        GraphError: it was made without a graph.
    """
    _check(root, asker)
    return _Tracer(root).trace()


def _check(root: Any, asker: str) -> None:
    if not isinstance(root, Variable):
        raise OperandError(
            f"{asker}: {kind_of(root)} is not a Variable; give a result, such as the loss or net(x)"
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
    """Number the Variables as the Functions meet them, and the calls that made Functions."""

    def __init__(self, root: Variable) -> None:
        self.root, self.functions = root, functions_behind([root.edge], all_that_is_there=True)
        self.calls = calls_of(self.functions)
        self.box_of: dict[int | None, int | None] = {id(call): i for i, call in enumerate(self.calls)}
        self.variables: list[TracedVariable] = []
        self.numbers: dict[Edge, int] = {}
        self.used_in: dict[int, list[Scope]] = {}
        for function in self.functions:
            for edge in function.edges or ():
                self.used_in.setdefault(id(edge), []).append(function.scope)
        self.paths: dict[int, dict[int, str]] = {}

    def trace(self) -> Trace:
        """Return everything."""
        functions = []
        for function in self.functions:
            box = self.box_of.get(id(function.scope))
            inputs = [
                self._operand(edge, needed, name, box)
                for edge, needed, name in zip(
                    function.edges or (), function.needs_grad, operand_names(function), strict=True
                )
            ]
            outputs = [
                self._result(edge, box)
                for known, *_ in function.results if (edge := known()) is not None
            ]  # fmt: skip
            functions.append(TracedFunction(function, inputs, outputs, box))
        if not functions:
            self._leaf(self.root.edge, self.root.requires_grad, "")
        return Trace(self.variables, functions, [self._box(call) for call in self.calls])

    def _box(self, call: Scope) -> Box:
        path = self._path(call.module, call.around) if call.around else ""
        return Box(call.module, path, self.box_of.get(id(call.around)))

    def _operand(self, edge: Edge, needed: bool, name: str, box: int | None) -> int:
        if edge.dtype is None:  # a number
            return self._add(TracedVariable("constant", edge.name or "", (), None, box, None))
        if edge in self.numbers:
            return self.numbers[edge]
        if edge.creator is None and edge.receiver is not None:
            return self._leaf(edge, needed, name)
        kind = "freed" if edge.creator is not None else "constant"
        known = edge.name or ("" if edge.creator is not None else name)
        self.numbers[edge] = self._add(
            TracedVariable(kind, known, edge.shape, str(edge.dtype), None, self._root_at(edge))
        )
        return self.numbers[edge]

    def _leaf(self, edge: Edge, needed: bool, name: str) -> int:
        """Add a Variable that no Function made. A parameter stands in the box of its module."""
        variable = edge.variable
        home, path = (None, "") if variable is None else self._home(edge, variable)
        kind = "leaf" if needed else "constant"
        told = path or edge.name or ("" if needed else name)
        number = self._add(
            TracedVariable(kind, told, edge.shape, str(edge.dtype), self.box_of.get(id(home)), variable)
        )
        self.numbers[edge] = number
        return number

    def _result(self, edge: Edge, box: int | None) -> int:
        variable = edge.variable or self._root_at(edge)
        self.numbers[edge] = self._add(
            TracedVariable("result", edge.name or "", edge.shape, str(edge.dtype), box, variable)
        )
        return self.numbers[edge]

    def _root_at(self, edge: Edge) -> Variable | None:
        return self.root if self.root.edge is edge else None

    def _add(self, traced: TracedVariable) -> int:
        self.variables.append(traced)
        return len(self.variables) - 1

    def _home(self, edge: Edge, variable: Variable) -> tuple[Scope | None, str]:
        """Return the innermost call around all uses whose module has the parameter, and its path.

        If there is none, return its path in one of the calls.
        """
        path, uses = "", self.used_in.get(id(edge), [])
        chains = [{id(call) for call in outward(use)} for use in uses]
        for use in uses:
            for call in outward(use):
                here = self._path(variable, call)
                if here:
                    path = path or here
                    if all(id(call) in chain for chain in chains):
                        return call, here
        return None, path

    def _path(self, thing: Module | Variable, call: Scope) -> str:
        """Return its path in the called module; "" if it is not there."""
        module = call.module
        if id(module) not in self.paths:
            self.paths[id(module)] = paths_in([module])
        return self.paths[id(module)].get(id(thing), "")
