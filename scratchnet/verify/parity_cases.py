"""The cases of `parity`: each Function, layer, optimizer and kernel, a training step, and three epochs.

Each case draws its arrays on the host from its own seed. So it is the same computation on every backend
and in every precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from backends import Array, Backend, Setting, active, to_device, xp
from backends.windows import Windows
from scratchnet import functions
from scratchnet.core.function import Function
from scratchnet.data import ArrayDataLoader
from scratchnet.data.readers import CLASS_NAMES, PIXELS
from scratchnet.data.synthetic import synthetic_garments
from scratchnet.functions import log_softmax, relu, sigmoid, sign, where
from scratchnet.layers import (
    GRU,
    LSTM,
    RNN,
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Dropout2d,
    Embedding,
    Flatten,
    GroupNorm,
    GRUCell,
    Identity,
    LayerNorm,
    Linear,
    LSTMCell,
    MaxPool2d,
    Module,
    MultiheadAttention,
    Residual,
    RMSNorm,
    RNNCell,
    SinusoidalPositions,
    TransformerEncoderLayer,
)
from scratchnet.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_similarity,
    hinge_loss,
    huber_loss,
    kl_divergence,
    l1_loss,
    mse_loss,
    nll_loss,
    plain_softmax_loss,
    softmax_loss,
    triplet_margin_loss,
)
from scratchnet.optimizers import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Muon,
    NAdam,
    Optimizer,
    RMSprop,
)
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
    return [*told, *more, *_layers(), *_losses(), *_optimizers(), *_kernels(), *_training()]


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


_PAIRS = Windows((2, 2), (2, 2))


def _at_places(function: Function) -> Callable[[Variable], Variable]:
    """Return a Function of pooling with fixed places, one in each of the four windows."""
    return lambda x: function(x, to_device(np.array([[[[0, 3]], [[1, 2]]]])))


def _lstm(*operands: Variable) -> Variable:
    """Return both results of an LSTM side by side."""
    y, c = functions.LSTM().on(*operands)
    return functions.concatenate([y.reshape(-1), c.reshape(-1)])  # type: ignore[no-any-return]


def _at(function: Function) -> Callable[[Variable], Variable]:
    """Return a Function of an embedding with fixed indices."""
    return lambda x: function(x, to_device(np.array([[0, 3, 1], [3, 1, 3]])))


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
    dropped = _function(lambda x: functions.dropout(x, 0.25, rng=1), table)
    yield Case("Dropout", 1, dropped)
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
    yield Case("MaskedSoftmax", 7, _function(functions.MaskedSoftmax(), table, table))
    yield Case("Unstack", 0, _function(lambda x: functions.stack(functions.unstack(x, 1)), table))
    yield Case("MatMul", 24, _function(functions.MatMul(), (2, 9, 24), (24, 7)))
    shapes = (33, 24), (12, 24), (12,)
    yield Case("Affine", 33, _function(functions.Affine(), *shapes))
    weights = (20, 4), (20, 5), (20,), (20,)
    yield Case("LSTM", 60, _function(_lstm, (3, 2, 4), *weights, (2, 5), (2, 5)))
    yield Case("Affine with ReLU", 33, _function(functions.Affine(relu=True), *shapes))
    for name, function, shape in (
        ("MaxPool2dAt", functions.MaxPool2dAt(_PAIRS), (1, 2, 3, 4)),
        ("MaxUnpool2d", functions.MaxUnpool2d(_PAIRS, (3, 4)), (1, 2, 1, 2)),
    ):
        yield Case(name, 0, _function(_at_places(function), shape))
    yield Case("Embedding", 3, _function(_at(functions.Embedding()), (4, 7)))
    yield Case("EmbeddingWeight", 3, _function(_at(functions.EmbeddingWeight(4)), (2, 3, 7)))
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


def _layer(make: Callable[[], Module], *shape: int) -> Compute:
    """Return a layer's result on an input of a shape, by default (33, 24), its gradients and buffers."""

    def compute(given: Given) -> tuple[Named, Named]:
        net, x = make(), Variable(given.reals(*(shape or (33, 24))))
        given.cast(net)
        y = net(x)
        y.backward(given.reals(*y.shape))
        gradients = {f"gradient at {name}": each.grad for name, each in net.named_parameters()}
        buffers = {name: each.data for name, each in net.named_buffers() if each.dtype.kind == "f"}
        return {"result": y.data} | buffers, {"gradient at x": x.grad} | gradients

    return compute


class _HOfLSTM(LSTMCell):
    def forward(self, x: Variable, state: Any = None) -> Variable:
        h, c = super().forward(x, state)
        return h + c  # type: ignore[no-any-return]


def _embedding_layer(given: Given) -> tuple[Named, Named]:
    layer, words = Embedding(10, 7, 3, rng=0), given.labels(33, 10)
    given.cast(layer)
    y = layer(words)
    y.backward(given.reals(33, 7))
    return {"result": y.data}, {"gradient at weight": layer.weight.grad}


def _layers() -> Iterable[Case]:
    images = 5, 6, 4, 7
    yield Case("BatchNorm1d", 99, _layer(lambda: BatchNorm1d(24)))
    yield Case("BatchNorm2d", 420, _layer(lambda: BatchNorm2d(6), *images))
    yield Case("LayerNorm", 99, _layer(lambda: LayerNorm(24)))
    yield Case("GroupNorm", 252, _layer(lambda: GroupNorm(2, 6), *images))
    yield Case("RMSNorm", 99, _layer(lambda: RMSNorm(24)))
    yield Case("Dropout layer", 1, _layer(lambda: Dropout(0.25, rng=3)))
    yield Case("Dropout2d", 1, _layer(lambda: Dropout2d(0.25, rng=3), *images))
    yield Case("Flatten", 0, _layer(lambda: Flatten(), *images))
    yield Case("Identity", 0, _layer(lambda: Identity()))
    yield Case("Residual", 57, _layer(lambda: Residual(Linear(24, 24, 0), relu)))
    yield Case("Linear", 33, _layer(lambda: Linear(24, 12, 0)))
    yield Case("Linear with ReLU", 33, _layer(lambda: Linear(24, 12, 0, activation=relu)))
    image, words = (3, 4, 7, 6), (5, 7, 24)
    yield Case("Conv1d layer", 9 * 7, _layer(lambda: Conv1d(4, 6, 3, 2, 1, groups=2, rng=0), 3, 4, 20))
    yield Case("Conv2d layer", 3 * 42, _layer(lambda: Conv2d(4, 6, 3, padding="same", rng=0), *image))
    transposed = _layer(lambda: ConvTranspose2d(4, 6, 3, 2, 1, 1, rng=0), *image)
    yield Case("ConvTranspose2d layer", 3 * 14 * 12, transposed)
    yield Case("MaxPool2d layer", 9, _layer(lambda: MaxPool2d(3, 2, 1), *image))
    yield Case("AvgPool2d layer", 9, _layer(lambda: AvgPool2d(3, 2, 1), *image))
    yield Case("AdaptiveAvgPool2d", 9, _layer(lambda: AdaptiveAvgPool2d((3, 2)), *image))
    for recurrent in (RNN, LSTM, GRU):
        kind = partial(recurrent, 4, 5, 2, bidirectional=True, return_state=False, rng=0)
        yield Case(f"{recurrent.__name__} layer", 90, _layer(kind, 3, 4, 4))
    for cell in (RNNCell, GRUCell):
        yield Case(cell.__name__, 30, _layer(partial(cell, 24, 5, rng=0)))
    yield Case("LSTMCell", 30, _layer(lambda: _HOfLSTM(24, 5, rng=0)))
    attention = _layer(
        lambda: MultiheadAttention(24, 4, 0.25, rng=0) >> (lambda found: found[0]), *words
    )
    yield Case("MultiheadAttention", 200, attention)
    encoder = _layer(lambda: TransformerEncoderLayer(24, 4, 48, activation="gelu", rng=0), *words)
    yield Case("Transformer encoder", 400, encoder)
    yield Case("SinusoidalPositions", 1, _layer(lambda: SinusoidalPositions(24), *words))
    yield Case("Embedding layer", 33, _embedding_layer)
    yield Case("Sequential", 57, _layer(lambda: Linear(24, 12, 0) >> relu >> Linear(12, 7, 1)))


def _with_options(loss: Callable[..., Variable]) -> Callable[[Variable, Array], Variable]:
    """Return the loss with weights of ten classes, of which it ignores one."""

    def with_options(logits: Variable, labels: Array) -> Variable:
        weight = (xp.arange(10) + 1).astype(logits.dtype)
        return loss(logits, labels, weight=weight, ignore_index=3)

    return with_options


def _losses() -> Iterable[Case]:
    """Return a case for each loss. A sigmoid makes probabilities, and a sign makes targets of ±1."""

    def of_log_softmax(logits: Variable, labels: Array, **options: Any) -> Variable:
        return nll_loss(log_softmax(logits), labels, **options)

    yield Case("softmax_loss, options", 43, _of_labels(_with_options(softmax_loss)))
    yield Case("nll_loss", 43, _of_labels(_with_options(of_log_softmax)))
    of_two: dict[str, Callable[..., Variable]] = {
        "mse_loss": mse_loss,
        "l1_loss": l1_loss,
        "huber_loss": huber_loss,
        "binary_…_with_logits": lambda x, t: binary_cross_entropy_with_logits(x, sigmoid(t)),
        "binary_cross_entropy": lambda x, t: binary_cross_entropy(sigmoid(x), sigmoid(t)),
        "kl_divergence": lambda x, t: kl_divergence(x, sigmoid(t)),
        "hinge_loss": lambda x, t: hinge_loss(x, sign(t)),
        "cosine_similarity": cosine_similarity,
    }
    for name, loss in of_two.items():
        yield Case(name, 35, _function(loss, (5, 7), (5, 7)))
    yield Case("triplet_margin_loss", 35, _function(triplet_margin_loss, (5, 7), (5, 7), (5, 7)))


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


def _updated(make: Callable[[list[Variable]], Optimizer], *shapes: tuple[int, ...]) -> Compute:
    """Return the parameters after three steps of an optimizer."""

    def compute(given: Given) -> tuple[Named, Named]:
        parameters = [Variable(given.reals(*shape)) for shape in shapes]
        optimizer = make(parameters)
        for _ in range(3):
            for each in parameters:
                each.grad = given.reals(*each.shape)
            optimizer.step()
        return {f"parameter {i}": each.data for i, each in enumerate(parameters)}, {}

    return compute


def _optimizers() -> Iterable[Case]:
    shapes = (100, 24), (100,), (), (7,)
    yield Case("SGD", 4, _updated(lambda p: SGD(p, 0.1), *shapes))
    yield Case("SGD with momentum", 8, _updated(lambda p: SGD(p, 0.1, 0.9, True, 0.01), *shapes))
    for kind in (Adam, AdamW, NAdam):
        yield Case(kind.__name__, 16, _updated(partial(kind, learning_rate=0.1), *shapes))
    yield Case("RMSprop", 16, _updated(lambda p: RMSprop(p, 0.01, momentum=0.5), *shapes))
    yield Case(
        "RMSprop, centered", 64, _updated(lambda p: RMSprop(p, 0.01, 0.5, centered=True), *shapes)
    )
    yield Case("Adagrad", 16, _updated(lambda p: Adagrad(p, 0.1), *shapes))
    yield Case("Lion", 8, _updated(lambda p: Lion(p, 0.1), *shapes))
    yield Case("Muon", 300, _updated(lambda p: Muon(p, 0.1), (24, 10), (10, 24)))


def _clipped(norm: bool) -> Compute:
    def compute(given: Given) -> tuple[Named, Named]:
        gradients = [given.reals(100, 24), given.reals(), given.reals(7)]
        if norm:
            found = {"norm": active().clip_norm(gradients, 5.0, 2.0)}
        else:
            active().clip_values(gradients, 0.5)
            found = {}
        return found | {f"gradient {i}": each for i, each in enumerate(gradients)}, {}

    return compute


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
    yield Case("clip_grad_norm", 49, _clipped(norm=True))
    yield Case("clip_grad_value", 0, _clipped(norm=False))
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
