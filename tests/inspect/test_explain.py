"""`explain` shows what backward does, and changes nothing."""

import copy
import inspect
import random
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from arrays import host, variable

import backends
import scratchnet as sn
from backends import forbid_transfers, to_device, xp
from scratchnet import Variable
from scratchnet.inspect.gradient import Gradient

FUNCTIONS = {each for name in sn.__all__ if isinstance(each := getattr(sn, name), type)
             and issubclass(each, sn.Function)} - {sn.Function}  # fmt: skip


class Square(sn.Function):
    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, grad):
        return 2 * self.x * grad


class Fails(Square):
    def backward(self, grad):
        raise KeyError("midway")


def named(values, name):
    return variable(np.asarray(values, np.float32), name=name)


def test_the_example_of_the_readme_in_words(backend, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    a, b = named([1, 2, 3], "a"), named(2, "b")
    assert (
        str(sn.explain((a * b + a**2).sum()))
        == """\
L is 26, from Sum. The backward pass takes 4 steps to 2 leaves. In a formula
grad is ∂L/∂y, the gradient that arrived, y the Function's result, and the other
names are its operands, as its forward calls them.

1. Sum
   grad  ()  1
   operands  x is y of step 2
   ∂L/∂x = grad, the same for every element summed
      (3,)  [1. 1. 1.]  → step 2, Add

2. Add
   grad  (3,)  [1. 1. 1.]
   operands  a is y of step 4, b is y of step 3
   ∂L/∂a = grad
      (3,)  [1. 1. 1.]  → step 4, Mul
   ∂L/∂b = grad
      (3,)  [1. 1. 1.]  → step 3, Pow

3. Pow
   grad  (3,)  [1. 1. 1.]
   operands  base is 'a', exponent is 2
   ∂L/∂base = grad · exponent · base^(exponent − 1), 0 where exponent = 0
      (3,)  [2. 4. 6.]  → a
   exponent needs no gradient

4. Mul
   grad  (3,)  [1. 1. 1.]
   operands  a is 'a', b is 'b'
   ∂L/∂a = grad · b
      (3,)  [2. 2. 2.]  → a, added to what came from step 3
   ∂L/∂b = grad · a
      (3,) summed over axis 0, along which it was broadcast
      ()  6  → b

What the leaves get
   a  (3,)  [4. 6. 8.], the sum from steps 3 and 4
   b  ()  6"""
    )


def test_what_is_told_is_what_backward_gives(backend, rng):
    net = sn.Sequential(sn.Linear(6, 5, rng=0), sn.relu, sn.Linear(5, 3, rng=1))
    for each in net.parameters():
        each.data = each.data.astype(np.float64)  # sums of 30 terms: far within the tolerances below
    x = variable(rng.standard_normal((4, 6)), requires_grad=False)
    loss = sn.softmax_loss(net(x), to_device(np.arange(4) % 3))
    explanation = sn.explain(loss)
    loss.backward()
    assert [step.function for step in explanation.steps] == [
        "SoftmaxCrossEntropy", "Affine", "ReLU", "Affine",
    ]  # fmt: skip
    assert [step.module for step in explanation.steps] == ["", "2", "Sequential", "0"]
    assert {leaf.name: leaf.gradient.norm for leaf in explanation.leaves} == pytest.approx(
        {path: float(np.linalg.norm(host(each.grad))) for path, each in net.named_parameters()}
    )
    to_images, to_weight, to_bias = explanation.steps[-1].passed
    assert to_images.gradient is None
    assert (to_weight.target, to_weight.is_leaf, to_weight.gradient.values) == (
        "0.weight",
        True,
        None,
    )
    np.testing.assert_allclose(to_bias.gradient.values, host(net[0].bias.grad), rtol=1e-6)


def test_forks_and_broadcasts(backend):
    x, bias = named(np.ones((2, 3)), "x"), named([[1.0], [2.0]], "bias")
    h = x + bias
    explanation = sn.explain(h * h * 2)
    last = explanation.steps[-1]
    assert last.came_from == (2, 2)
    assert [each.operand for each in last.passed] == ["a", "b"]
    first, second = explanation.steps[1].passed
    assert (first.added_to, second.added_to) == ((), (2,))
    to_bias = last.passed[1]
    assert (to_bias.given, to_bias.summed, to_bias.gradient.shape) == ((2, 3), (1,), (2, 1))
    np.testing.assert_array_equal(to_bias.gradient.values, [[24], [36]])
    assert "L is the sum of Variable(2, 3)" in str(explanation)


def test_a_function_s_names_are_not_taken_for_those_of_variables(backend):
    a, b = named([1, 2], "b"), named(3, "a")
    (_, step) = sn.explain((a * b).sum()).steps
    assert step.operands == "a is 'b', b is 'a'"
    frozen = variable(np.float32([1, 2]), requires_grad=False, name="x")
    assert sn.explain((frozen * b).sum()).steps[1].operands == "a is 'x', b is 'a'"


def test_what_comes_twice_from_one_step_is_told_so(backend):
    v = named([1, 2], "v")
    text = str(sn.explain((v * v).sum()))
    assert "→ v, added to what came from this step" in text
    assert "[2. 4.], twice from step 2" in text
    assert "the sum from steps 3 and 4 (twice)" in str(sn.explain((v * v + v.exp()).sum()))


def test_threads_may_explain_one_graph(backend):
    v = named([1, 2], "v")
    loss = (v * v).sum()
    told = str(sn.explain(loss))
    with ThreadPoolExecutor(4, initializer=backends.use, initargs=(backend,)) as threads:
        assert set(threads.map(lambda _: str(sn.explain(loss)), range(40))) == {told}


def graph(ending):
    """A loss, and everything that `explain` could change."""
    w, v = named([1.0, 2.0], "w"), named([[3.0], [4.0]], "v")
    w.grad = xp.full_like(w.data, 7)
    h = w * v
    h.retain_grad()
    return ending()((h + w).tanh()).sum(), h, w, v


def test_backward_is_the_same_after_a_look(backend):
    loss, *variables = graph(Square)
    first, again = sn.explain(loss), sn.explain(loss)
    assert str(first) == str(again)
    assert [leaf.had_gradient for leaf in first.leaves] == [True, False]
    twin, *twins = graph(Square)
    for each in (loss, twin):
        each.backward()
    for each, other in zip(variables, twins, strict=True):
        np.testing.assert_array_equal(host(each.grad), host(other.grad))
    np.testing.assert_allclose(7 + first.leaves[0].gradient.values, host(twins[1].grad), rtol=1e-6)


@pytest.mark.parametrize("ending", [Square, Fails])
def test_it_leaves_no_trace(backend, ending):
    loss, h, w, v = graph(ending)
    held, attributes = w.grad, dict(vars(loss.creator))
    if ending is Fails:
        with pytest.raises(KeyError, match="midway"):
            sn.explain(loss)
    else:
        sn.explain(loss)
    assert w.grad is held
    np.testing.assert_array_equal(host(w.grad), [7, 7])
    assert (v.grad, h.grad) == (None, None)
    assert vars(loss.creator) == attributes


def test_a_generator_in_a_function_goes_on_as_if_nobody_had_looked(backend):
    class Noisy(Square):
        def __init__(self, rng):
            self.rng = rng

        def backward(self, grad):
            return grad * float(self.rng.random() + np.random.random() + random.random())

    rng = np.random.default_rng(3)
    np.random.seed(4)
    random.seed(5)
    x = named([1.0, 2.0], "x")
    loss = Noisy(rng)(x).sum()
    told = sn.explain(loss).leaves[0].gradient.values
    loss.backward()
    np.testing.assert_array_equal(host(x.grad), told)


def test_errors_are_those_of_backward(backend):
    x = named([1.0, 2.0], "x")
    loss = (x * x).sum()
    x.data = x.data + 1
    for _ in range(2):
        with pytest.raises(sn.StaleGraphError, match="'x' was changed"):
            sn.explain(loss)
    spent = (x * x).sum()
    spent.backward()
    for asked in (spent, spent * 2):
        with pytest.raises(sn.GraphFreedError, match=r"^explain: the graph behind"):
            sn.explain(asked)
    with pytest.raises(sn.GraphError, match=r"^explain: .* needs no gradient"):
        sn.explain(x.detach())
    with sn.no_grad(), pytest.raises(sn.GraphError, match=r"^explain: .* by a loader"):
        sn.explain(x * x)
    with pytest.raises(sn.OperandError, match="explain: an int is not a Variable"):
        sn.explain(3)
    Odd = type("Odd", (Square,), {"rule": 5})
    for look in (sn.explain, sn.draw):
        with pytest.raises(sn.SettingError, match=r"Odd\.rule is 5; it must be text"):
            look(Odd()(x).sum())
    loss = (x * x).sum()
    with forbid_transfers(), pytest.raises(backends.TransferError):
        sn.explain(loss)
    loss.backward()


def test_names_and_settings_as_they_can_be_shown(backend):
    x = named([[1.0, 2.0]], "<b>\nx")
    explanation = sn.explain(Square()(x).sum(axis=1) + Variable(1) + Variable(2))
    text, html = str(explanation), explanation._repr_html_()
    assert "\n   ∂L/∂x, by Square's backward\n" in text
    assert "Sum(axis=1)" in text
    assert {"leaf 1", "leaf 2", "<b> x"} == {leaf.name for leaf in explanation.leaves}
    assert "&lt;b&gt; x" in html
    assert "<b>" not in html


def test_an_index_of_arrays_is_no_setting_to_show(backend):
    logits = named(np.ones((2, 3)), "logits")
    explanation = sn.explain(logits[[0, 1], [0, 2]].sum())
    assert [step.settings for step in explanation.steps if step.function == "GetItem"] == [""]


def test_a_copy_of_a_result_is_told_apart(backend):
    x = named([1.0, 2.0], "x")
    y = x * 3
    explanation = sn.explain((y * copy.copy(y)).sum())
    assert [step.function for step in explanation.steps] == ["Sum", "Mul", "Mul"]  # one made both
    assert [step.came_from for step in explanation.steps] == [(), (1,), (2, 2)]
    np.testing.assert_array_equal(explanation.leaves[0].gradient.values, [18, 36])


def test_gradients_of_any_kind():
    large = np.arange(9.0)
    assert str(Gradient.of(large)) == "(9,)  norm 14.28, 0 … 8"
    large[3], large[4] = np.nan, np.inf
    assert str(Gradient.of(large)) == "(9,)  norm nan, nan … nan, 2 NaN or infinite"
    assert str(Gradient.of(np.full(9, 2e200))) == "(9,)  norm 6e+200, all 2e+200"
    assert str(Gradient.of(np.array([np.inf] + [1] * 8))) == "(9,)  norm inf, 1 … inf, 1 NaN or infinite"
    assert str(Gradient.of(np.zeros((0, 3)))) == "(0, 3)  []"
    assert str(Gradient.of(np.float32([np.nan, 0.25]))) == "(2,)  [nan 0.25]"


@pytest.mark.parametrize("columns", [40, 80])
def test_lines_fit(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    net = sn.Classifier(rng=0)
    x = variable(np.ones((256, 784), np.float32), requires_grad=False)
    text = str(sn.explain(sn.softmax_loss(net(x), [1] * 256)))
    assert max(map(len, text.splitlines())) <= columns


# The rules, as code: their values are those that backward returns.


@pytest.mark.parametrize("function", sorted(FUNCTIONS, key=lambda each: each.__name__))
def test_a_rule_names_the_operands_of_forward(function):
    operands = list(inspect.signature(function.forward).parameters)[1:]
    told = re.findall(r"∂L/∂(\w+) = \S", function.rule)
    assert told == [each for each in operands if each not in ("labels", "condition")]


def test_a_subclass_does_not_promise_what_its_base_does():
    assert sn.Mul.rule
    assert Fails.rule == type("Own", (sn.Mul,), {}).rule == ""


X, SQUARE = np.array([[0.5, 1.5, -2], [0, 3, 1]]), np.array([[1.0, 2], [3, -1]])
TIED, LABELS, BIAS = np.array([[1.0, 1, 0], [0, 2, 1]]), np.array([2, 0]), np.ones(2)
ALONG_ROWS = {"S": lambda array: array.sum(0)}
CASES = [
    (sn.Add(), (X, X + 2), {}),
    (sn.functions.Sub(), (X, X + 2), {}),
    (sn.Mul(), (X, X + 2), {}),
    (sn.functions.Div(), (X, X + 2.5), {}),
    (sn.functions.Neg(), (X,), {}),
    (sn.functions.Pow(), (abs(X) + 1, X), {}),
    (sn.functions.Exp(), (X,), {}),
    (sn.functions.Log(), (abs(X) + 1,), {}),
    (sn.functions.Tanh(), (X,), {}),
    (sn.functions.Sigmoid(), (X,), {}),
    (sn.Threshold(0.5), (X,), {}),
    (sn.functions.ReLU(), (X,), {}),
    (sn.functions.MatMul(), (SQUARE, X), {}),
    (sn.functions.Affine(), (X, X + 1, BIAS), ALONG_ROWS | {"δ": lambda grad, _: grad}),
    (
        sn.functions.Affine(relu=True),
        (X, X - 1, BIAS),
        ALONG_ROWS | {"δ": lambda grad, y: grad * (y > 0)},
    ),
    (sn.functions.Softmax(), (X,), {}),
    (sn.functions.LogSoftmax(), (X,), {}),
    (sn.functions.Sum(1, keepdims=True), (X,), {}),
    (sn.functions.Mean(1, keepdims=True), (X,), {"n": 3}),
    (sn.functions.Max(1, keepdims=True), (TIED,), {"ties": np.array([[2], [1]])}),
    (
        sn.functions.SoftmaxCrossEntropy(),
        (X, LABELS),
        {"n": 2, "one_hot": lambda labels: np.eye(3)[labels]},
    ),
]
SIGNS = {"·": "*", "−": "-", "^": "**", "²": "**2", "ᵀ": ".T", " = ": " == ", "Σ δ": "S(δ)", "Σ(": "S("}


@pytest.mark.parametrize(("function", "operands", "names"), CASES)
def test_a_rule_is_what_backward_does(function, operands, names):
    function = copy.copy(function)
    function.needs_grad = (True,) * len(operands)
    y = function.forward(*operands)
    grad = np.random.default_rng(0).standard_normal(y.shape)
    known = {"exp": np.exp, "log": np.log, "softmax": sn.softmax, "grad": grad, "y": y}
    known |= {"S": lambda array: array.sum(-1, keepdims=True)} | vars(function) | names
    known |= dict(zip(inspect.signature(function.forward).parameters, operands, strict=True))
    if "δ" in names:
        known["δ"] = names["δ"](grad, y)
    given = function.backward(grad, *function.kept)
    for formula, expected in zip(
        (part for part in function.rule.split("; ") if part.startswith("∂L/∂")),
        [each for each in (given if isinstance(given, tuple) else (given,)) if each is not None],
        strict=True,
    ):
        code = re.split(", | over ", formula.partition(" = ")[2])[0]
        for sign, python in SIGNS.items():
            code = code.replace(sign, python)
        value = eval(code, known)  # of this repository's own text
        np.testing.assert_allclose(np.broadcast_to(value, expected.shape), expected, atol=1e-12)
