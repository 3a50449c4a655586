"""Write a picture as SVG text in one piece, for light and dark surroundings."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element, SubElement, tostring

from scratchnet.inspect.draw.layout import Layout, Point
from scratchnet.inspect.draw.picture import LABEL, LEADING, Edge, Frame, Node, Picture, around

_MARGIN = 14  # pixels around the picture
_HEAD = 7.5, 3.4  # the head of an edge: its length and half its width
_LABEL = 9, 15  # the start of a frame's label: to the right and down
_BELOW_BASELINE = 0.36  # of a line, in ems: half its leading, and how far letters reach down
_CLEAR = 5  # pixels between a frame and an edge along it
_SCOPE = "scratchnet-graph"
_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

# By class, the style in light and in dark surroundings. The light colors are attributes too,
# which remain if a page removes the style.
_COLOURS: dict[str, dict[str, tuple[str, str]]] = {
    "page": {"fill": ("#ffffff", "#0d1117")},
    "frame": {"fill": ("#6e7781", "#9198a1"), "stroke": ("#b6bdc6", "#4a525c")},
    "ground": {"fill": ("#e6e8eb", "#262c34"), "stroke": ("#b6bdc6", "#4a525c")},
    "label": {"fill": ("#4d5661", "#b3bcc6")},
    "edge": {"stroke": ("#6e7781", "#8b949e")},
    "head": {"fill": ("#6e7781", "#8b949e")},
    "leaf": {"fill": ("#ddebff", "#132d52"), "stroke": ("#2f6fc9", "#4f8fe6")},
    "result": {"fill": ("#ffffff", "#161b22"), "stroke": ("#818b98", "#7d8590")},
    "freed": {"fill": ("#ffffff", "#161b22"), "stroke": ("#b3431e", "#ff9a70")},
    "constant": {"fill": ("#ffffff", "#161b22"), "stroke": ("#818b98", "#7d8590")},
    "function": {"fill": ("#54459f", "#4b3f92"), "stroke": ("#54459f", "#9486e0")},
    "name": {"fill": ("#1f2328", "#f0f3f6")},
    "detail": {"fill": ("#4d5661", "#b3bcc6")},
    "grad": {"fill": ("#a33b14", "#ffa57d")},
    "on-function": {"fill": ("#ffffff", "#ffffff")},
}


def svg(picture: Picture, layout: Layout) -> str:
    """Return the SVG text. The same picture gives the same text. It fits itself to a narrower page."""
    width, height = (math.ceil(each) + 2 * _MARGIN for each in layout.size)
    root = Element(
        "svg", {"xmlns": "http://www.w3.org/2000/svg", "class": _SCOPE, "role": "img",
                "width": f"{width}", "height": f"{height}", "viewBox": f"0 0 {width} {height}",
                "style": "max-width: 100%; height: auto", "font-family": _FONT}
    )  # fmt: skip
    SubElement(root, "title").text = picture.title
    SubElement(root, "style").text = _dark_style()
    _painted(root, "rect", "page", width=width, height=height, rx=8)
    drawn = SubElement(root, "g", {"transform": f"translate({_MARGIN} {_MARGIN})"})
    frames = _frames(picture, layout)
    for frame, corners in zip(picture.frames, frames, strict=True):
        _draw_frame(_group(drawn, frame.label), *corners)
    for edge, points in zip(picture.edges, layout.edges, strict=True):
        tail, head = (picture.nodes[end].lines[0].text for end in (edge.tail, edge.head))
        into = f"{head}: {edge.operand}" if edge.operand else head
        _draw_edge(_group(drawn, f"{tail} → {into}"), edge, points)
    for frame, (corner, _) in zip(picture.frames, frames, strict=True):
        _draw_label(drawn, frame, corner)
    for node, centre in zip(picture.nodes, layout.nodes, strict=True):
        _draw_node(_group(drawn, node.tip), node, centre)
    return tostring(root, encoding="unicode")


def _frames(picture: Picture, layout: Layout) -> list[tuple[Point, Point]]:
    """Return the frames, clear of the edges next to them, and wide enough for the inner ones.

    Graphviz leads edges directly along the border, on one side or the other.
    """
    sides = [(corner[0] + _CLEAR, opposite[0] - _CLEAR) for corner, opposite in layout.frames]
    for edge, points in zip(picture.edges, layout.edges, strict=True):
        tail, head = (around(picture.nodes[end].frame, picture.frames) for end in (edge.tail, edge.head))
        xs = _xs(points)
        for each in set(tail).intersection(head):
            left, right = sides[each]
            sides[each] = min(left, min(xs) - _CLEAR), max(right, max(xs) + _CLEAR)
    return [
        ((left, corner[1]), (right, opposite[1]))
        for (left, right), (corner, opposite) in zip(sides, layout.frames, strict=True)
    ]


def _xs(points: list[Point]) -> list[float]:
    """Return points on an edge's Bézier curves, from left to right."""
    begin, *controls = (x for x, _ in points[:-1])
    xs = [begin]
    for a, b, end in zip(controls[::3], controls[1::3], controls[2::3], strict=True):
        for t in (0.2, 0.4, 0.6, 0.8, 1.0):
            u = 1 - t
            xs.append(u**3 * begin + 3 * u * u * t * a + 3 * u * t * t * b + t**3 * end)
        begin = end
    return xs


def _draw_frame(group: Element, corner: Point, opposite: Point) -> None:
    (x0, y0), (x1, y1) = corner, opposite
    box = _painted(group, "rect", "frame", x=x0, y=y0, width=x1 - x0, height=y1 - y0, rx=8)
    box.set("fill-opacity", "0.08")


def _draw_label(drawn: Element, frame: Frame, corner: Point) -> None:
    """Draw a label on its own background, because an edge may run behind it."""
    (x, y), (right, down) = corner, _LABEL
    _painted(drawn, "rect", "ground", x=x, y=y, width=frame.width + 2 * right, height=1.6 * down, rx=8)
    _painted(drawn, "text", "label", x=x + right, y=y + down, font_size=LABEL).text = frame.label


def _draw_edge(group: Element, edge: Edge, points: list[Point]) -> None:
    *curve, tip = points
    begin, *controls = (_at(point) for point in curve)
    path = _painted(group, "path", "edge", d=f"M{begin}C{' '.join(controls)}", stroke_width=1.3)
    path.set("fill", "none")
    if not edge.needs_grad:
        path.set("stroke-dasharray", "4 3")
    (x, y), (from_x, from_y) = tip, curve[-1]
    along = math.atan2(y - from_y, x - from_x)
    length, half = _HEAD
    back = x - length * math.cos(along), y - length * math.sin(along)
    aside = half * math.sin(along), -half * math.cos(along)
    corners = tip, (back[0] + aside[0], back[1] + aside[1]), (back[0] - aside[0], back[1] - aside[1])
    _painted(group, "polygon", "head", points=" ".join(map(_at, corners)))


def _draw_node(group: Element, node: Node, centre: Point) -> None:
    width, height = node.size
    left, top = centre[0] - width / 2, centre[1] - height / 2
    round_off = height / 2 if node.kind == "function" else 5
    box = _painted(group, "rect", node.kind, x=left, y=top, width=width, height=height, rx=round_off)
    box.set("stroke-width", "2.2" if node.is_root else "1.2")
    if node.kind in ("constant", "freed"):
        box.set("stroke-dasharray", "4 3")
    baseline = centre[1] - sum(line.size for line in node.lines) * LEADING / 2
    for line in node.lines:
        baseline += line.size * LEADING
        role = "on-function" if node.kind == "function" else line.role
        place = {"x": centre[0], "y": baseline - line.size * _BELOW_BASELINE}
        text = _painted(group, "text", role, **place, font_size=line.size, text_anchor="middle")
        if line.role == "name":
            text.set("font-weight", "600")
        text.text = line.text


def _group(parent: Element, title: str) -> Element:
    """Return a part of the drawing, with the text that the mouse pointer shows."""
    group = SubElement(parent, "g")
    SubElement(group, "title").text = title
    return group


def _painted(parent: Element, tag: str, kind: str, **attributes: str | float) -> Element:
    light = {what: colours[0] for what, colours in _COLOURS[kind].items()}
    written = {
        name.replace("_", "-"): value if isinstance(value, str) else _number(value)
        for name, value in attributes.items()
    }
    return SubElement(parent, tag, {"class": kind, **light, **written})


def _dark_style() -> str:
    """Return a style for this drawing alone: in an inline SVG, a style affects the whole page."""
    rules = (
        f".{_SCOPE} .{kind}{{{';'.join(f'{what}:{dark}' for what, (_, dark) in colours.items())}}}"
        for kind, colours in _COLOURS.items()
    )
    return f"@media (prefers-color-scheme: dark){{{''.join(rules)}}}"


def _at(point: Point) -> str:
    return f"{_number(point[0])},{_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
