"""`summary` counts the work of a step, and changes nothing."""

import random
import re
import threading
import tracemalloc

import numpy as np
import pytest
from arrays import host, variable

import scratchnet as sn
from scratchnet import Variable
from scratchnet.inspect.summary.table import Row, Summary

N, IN, HIDDEN, OUT = 256, 784, 100, 10


class Square(sn.Function):
    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, grad):
        return 2 * self.x * grad


class Noisy(sn.Module):
    """Like dropout and batch normalization: it draws, counts, keeps a mean, and reads the mode."""

    def __init__(self):
        self.rng, self.calls, self.mean, self.seen = np.random.default_rng(5), 0, np.zeros(4), []

    def forward(self, x):
        self.calls += 1
        self.mean += 1
        self.seen.append(x.shape)
        if self.training:
            return x * float(self.rng.random() + np.random.random() + random.random())
        return x


def test_the_recipe_against_a_count_by_hand(backend):
    counted = sn.summary(sn.Classifier(rng=0), (N, IN), sn.softmax_loss)
    first, second = 2 * N * IN * HIDDEN, 2 * N * HIDDEN * OUT
    hidden, logits = N * HIDDEN, N * OUT
    assert [(row.path, row.kind, row.outputs, row.parameters) for row in counted.rows] == [
        ("fc1", "Linear", ((N, HIDDEN),), 78_500),
        ("fc2", "Linear", ((N, OUT),), 1_010),
        ("", "SoftmaxCrossEntropy", ((),), 0),
    ]
    assert [row.forward for row in counted.rows] == [
        first + 2 * hidden, second + logits, 6 * logits,
    ]  # fmt: skip
    assert [row.backward for row in counted.rows] == [
        first + hidden + 2 * hidden, 2 * second + logits, 0,
    ]  # fmt: skip
    products = 2 * first + 3 * second
    assert products < counted.flops < 1.01 * products
    assert (counted.parameters, counted.trainable, counted.frozen) == (79_510, 79_510, 0)
    assert counted.parameter_bytes == counted.gradient_bytes == 4 * 79_510
    assert counted.input_bytes == 4 * N * IN + 8 * N
    assert counted.kept_bytes == 4 * (hidden + 2 * logits)  # of the loss: the logits, and its gradient
    assert counted.bytes == 8 * 79_510 + counted.input_bytes + counted.kept_bytes


@pytest.mark.parametrize("make", [
    lambda: sn.Classifier(rng=0),
    lambda: sn.Sequential(sn.Linear(IN, 50, 0), sn.tanh, sn.Linear(50, 20, 1), sn.sigmoid, sn.softmax),
])  # fmt: skip
def test_kept_bytes_are_those_that_are_allocated(make):
    net, x = make(), variable(np.zeros((N, IN), np.float32), requires_grad=False)
    net(x)  # so that everything which is made once exists
    tracemalloc.start()
    try:
        output = net(x).edge
        allocated = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert output.shape[0] == N
    assert sn.summary(net, (N, IN)).kept_bytes == pytest.approx(allocated, rel=0.05)


def test_functions_between_layers_are_rows(backend):
    class Residual(sn.Module):
        def __init__(self):
            self.inner, self.same, self.scale = sn.Linear(4, 4, 0), Same(), Variable([1, 2, 3, 4])
            self.spare = Variable([1, 2])

        def forward(self, x):
            return self.same(self.inner(x)).tanh() * self.scale + Square()(x)

    class Same(sn.Module):
        def forward(self, x):
            return x

    counted = sn.summary(sn.Sequential(Residual(), sn.Linear(4, 2, 1)), (3, 4))
    assert [(row.path, row.kind) for row in counted.rows] == [
        ("0.inner", "Linear"),
        ("0.same", "Same"),
        ("0", "Tanh"),
        ("0", "Mul"),
        ("0", "Square"),
        ("0", "Add"),
        ("1", "Linear"),
    ]
    assert [row.parameters for row in counted.rows] == [20, 0, 0, 4, 0, 0, 10]
    multiplied = counted.rows[3]
    assert (multiplied.forward, multiplied.backward) == (12, 12 + 12 + 12)  # summed down to scale
    assert (counted.unknown, counted.rows[4].unknown) == (("Square",), ("Square",))
    assert counted.unused == ("0.spare",)
    text = str(counted)
    assert "at least" in text
    assert "the FLOPs of Square" in text
    assert "not met" in text


def test_a_module_that_calls_one_that_does_nothing_is_no_row(backend):
    class Same(sn.Module):
        def forward(self, x):
            return x

    class First(sn.Module):
        def __init__(self):
            self.same, self.both = Same(), sn.Sequential(Same(), Same())

        def forward(self, x):
            return self.both(self.same(x)).exp()

    counted = sn.summary(sn.Sequential(Same(), sn.tanh, First(), Same()), (3, 4))
    assert [(row.path, row.kind) for row in counted.rows] == [
        ("0", "Same"),
        ("", "Tanh"),
        ("2.same", "Same"),
        ("2.both.0", "Same"),
        ("2.both.1", "Same"),
        ("2", "Exp"),
        ("3", "Same"),
    ]
    (alone,) = sn.summary(sn.Sequential(), (3, 4)).rows
    assert (alone.kind, alone.outputs, alone.forward, alone.kept) == ("Sequential", ((3, 4),), 0, 0)


def test_what_is_used_twice_counts_once_and_forks_are_added(backend):
    shared = sn.Linear(4, 4, 0)
    counted = sn.summary(sn.Sequential(shared, shared), (8, 4))
    first, second = counted.rows
    product = 2 * 8 * 4 * 4
    assert (counted.parameters, first.parameters, second.parameters) == (20, 20, 0)
    assert first.path == second.path == "0"
    assert second.backward == 2 * product + 32
    assert first.backward == product + 32 + 16 + 4  # to weight and bias, where others came before


def test_a_view_keeps_nothing_of_its_own(backend):
    class Plain(sn.Module):
        def __init__(self):
            self.weight = Variable([[1, 2, 3, 4]] * 5)

        def forward(self, x):
            return (x @ self.weight.T).reshape(10)[2:7].exp()

    assert [row.kept for row in sn.summary(Plain(), (2, 4)).rows] == [4 * 5]


def test_frozen_layers_cost_no_backward(backend):
    net = sn.Sequential(sn.Linear(4, 5, 0), sn.relu, sn.Linear(5, 2, 1))
    for each in net[0].parameters():
        each.requires_grad = False
    counted = sn.summary(net, (3, 4))
    assert [row.backward for row in counted.rows] == [0, 0, 2 * 3 * 5 * 2 + 6]
    assert [row.kept for row in counted.rows] == [0, 0, 4 * 3 * 5]  # the input of its product
    assert (counted.parameters, counted.frozen) == (37, 25)
    assert counted.gradient_bytes == 4 * 12
    assert "25 (25 frozen)" in str(counted)
    assert [each.requires_grad for each in net.parameters()] == [False, False, True, True]


def test_it_leaves_no_trace(backend):
    net = sn.Sequential(sn.Linear(4, 4, 0), Noisy(), sn.relu).eval()
    parameter, noisy = net[0].weight, net[1]
    parameter.grad = parameter.data * 2
    held, former = parameter.grad, host(parameter).copy()
    np.random.seed(1)
    random.seed(2)

    def loss(output, _):
        return (output * 0.5).sum()

    with sn.no_grad():
        counted = sn.summary(net, (2, 4), loss)
        assert (parameter * 2).creator is None
    assert [row.kind for row in counted.rows] == ["Linear", "Noisy", "ReLU", "Mul", "Sum"]
    assert counted.rows[1].forward == 8  # in training mode
    assert parameter.grad is held
    np.testing.assert_array_equal(host(parameter), former)
    assert (noisy.calls, noisy.seen, noisy.mean.sum()) == (0, [], 0)
    assert not any(module.training for module in net.modules())
    drawn = [rng.random() for rng in (noisy.rng, np.random, random)]
    again = [
        np.random.default_rng(5),
        np.random.RandomState(1),
        random.Random(2),
    ]
    assert drawn == [rng.random() for rng in again]


def test_a_network_that_fails_leaves_no_trace_either(backend):
    class Shared(sn.Module):
        layer = sn.Linear(3, 3, 0).eval()  # of the class, so that a copy of the module has it too

        def forward(self, x):
            raise KeyError(np.random.random())

    Shared.layer.weight.requires_grad = False
    np.random.seed(1)
    with pytest.raises(KeyError):
        sn.summary(Shared(), (2, 3))
    assert np.random.random() == np.random.RandomState(1).random()
    assert (Shared.layer.training, Shared.layer.weight.requires_grad) == (False, False)


def test_errors_say_what_to_do(backend):
    net = sn.Linear(4, 2, 0)
    with pytest.raises(sn.ShapeError, match=r"expects \(..., 4\)"):
        sn.summary(net, (4, 3))
    for wrong in ((), (-1, 4), (0, 4), (2.0, 4), (True, 4), 4, "24", [[2, 4]]):
        with pytest.raises(sn.SettingError, match=r"the batch first, such as \(256, 784\)"):
            sn.summary(net, wrong)
    with pytest.raises(sn.OperandError, match="function is no module"):
        sn.summary(sn.relu, (2, 4))
    with pytest.raises(sn.OperandError, match="summary: an int is no module"):
        sn.summary(3, (2, 4))
    assert sn.summary(net, np.array([2, 4])).input_shape == (2, 4)
    net.lock = threading.Lock()
    with pytest.raises(sn.OperandError, match="Linear cannot be copied"):
        sn.summary(net, (2, 4))

    class Told(sn.Module):
        def forward(self, x):
            return "no Variable"

    with pytest.raises(sn.OperandError, match="Told gave a str, no Variable"):
        sn.summary(Told(), (2, 4))


def test_a_network_that_takes_integers(backend):
    net = sn.Embedding(50, 8) >> sn.Linear(8, 50)
    counted = sn.summary(net, (4, 6), sn.softmax_loss, dtype="int64")
    assert [row.outputs[0] for row in counted.rows] == [(4, 6, 8), (4, 6, 50), ()]
    assert (counted.rows[0].forward, counted.rows[0].backward) == (0, 4 * 6 * 8)
    assert counted.rows[0].kept == 0  # except the input
    assert counted.input_bytes == 2 * 8 * 4 * 6
    line = "embedding: indices has dtype float32; .* on zeros of dtype float32, and its argument dtype"
    with pytest.raises(sn.OperandError, match=line):
        sn.summary(net, (4, 6))
    for dtype in ("words", "complex64", "datetime64[s]"):
        with pytest.raises(sn.SettingError, match=f"summary: dtype is '{re.escape(dtype)}'"):
            sn.summary(net, (4, 6), dtype=dtype)


def test_a_network_without_parameters(backend):
    counted = sn.summary(sn.Sequential(sn.relu), (2, 4))
    assert (counted.parameters, counted.flops, counted.kept_bytes) == (0, 8, 0)


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_no_number_is_cut(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    counted = sn.summary(sn.Classifier(rng=0), (N, IN), sn.softmax_loss)
    text = str(counted)
    assert max(map(len, text.splitlines())) <= columns
    for row in counted.rows:
        assert all(cell in text for cell in row.cells())
    assert "…" not in text


def test_long_paths_are_folded_and_numbers_are_not(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    row = Row(
        "encoder.layers.11.attention.query",
        "Linear",
        ((32, 768),),
        590_592,
        0,
        10**10,
        10**12,
        98_304,
        (),
    )
    text = str(Summary("Net", (32, 768), (row,), 590_592, 590_592, (), 1, 1, 1))
    assert max(map(len, text.splitlines())) <= 80
    assert all(number in text for number in ("(32, 768)", "590,592", "10 G", "1 T", "98.3 kB"))


def test_names_are_shown_as_text(backend):
    net = type("[red]<b>", (sn.Linear,), {})(4, 2, 0)
    counted = sn.summary(net, (2, 4))
    assert "[red]<b> on a batch" in str(counted)
    assert "<td>[red]&lt;b&gt;</td>" in counted._repr_html_()
