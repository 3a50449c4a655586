"""A picture as Graphviz DOT text."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from scratchnet.show.picture import DETAIL, LABEL, Edge, Frame, Node, Picture

_PIXELS_PER_INCH = 72  # Graphviz takes a node's size in inches, and all else in pixels of this size
_COURIER = 0.6  # ems a character, in Graphviz's estimate of how wide a frame's label is
_HEAD = (
    'graph [nodesep=0.3, ranksep=0.35, fontname="Courier", bgcolor="#ffffff"];',
    f'node [shape=box, fixedsize=true, fontname="Courier", fontsize={DETAIL}];',
    'edge [color="#6e7781", arrowsize=0.7];',
)
_STYLES = {
    "leaf": 'style="rounded,filled", fillcolor="#ddebff", color="#2f6fc9"',
    "result": 'style="rounded,filled", fillcolor="#ffffff", color="#818b98"',
    "freed": 'style="rounded,filled,dashed", fillcolor="#ffffff", color="#b3431e"',
    "constant": 'style="rounded,filled,dashed", fillcolor="#ffffff", color="#818b98"',
    "function": 'style="rounded,filled", fillcolor="#54459f", color="#54459f", fontcolor="#ffffff"',
}
_FRAME = 'style="rounded,filled", fillcolor="#6e77811a", color="#c4cbd3", labeljust=l, margin=12'


def dot(picture: Picture) -> str:
    """Nodes `n0`, `n1`, … of fixed sizes, edges `e0`, `e1`, …, and clusters `cluster_0`, … for modules."""
    lines = [f"  {line}" for line in _HEAD]
    beside = _beside(picture)
    nodes: dict[int | None, list[str]] = {}
    for number, node in enumerate(picture.nodes):
        nodes.setdefault(node.frame, []).append(_node(number, node))
    for number, row in beside.rows.items():
        same = "; ".join(f"n{each}" for each in row)
        nodes[picture.nodes[number].frame].append(f"{{ rank=same; {same} }}")
    lines += [f"  {line}" for line in nodes.get(None, [])]
    lines += _clusters(picture.frames, nodes)
    for number, edge in enumerate(picture.edges):
        lines.append(f"  {_edge(number, edge, picture.nodes, beside)}")
    return "\n".join(["digraph {", *lines, "}", ""])


def _clusters(frames: list[Frame], nodes: dict[int | None, list[str]]) -> list[str]:
    within: dict[int | None, list[int]] = {}
    indents: list[str] = []
    for number, frame in enumerate(frames):
        within.setdefault(frame.parent, []).append(number)
        indents.append("  " if frame.parent is None else indents[frame.parent] + "  ")
    lines: list[str] = []
    ahead: list[int | str] = [*reversed(within.get(None, []))]
    while ahead:
        each = ahead.pop()
        if isinstance(each, str):
            lines.append(each)
            continue
        indent = indents[each]
        lines.append(f"{indent}subgraph cluster_{each} {{")
        lines.append(f"{indent}  {_frame(frames[each])}")
        lines += [f"{indent}  {line}" for line in nodes.get(each, [])]
        ahead += [f"{indent}}}", *reversed(within.get(each, []))]
    return lines


class _Beside(NamedTuple):
    """The rows of a Function and what stands beside it, from left to right, and who stands on the right."""

    rows: dict[int, list[int]]
    right: set[int]
    crowded: set[int]
    """Functions that have something of their own frame above them."""


def _beside(picture: Picture) -> _Beside:
    """Parameters and constants of one Function alone stand beside it, and what is computed runs down."""

    def stands_aside(number: int, frame: int | None) -> bool:
        node = picture.nodes[number]
        kinds = ("constant",) if frame is None else ("constant", "leaf")
        return node.kind in kinds and node.frame == frame and uses[number] == 1

    uses = Counter(edge.tail for edge in picture.edges)
    above: dict[int, list[int]] = {}
    for edge in picture.edges:
        if picture.nodes[edge.head].kind == "function":
            above.setdefault(edge.head, []).append(edge.tail)
    found = _Beside({}, set(), set())
    for number, operands in above.items():
        frame = picture.nodes[number].frame
        own = [each for each in operands if stands_aside(each, frame)]
        if len(own) == len(operands):
            own = own[1:]  # one must come from above
        own, crowd = own[:2], own[2:]
        if crowd:
            found.crowded.add(number)
        if own:
            left = own[:1] if len(own) == 2 or own[0] == operands[0] else []
            right = own[len(left) :]
            found.rows[number] = [*left, number, *right]
            found.right.update(right)
    return found


def _node(number: int, node: Node) -> str:
    width, height = (pixels / _PIXELS_PER_INCH for pixels in node.size)
    label = r"\n".join(_escaped(line.text) for line in node.lines)
    more = ", penwidth=2" * node.is_root + ', ordering="in"' * node.in_order
    return (
        f'n{number} [label="{label}", tooltip="{_escaped(node.tip)}", width={width:.3f}, '
        f"height={height:.3f}, {_STYLES[node.kind]}{more}];"
    )


def _edge(number: int, edge: Edge, nodes: list[Node], beside: _Beside) -> str:
    """An edge from the right is written from left to right, as Graphviz wants it within a row."""
    told = [f'id="e{number}"']
    if not edge.needs_grad:
        told.append("style=dashed")
    if edge.tail in beside.right:
        return f"n{edge.head} -> n{edge.tail} [{', '.join([*told, 'dir=back'])}];"
    if nodes[edge.tail].kind != "leaf":
        told.append("weight=8")  # what is computed runs straight
    if edge.enters and edge.head in beside.crowded:
        told.append("minlen=2")  # from above all that is in the frame
    return f"n{edge.tail} -> n{edge.head} [{', '.join(told)}];"


def _frame(frame: Frame) -> str:
    size = max(LABEL, frame.width / _COURIER / len(frame.label))  # at which it is as wide as it is drawn
    return f'graph [label="{_escaped(frame.label)}", fontsize={size:.1f}, {_FRAME}];'


def _escaped(text: str) -> str:
    """For a quoted string of DOT, in which `&` begins an entity of HTML."""
    return text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', r"\"")
