"""The cases of a training step and of three epochs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from backends import to_device
from scratchnet.data.arrays import ArrayDataLoader
from scratchnet.data.readers import CLASS_NAMES, PIXELS
from scratchnet.data.synthetic import synthetic_garments
from scratchnet.losses import softmax_loss
from scratchnet.optimizers import SGD
from scratchnet.training.learner import Learner
from scratchnet.training.metrics import MetricsCollector
from scratchnet.training.recipe import Classifier
from scratchnet.verify.cases.case import Case, Given, Named

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
    pixels = found.pixels.reshape(-1, PIXELS).astype(np.float32) / np.float32(255) - np.float32(0.25)
    return ArrayDataLoader(
        to_device(pixels.astype(dtype)), to_device(found.labels), _BATCH, mode=mode, dtype=dtype
    )


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


def training_cases() -> Iterable[Case]:
    """Return a training step, and three epochs."""
    yield Case("a training step", _OF_A_STEP, _step)
    yield Case("three epochs", _EPOCHS * _BATCHES * _OF_A_STEP, _epochs)
