"""Write a picture as Graphviz DOT text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from scratchnet.inspect.draw.picture import DETAIL, LABEL, Edge, Frame, Node, Picture

_PIXELS_PER_INCH = 72  # Graphviz takes a node's size in inches, everything else in pixels
_COURIER = 0.6  # ems per character, in Graphviz's estimate of the width of a frame's label
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
_FRAME = 'style="rounded,filled", fillcolor="#6e77811a", color="#c4cbd3", labeljust=l, margin=14'


def dot(picture: Picture) -> str:
    """Write nodes `n0`, … of fixed sizes, edges with ids `e0`, …, and modules as `cluster_0`, …."""
    lines = [f"  {line}" for line in _HEAD]
    places = _places(picture)
    nodes: dict[int | None, list[str]] = {}
    for number, node in enumerate(picture.nodes):
        nodes.setdefault(node.frame, []).append(_node(number, node))
    for number, row in places.rows.items():
        same = "; ".join(f"n{each}" for each in row)
        nodes[picture.nodes[number].frame].append(f"{{ rank=same; {same} }}")
    lines += _clusters(picture.frames, nodes)
    for number, edge in enumerate(picture.edges):
        lines.append(f"  {_edge(number, edge, picture.nodes, places)}")
    return "\n".join(["digraph scratchnet {", *lines, "}", ""])


def _clusters(frames: list[Frame], nodes: dict[int | None, list[str]]) -> Iterator[str]:
    """Write the nodes outside of all frames, and each frame around its own nodes."""
    within: dict[int | None, list[int]] = {}
    for number, frame in enumerate(frames):
        within.setdefault(frame.parent, []).append(number)

    def lines(parent: int | None, indent: str) -> Iterator[str]:
        yield from (f"{indent}{line}" for line in nodes.get(parent, []))
        for number in within.get(parent, []):
            yield f"{indent}subgraph cluster_{number} {{"
            yield f"{indent}  {_frame(frames[number])}"
            yield from lines(number, f"{indent}  ")
            yield f"{indent}}}"

    return lines(None, "  ")


class _Places(NamedTuple):
    """The places around each Function.

    Attributes:
        rows: for each Function, itself and the nodes next to it, from left to right.
        right: the nodes to the right of a Function.
        straight: edges into Functions from the last result, or from a node that only this Function uses.
        crowded: Functions with a node of their own frame above them.
    """

    rows: dict[int, list[int]]
    right: set[int]
    straight: set[tuple[int, int]]
    crowded: set[int]


def _places(picture: Picture) -> _Places:
    """Place a Function's own parameters and constants next to it, and everything else above."""
    uses = Counter(edge.tail for edge in picture.edges)
    operands: dict[int, list[int]] = {}
    for edge in picture.edges:
        if picture.nodes[edge.head].kind == "function":
            operands.setdefault(edge.head, []).append(edge.tail)
    places = _Places({}, set(), set(), set())
    for function, tails in operands.items():
        frame = picture.nodes[function].frame
        kinds = ("constant",) if frame is None else ("constant", "leaf")
        own = [each for each in tails if uses[each] == 1 and picture.nodes[each].frame == frame]
        own = [each for each in own if picture.nodes[each].kind in kinds]
        beside = own[len(own) == len(tails) :][:2]  # at least one comes from above
        left = beside[: len(beside) == 2 or beside == tails[:1]]
        right = beside[len(left) :]
        if beside:
            places.rows[function] = [*left, function, *right]
        places.right.update(right)
        above = [each for each in tails if each not in beside]
        above = [each for each in above if picture.nodes[each].kind != "leaf"]
        main = max(above, key=lambda each: (picture.nodes[each].kind != "constant", each), default=None)
        places.straight.update((each, function) for each in above if each == main or uses[each] == 1)
        if len(own) > len(beside):
            places.crowded.add(function)
    return places


def _node(number: int, node: Node) -> str:
    width, height = (pixels / _PIXELS_PER_INCH for pixels in node.size)
    label = r"\n".join(_escaped(line.text) for line in node.lines)
    more = ", penwidth=2" * node.is_root + ', ordering="in"' * node.in_order
    return (
        f'n{number} [label="{label}", tooltip="{_escaped(node.tip)}", width={width:.3f}, '
        f"height={height:.3f}, {_STYLES[node.kind]}{more}];"
    )


def _edge(number: int, edge: Edge, nodes: list[Node], places: _Places) -> str:
    """Write an edge from the right from left to right, as Graphviz wants it within a row."""
    told = [f'id="e{number}"']
    if not edge.needs_grad:
        told.append("style=dashed")
    if edge.tail in places.right:
        return f"n{edge.head} -> n{edge.tail} [{', '.join([*told, 'dir=back'])}];"
    if nodes[edge.tail].kind == "function" or (edge.tail, edge.head) in places.straight:
        told.append("weight=8")
    if edge.enters and edge.head in places.crowded:
        told.append("minlen=2")  # from above, everything that is in the frame
    return f"n{edge.tail} -> n{edge.head} [{', '.join(told)}];"


def _frame(frame: Frame) -> str:
    size = max(LABEL, frame.width / _COURIER / len(frame.label))  # at which it is as wide as it is drawn
    return f'graph [label="{_escaped(frame.label)}", fontsize={size:.1f}, {_FRAME}];'


def _escaped(text: str) -> str:
    """Escape text for a quoted string of DOT, in which `&` begins an HTML entity."""
    return text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', r"\"")
