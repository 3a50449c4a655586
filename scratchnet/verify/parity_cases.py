"""The cases of `parity`: each Function, layer and kernel, a training step, and three epochs.

Each case draws its arrays on the host from its own seed. So it is the same computation on every backend
and in every precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from backends import Array, Backend, Setting, active, to_device, xp
from scratchnet import functions
from scratchnet.core.function import Function
from scratchnet.data import ArrayDataLoader
from scratchnet.data.readers import CLASS_NAMES, PIXELS
from scratchnet.data.synthetic import synthetic_garments
from scratchnet.functions import relu, where
from scratchnet.layers import Linear, Module
from scratchnet.losses import plain_softmax_loss, softmax_loss
from scratchnet.optimizers import SGD
from scratchnet.training.learner import Learner
from scratchnet.training.metrics import MetricsCollector
from scratchnet.training.recipe import Classifier
from scratchnet.variable import Variable

Named: TypeAlias = dict[str, Any]
"""Arrays of the active backend by name. In messages, the name follows the case's name."""


class Given:
    """The random inputs of a case.

    Args:
        seed: of the numbers.
        dtype: of the arrays. The numbers themselves are always float32 numbers.
    """

    def __init__(self, seed: int, dtype: str) -> None:
        self._rng, self.dtype = np.random.default_rng(seed), dtype

    def reals(self, *shape: int) -> Array:
        """Return normal numbers, on the device."""
        drawn = np.asarray(self._rng.standard_normal(shape), np.float32)
        return to_device(drawn.astype(self.dtype))

    def positive(self, *shape: int) -> Array:
        """Return numbers from 1/2 to 2, on the device."""
        drawn = self._rng.uniform(0.5, 2, shape).astype(np.float32)
        return to_device(drawn.astype(self.dtype))

    def labels(self, n: int, classes: int) -> Array:
        """Return labels (n,), uint8, on the device."""
        return to_device(self._rng.integers(0, classes, n).astype(np.uint8))

    def cast(self, net: Module) -> list[Variable]:
        """Return a network's parameters in this dtype."""
        for each in net.parameters():
            each.data = each.data.astype(self.dtype)
        return net.parameters()


Compute: TypeAlias = Callable[[Given], tuple[Named, Named]]


class Case(NamedTuple):
    """A computation: its name, the number of terms of its longest sum, and its results and gradients.

    Without terms, nothing is rounded, and the results must be equal.
    """

    name: str
    terms: int
    compute: Compute


def cases() -> list[Case]:
    """Return all cases, the small ones first."""
    told = list(_functions())
    more = _of_samples({case.name for case in told})
    return [*told, *more, *_layers(), *_kernels(), *_training()]


def _function(
    function: Callable[..., Variable],
    *shapes: tuple[int, ...],
    positive: bool = False,
    scale: float = 1.0,
) -> Compute:
    """Return a Function's result on operands of these shapes, and its gradients."""

    def compute(given: Given) -> tuple[Named, Named]:
        draw = given.positive if positive else given.reals
        operands = [Variable(draw(*shape) * scale) for shape in shapes]
        y = function(*operands)
        y.backward(given.reals(*y.shape))
        return {"result": y.data}, {f"gradient at operand {i}": v.grad for i, v in enumerate(operands)}

    return compute


def _of_labels(loss: Callable[[Variable, Array], Variable]) -> Compute:
    def compute(given: Given) -> tuple[Named, Named]:
        logits = Variable(4 * given.reals(33, 10))  # a power of 2, so the numbers stay float32 numbers
        y = loss(logits, given.labels(33, 10))
        y.backward()
        return {"loss": y.data}, {"gradient at the logits": logits.grad}

    return compute


def _functions() -> Iterable[Case]:
    table, row = (5, 7), (7,)
    for binary in (functions.Add, functions.Sub, functions.Mul):
        yield Case(binary.__name__, 5, _function(binary(), table, row))
    yield Case("Div", 5, _function(functions.Div(), table, row, positive=True))
    yield Case("Pow", 5, _function(functions.Pow(), table, row, positive=True))
    for elementwise in (functions.Neg(), functions.ReLU(), functions.Threshold(0.5)):
        yield Case(type(elementwise).__name__, 0, _function(elementwise, table))
    for moving in (functions.Max(axis=1), functions.Transpose(), functions.Reshape((7, 5))):
        yield Case(type(moving).__name__, 0, _function(moving, table))
    yield Case("GetItem", 2, _function(functions.GetItem([0, 0, 2]), table))
    for unary in (functions.Exp, functions.Tanh, functions.Sigmoid):
        yield Case(unary.__name__, 1, _function(unary(), table))
    yield Case("Where", 0, _function(lambda x: where(x.data > 0, x, 0.5), table))
    yield Case("AsType", 1, _function(lambda x: x.astype("float64").astype(x.dtype), table))
    yield Case("Log", 1, _function(functions.Log(), table, positive=True))
    for reduction in (functions.Sum, functions.Mean):  # normal numbers would almost cancel
        yield Case(reduction.__name__, 35, _function(reduction(), table, positive=True))
    for normal in (functions.Softmax, functions.LogSoftmax):
        yield Case(normal.__name__, 7, _function(normal(), table))
    yield Case("MatMul", 24, _function(functions.MatMul(), (2, 9, 24), (24, 7)))
    shapes = (33, 24), (12, 24), (12,)
    yield Case("Affine", 33, _function(functions.Affine(), *shapes))
    yield Case("Affine with ReLU", 33, _function(functions.Affine(relu=True), *shapes))
    yield Case("SoftmaxCrossEntropy", 43, _of_labels(functions.SoftmaxCrossEntropy()))
    yield Case("plain_softmax_loss", 43, _of_labels(plain_softmax_loss))


def _of_samples(told: set[str]) -> Iterable[Case]:
    """Return a case for each other class of Functions, on the largest of the samples that it carries."""
    for name, each in vars(functions).items():
        if not isinstance(each, type) or not issubclass(each, Function) or each.__name__ != name:
            continue
        if name not in told:
            shapes: Any
            shapes, settings = max(each.samples, key=lambda sample: sum(map(math.prod, sample[0])))
            low, high = getattr(each, "domain", (-math.inf, math.inf))
            terms = max(4, *map(math.prod, shapes))
            function, inside = each(**settings), low == -math.inf
            yield Case(
                name, terms, _function(function, *shapes, positive=not inside, scale=min(high, 4) / 4)
            )


def _layer(make: Callable[[], Module]) -> Compute:
    def compute(given: Given) -> tuple[Named, Named]:
        net, x = make(), Variable(given.reals(33, 24))
        given.cast(net)
        y = net(x)
        y.backward(given.reals(*y.shape))
        gradients = {f"gradient at {name}": each.grad for name, each in net.named_parameters()}
        return {"result": y.data}, {"gradient at x": x.grad} | gradients

    return compute


def _layers() -> Iterable[Case]:
    yield Case("Linear", 33, _layer(lambda: Linear(24, 12, 0)))
    yield Case("Linear with ReLU", 33, _layer(lambda: Linear(24, 12, 0, activation=relu)))
    yield Case("Sequential", 57, _layer(lambda: Linear(24, 12, 0) >> relu >> Linear(12, 7, 1)))


def _take_rows(given: Given) -> tuple[Named, Named]:
    source, order = given.reals(9, 4, 5), to_device(np.array([3, 0, 8, 8, 1]))
    out = xp.empty((5, 4, 5), given.dtype)
    active().take_rows(source, order, out)
    return {"rows": out}, {}


def _scatter_add(given: Given) -> tuple[Named, Named]:
    """Repeat all rows 40 times."""
    target, index = given.reals(9, 4, 5), to_device(np.arange(360) % 9)
    active().scatter_add(target, index, given.reals(360, 4, 5))
    return {"rows": target}, {}


def _sgd(given: Given) -> tuple[Named, Named]:
    shapes = (100, 24), (100,), (), (7,)
    parameters = [Variable(given.reals(*shape)) for shape in shapes]
    for each in parameters:
        each.grad = given.reals(*each.shape)
    SGD(parameters, 0.1).step()
    return {f"parameter {i}": each.data for i, each in enumerate(parameters)}, {}


def _two_layers(given: Given, kernel: str, *settings: Setting) -> tuple[Array, Named]:
    """Return the result of a kernel of the whole network, and the parameters after it.

    No size is a multiple of a tile, and there is more than one batch. A backend without such a kernel
    takes single steps, as the plain twin does.
    """
    x, labels = given.reals(70, 30), given.labels(70, 10)
    w1, b1, w2, b2 = (given.reals(*each) / 4 for each in ((21, 30), (21,), (10, 21), (10,)))
    backend, parameters = active(), (w1, b1, w2, b2)
    kernels = type(backend) if backend.fuses(x, labels, parameters) else Backend
    found = getattr(kernels, kernel)(backend, x, labels, 33, parameters, *settings)
    names = "first weight", "first bias", "second weight", "second bias"
    return found, dict(zip(names, parameters, strict=True))


def _two_layer_epoch(given: Given) -> tuple[Named, Named]:
    losses, parameters = _two_layers(given, "two_layer_epoch", Setting(0.1))
    return {"losses": losses}, parameters


def _two_layer_evaluation(given: Given) -> tuple[Named, Named]:
    (losses, accuracies), _ = _two_layers(given, "two_layer_evaluation")
    return {"losses": losses, "accuracies": accuracies}, {}


def _kernels() -> Iterable[Case]:
    """Return cases for methods of `Backend` that do not belong to exactly one Function."""
    yield Case("take_rows", 0, _take_rows)
    yield Case("scatter_add", 41, _scatter_add)
    yield Case("SGD", 2, _sgd)
    of_a_step = 30 + 21 + 10 + 33
    yield Case("two_layer_epoch", 3 * of_a_step, _two_layer_epoch)
    yield Case("two_layer_evaluation", of_a_step, _two_layer_evaluation)


_BATCH, _HIDDEN, _BATCHES, _EPOCHS = 256, 100, 3, 3
_OF_A_STEP = PIXELS + _HIDDEN + len(CLASS_NAMES) + _BATCH
_SEED = 4
"""The seed of the network. No hidden unit of the step is within 1e-5 of the point where ReLU turns:
there, rounding would decide whether a sample counts, and no tolerance would be right.
"""
_SLOWLY = 0.02
"""The learning rate of the epochs. If a unit does turn in one of their steps, the weights move by less
than the tolerance.
"""


def _loader(mode: str, dtype: str, samples: int) -> ArrayDataLoader:
    found = synthetic_garments(mode, samples)
    pixels = found.pixels.astype(np.float32) / np.float32(255) - np.float32(0.25)
    return ArrayDataLoader(to_device(pixels.astype(dtype)), to_device(found.labels), _BATCH, mode=mode)


def _step(given: Given) -> tuple[Named, Named]:
    net = Classifier(_HIDDEN, _SEED)
    sgd = SGD(given.cast(net), 0.1)
    x, y = next(_loader("train", given.dtype, _BATCH).in_order())
    loss = softmax_loss(net(x), y)
    loss.backward()
    gradients = {f"gradient at {name}": each.grad for name, each in net.named_parameters()}
    sgd.step()
    return {"loss": loss.data} | {name: each.data for name, each in net.named_parameters()}, gradients


def _epochs(given: Given) -> tuple[Named, Named]:
    net = Classifier(_HIDDEN, _SEED)
    train = _loader("train", given.dtype, _BATCHES * _BATCH)
    metrics = MetricsCollector(train, _loader("valid", given.dtype, _BATCH), softmax_loss)
    learner = Learner(train, net, SGD(given.cast(net), _SLOWLY), softmax_loss, metrics)
    history = learner.fit(_EPOCHS, None)
    losses = {
        f"{mode} loss": np.array(history[f"{mode}_loss"], given.dtype) for mode in ("train", "valid")
    }
    return losses, {name: each.data for name, each in net.named_parameters()}


def _training() -> Iterable[Case]:
    yield Case("a training step", _OF_A_STEP, _step)
    yield Case("three epochs", _EPOCHS * _BATCHES * _OF_A_STEP, _epochs)
