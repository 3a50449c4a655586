"""The text on each node of a picture, and the room that it takes."""

from __future__ import annotations

from typing import NamedTuple
from unicodedata import east_asian_width

from backends import Array, check, to_host, xp
from scratchnet.core.function import array_of
from scratchnet.functions import Add, Mul
from scratchnet.inspect.draw.traced import Box, Trace, TracedFunction, TracedVariable
from scratchnet.inspect.gradient import norm
from scratchnet.inspect.words import clean, formulas, operand_names, settings_of
from scratchnet.variable import Variable

NAME, DETAIL, LABEL = 13, 11, 12
"""Font sizes in pixels."""
LEADING = 1.35
_MOST_CHARACTERS = 44
_ASCII, _WIDE, _OTHER = 0.63, 1.25, 1.0  # ems per character, at most, in the usual monospaced fonts
_AROUND = 26, 14  # pixels of a node without text: left and right together, above and below


class Line(NamedTuple):
    """A line of text. Its role is "name", "detail" or "grad"."""

    text: str
    role: str

    @property
    def size(self) -> int:
        """The font size in pixels."""
        return NAME if self.role == "name" else DETAIL


class Node(NamedTuple):
    """A Variable or a Function.

    Attributes:
        kind: "function", or a Variable's kind, see `TracedVariable`.
        lines: the text on it.
        tip: the text under the mouse pointer.
        frame: the frame around it.
        is_root: whether the picture is of this Variable.
        in_order: whether the order of its operands matters.
    """

    kind: str
    lines: list[Line]
    tip: str
    frame: int | None
    is_root: bool = False
    in_order: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, with spare room, because the font is not known."""
        widest = max(width(line.text, line.size) for line in self.lines)
        height = sum(line.size * LEADING for line in self.lines)
        return round(widest) + _AROUND[0], round(height) + _AROUND[1]


class Edge(NamedTuple):
    """An edge from one node to another.

    Attributes:
        operand: the Function's name for an operand; "" for a result, or an operand without a name.
        needs_grad: whether a gradient flows back along it.
        enters: whether it enters a frame.
    """

    tail: int
    head: int
    operand: str
    needs_grad: bool
    enters: bool


class Frame(NamedTuple):
    """A module's call: its label, and the frame around it."""

    label: str
    parent: int | None

    @property
    def width(self) -> float:
        """The label's width in pixels, with spare room."""
        return width(self.label, LABEL)


class Picture(NamedTuple):
    """Text and numbers only: it holds no array, and no part of the graph."""

    nodes: list[Node]
    edges: list[Edge]
    frames: list[Frame]
    title: str


def picture(trace: Trace, root: Variable) -> Picture:
    """Return what there is to draw. Values of scalars and norms of gradients go to the host."""
    nodes = [_variable(each, each.variable is root) for each in trace.variables]
    frames = [_frame(box) for box in trace.boxes]
    edges = []
    for each in trace.functions:
        place = len(nodes)
        nodes.append(_function(each))
        for operand, name in zip(each.operands, operand_names(each.function), strict=False):
            traced = trace.variables[operand]
            enters = each.box is not None and each.box not in around(traced.box, frames)
            edges.append(Edge(operand, place, name, traced.kind != "constant", enters))
        edges += [Edge(place, result, "", True, False) for result in each.results]
    variables, functions = len(trace.variables), len(trace.functions)
    title = (
        f"The graph behind {clean(root.label())}: {variables} Variable{'s' * (variables != 1)}, "
        f"{functions} Function{'s' * (functions != 1)}"
    )
    return Picture(nodes, edges, frames, title)


def around(frame: int | None, frames: list[Frame]) -> list[int]:
    """Yield the frame and those around it, from the inside out."""
    found: list[int] = []
    while frame is not None:
        found.append(frame)
        frame = frames[frame].parent
    return found


def width(text: str, size: float) -> float:
    """Return the largest width of a text in pixels, in the usual monospaced fonts."""
    ems = (_ASCII if c.isascii() else _WIDE if east_asian_width(c) in "WF" else _OTHER for c in text)
    return size * sum(ems)


def _short(text: str) -> str:
    text = clean(text)
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"


def _variable(traced: TracedVariable, is_root: bool) -> Node:
    variable, facts = traced.variable, []
    if traced.dtype is not None:
        facts.append(Line(f"{traced.shape} {traced.dtype}", "detail"))
    if variable is not None and variable.shape == ():
        check("draw", "a Variable's array", variable.data)
        facts.append(Line(f"= {_number(variable.data)}", "detail"))
    if traced.kind == "freed":
        facts.append(Line("its graph is freed", "grad"))
    if traced.kind == "constant" and traced.dtype is not None:
        facts.append(Line("needs no gradient", "detail"))
    if variable is not None and variable.grad is not None:
        facts.append(Line(_gradient(array_of(variable.grad)), "grad"))
    name = clean(traced.name)
    tip = ", ".join(part for part in (name, *(fact.text for fact in facts)) if part)
    lines = [Line(_short(name), "name"), *facts] if name else facts
    return Node(traced.kind, lines, tip, traced.box, is_root)


def _gradient(grad: Array) -> str:
    """Return a scalar gradient itself, or the Euclidean norm, computed where the gradient lies."""
    check("draw", "a gradient", grad)
    if grad.shape == ():
        return f"grad = {_number(grad)}"
    return f"‖grad‖ = {_number(norm(grad, xp))}"


def _number(array: Array) -> str:
    return f"{to_host(array).item():.4g}"


def _function(traced: TracedFunction) -> Node:
    function, name = traced.function, type(traced.function).__name__
    lines = [Line(_short(name), "name")]
    if told := settings_of(function):
        lines.append(Line(_short(told), "detail"))
    summary = (type(function).__doc__ or "").strip().partition("\n")[0]
    tip = "\n".join(map(clean, (f"{name}: {summary}", *formulas(function))))
    return Node("function", lines, tip, traced.box, in_order=not isinstance(function, (Add, Mul)))


def _frame(box: Box) -> Frame:
    kind = type(box.module).__name__
    return Frame(_short(f"{box.path}: {kind}" if box.path else kind), box.parent)
