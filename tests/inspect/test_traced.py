"""The graph behind a result as lists: which call of a module made what, and what each operand was."""

import copy

import numpy as np
import pytest
from arrays import variable

import scratchnet as sn
from backends import to_device
from scratchnet.inspect.draw.traced import traced
from scratchnet.inspect.summary.count import variables_in


def shown(root):
    """Return each Function with the modules around it, from the outside in, and its operands' names."""
    trace = traced(root, "test")
    lines = []
    for function, operands, _, box in trace.functions:
        around = []
        while box is not None:
            around.insert(0, trace.boxes[box].path or type(trace.boxes[box].module).__name__)
            box = trace.boxes[box].parent
        names = [trace.variables[each].name for each in operands]
        lines.append((" > ".join(around), type(function).__name__, names))
    return lines


class Split(sn.Module):
    """Two results of one Function, and one result of each."""

    def forward(self, x):
        h = x * 2.0
        return h + 1.0, h - 1.0


class Same(sn.Module):
    def forward(self, x):
        return x


class Gain(sn.Module):
    def __init__(self, inner):
        self.inner, self.gain = inner, sn.Variable(2.0)

    def forward(self, x):
        return self.inner(x) * self.gain


class Aside(sn.Module):
    """Its forward makes a part of the graph that does not lead to its result."""

    def forward(self, x):
        self.aside = (x * 3.0).sum()
        return x.exp()


class Both(sn.Module):
    def __init__(self):
        self.inner = Aside()

    def forward(self, x):
        return self.inner(x) + self.inner.aside


def test_a_function_belongs_to_the_calls_in_which_it_was_applied(backend, rng):
    x = variable(rng.standard_normal((2, 3)), name="x")
    net = sn.Sequential(Gain(sn.Linear(3, 3, 0)), sn.tanh)
    assert shown((x + 1.0) >> net >> sn.exp) == [
        ("", "Add", ["x", "1"]),
        ("Sequential > 0 > inner", "Affine", ["", "weight", "bias"]),
        ("Sequential > 0", "Mul", ["", "gain"]),
        ("Sequential", "Tanh", [""]),
        ("", "Exp", [""]),
    ]


def test_a_function_belongs_to_the_innermost_call_whoever_shows_it(backend):
    net, x = Both(), variable(np.ones((2, 3), np.float32), name="x")
    y = net(x)
    belongs = {"Mul": "inner", "Sum": "inner", "Exp": "inner", "Add": "Both"}
    assert {function: box.split(" > ")[-1] for box, function, _ in shown(y)} == belongs
    assert {step.function: step.module for step in sn.explain(y).steps} == belongs
    rows = {(row.path, row.kind) for row in sn.summary(net, (2, 3)).rows}
    assert rows == {("inner", "Aside"), ("", "Add")}


def test_a_module_called_twice_has_two_boxes_and_its_parameters_stand_in_the_one_around_both():
    linear = sn.Linear(2, 2, 0)
    twice = sn.Sequential(linear, linear)
    trace = traced(twice(sn.Variable([[1, 2]])), "test")
    assert [box.parent for box in trace.boxes] == [None, 0, 0]
    assert [each.box for each in trace.functions] == [1, 2]
    parameters = {each.name: each.box for each in trace.variables if each.kind == "leaf" and each.name}
    assert parameters == {"0.weight": 0, "0.bias": 0}
    apart = traced(linear(linear(sn.Variable([[1, 2]]))), "test")
    assert {each.box for each in apart.variables if each.name in ("weight", "bias")} == {None}


def test_a_module_that_gives_its_input_back_takes_nothing_in():
    x = sn.Variable([1, 2], name="x")
    assert shown(Same()(x * 2.0)) == [("", "Mul", ["x", "2"])]
    assert shown(sn.Sequential(Same(), sn.exp, Same())(x * 2.0)) == [
        ("", "Mul", ["x", "2"]),
        ("Sequential", "Exp", [""]),
    ]


def test_a_module_with_two_results_is_one_box():
    more, less = Split()(sn.Variable([1, 2], name="x"))
    trace = traced(more * less, "test")
    assert [type(each.function).__name__ for each in trace.functions] == ["Mul", "Add", "Sub", "Mul"]
    assert [each.box for each in trace.functions] == [0, 0, 0, None]
    assert len(trace.boxes) == 1
    assert shown(less)[-1] == ("Split", "Sub", ["", "1"])  # what led to one of them exists


@pytest.mark.parametrize("give", [
    lambda a, b: {"a": a, "b": [b]},
    lambda a, b: (a, {"k": b}),
    lambda a, b: [a, (b, a)],
])  # fmt: skip
def test_results_within_tuples_lists_and_dicts_are_a_module_s_too(backend, give):
    class Heads(sn.Module):
        def __init__(self):
            self.one, self.two = sn.Linear(3, 2, 0), sn.Linear(3, 2, 1)

        def forward(self, x):
            return give(self.one(x), self.two(x))

    a, b = variables_in(Heads()(variable(np.ones((4, 3)))))
    assert [box for box, *_ in shown(a + b)] == ["Heads > one", "Heads > two", ""]
    counted = sn.summary(Heads(), (4, 3))
    assert ([row.path for row in counted.rows], counted.unused) == (["one", "two"], ())


def test_what_needs_no_gradient_is_shown_as_far_as_it_is_known(backend, rng):
    images = variable(rng.standard_normal((4, 3)).astype(np.float32), requires_grad=False, name="images")
    net = sn.Linear(3, 2, 0)
    net.bias.requires_grad = False
    loss = sn.softmax_loss(net(images), [0, 1, 1, 0]) * 2.0 + variable(
        np.float32(1), requires_grad=False
    )
    constants = [each for each in traced(loss, "test").variables if each.kind == "constant"]
    assert [(each.name, each.shape, each.dtype) for each in constants] == [
        ("images", (4, 3), "float32"),
        ("bias", (2,), "float32"),
        ("labels", (4,), "int64"),
        ("2", (), None),
        ("b", (), "float32"),
    ]
    data = to_device(np.zeros((4, 3), np.float32)), to_device(np.zeros(4, int))
    batch, _ = next(iter(sn.ArrayDataLoader(*data, batch_size=4)))
    assert [each.name for each in traced(net(batch), "test").variables][:2] == ["x", "weight"]


def test_one_variable_is_one_leaf_and_each_use_of_an_array_a_constant():
    x, a = np.ones(3, np.float32), sn.Variable([1, 2, 3], name="a")
    trace = traced(a * x + x * a, "test")
    assert [each.kind for each in trace.variables] == [
        "leaf", "constant", "result", "constant", "result", "result",
    ]  # fmt: skip


def test_operands_stand_before_what_is_made_of_them_and_the_root_is_last(rng):
    a = sn.Variable([1, 2], name="a")
    b = a * a
    trace = traced((b + b.exp()) * b, "test")
    known = {0}
    for _, operands, results, _ in trace.functions:
        assert known.issuperset(operands)
        known.update(results)
    assert trace.functions[-1].results == [len(trace.variables) - 1]


def test_a_copied_result_is_the_same_place():
    x = sn.Variable([1, 2], name="x")
    y = sn.Linear(2, 1, 0)(x.reshape(1, 2))
    trace = traced(y * copy.copy(y), "test")
    assert [len(each.results) for each in trace.functions] == [1, 1, 1]


def test_a_leaf_is_alone():
    (alone,) = traced(sn.Variable([1, 2], name="a"), "test").variables
    assert (alone.kind, alone.name, alone.shape) == ("leaf", "a", (2,))


def test_where_there_is_no_graph_the_error_names_the_fix(rng):
    loss = sn.Linear(2, 1, 0)(sn.Variable([[1, 2]])).sum()
    loss.backward()
    with pytest.raises(sn.GraphFreedError, match=r"^draw: the graph behind .* gone.* retain_graph=True"):
        sn.draw(loss)
    with sn.no_grad():
        made = sn.Variable([1, 2]) * 2.0
    with pytest.raises(sn.GraphError, match=r"^draw: there is no graph behind Variable\(2,\).* no_grad"):
        sn.draw(made)
    for other, kind in [(sn.Linear(2, 1, 0), "a Linear"), (np.ones(2), "an ndarray"), (3, "an int")]:
        with pytest.raises(sn.OperandError, match=f"^draw: {kind} is not a Variable"):
            sn.draw(other)


def test_a_part_whose_graph_is_freed_is_named_so():
    shared = sn.Variable([1, 2]) * 2.0
    other = shared.exp()
    shared.sum().backward()
    assert [each.kind for each in traced(other, "test").variables] == ["freed", "result"]


def test_a_graph_of_many_functions_is_walked_without_recursion():
    v = sn.Variable(1.0)
    for _ in range(20_000):
        v = v * v
    assert len(traced(v, "test").functions) == 20_000
