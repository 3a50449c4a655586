"""The cases of the layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from scratchnet.functions import relu
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
from scratchnet.variable import Variable
from scratchnet.verify.cases.case import Case, Compute, Given, Named


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


def layer_cases() -> Iterable[Case]:
    """Return a case for each layer."""
    images = 5, 6, 4, 7
    yield Case("BatchNorm1d", 99, _layer(lambda: BatchNorm1d(24)))
    yield Case("BatchNorm2d", 420, _layer(lambda: BatchNorm2d(6), *images))
    yield Case("LayerNorm", 99, _layer(lambda: LayerNorm(24)))
    yield Case("GroupNorm", 252, _layer(lambda: GroupNorm(2, 6), *images))
    yield Case("RMSNorm", 99, _layer(lambda: RMSNorm(24)))
    yield Case("Dropout layer", 1, _layer(lambda: Dropout(0.25, rng=3)))
    yield Case("Dropout2d", 1, _layer(lambda: Dropout2d(0.25, rng=3), *images))
    yield Case("Flatten", 0, _layer(Flatten, *images))
    yield Case("Identity", 0, _layer(Identity))
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
