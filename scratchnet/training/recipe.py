"""The recipes of `scratchnet train`: their networks, and how to save and load a trained one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from backends import Array, to_device
from scratchnet.data.readers import CLASS_NAMES, PIXELS, SIDE
from scratchnet.errors import CheckpointError
from scratchnet.files import of_version_0_1
from scratchnet.functions import relu
from scratchnet.layers import Conv2d, Dropout, Flatten, Linear, MaxPool2d, Module
from scratchnet.optimizers import SGD, Adam, Optimizer
from scratchnet.training.checkpoint import read, save
from scratchnet.variable import Variable

if TYPE_CHECKING:
    from pathlib import Path

_MEAN = "mean_image"
_POOLED = 64 * ((SIDE - 4) // 2) ** 2  # what the second convolution gives, after pooling
_NAMED = 8  # names of a foreign file's content that an error shows


class Classifier(Module):
    """784 pixels, a hidden layer with ReLU, ten classes.

    Args:
        hidden: the number of units of the hidden layer.
        rng: a generator or a seed for the weights; the first layer's are drawn first.
    """

    def __init__(self, hidden: int = 100, rng: np.random.Generator | int | None = None) -> None:
        rng = np.random.default_rng(rng)
        self.fc1 = Linear(PIXELS, hidden, rng, activation=relu)
        self.fc2 = Linear(hidden, len(CLASS_NAMES), rng)

    def forward(self, x: Variable) -> Variable:
        """Map (n, 784) to logits (n, 10)."""
        return x >> self.fc1 >> self.fc2  # type: ignore[no-any-return]


class ConvolutionalClassifier(Module):
    """Two convolutions with ReLU, 3×3 with 32 and with 64 channels, a maximum of 2×2, and two layers.

    Dropout sets a quarter of the pooled elements to 0, and half of the hidden units.

    Args:
        hidden: the number of units of the hidden layer.
        rng: a generator or a seed for the weights and for dropout.
    """

    def __init__(self, hidden: int = 128, rng: np.random.Generator | int | None = None) -> None:
        rng = np.random.default_rng(rng)
        self.conv1 = Conv2d(1, 32, 3, rng=rng)
        self.conv2 = Conv2d(32, 64, 3, rng=rng)
        self.pool, self.dropout1, self.flatten = MaxPool2d(2), Dropout(0.25, rng=rng), Flatten()
        self.fc1 = Linear(_POOLED, hidden, rng, activation=relu)
        self.dropout2 = Dropout(0.5, rng=rng)
        self.fc2 = Linear(hidden, len(CLASS_NAMES), rng)

    def forward(self, x: Variable) -> Variable:
        """Map (n, 784) to logits (n, 10)."""
        x = relu(self.conv2(relu(self.conv1(x.reshape(-1, 1, SIDE, SIDE)))))
        x = self.fc1(self.flatten(self.dropout1(self.pool(x))))
        return self.fc2(self.dropout2(x))  # type: ignore[no-any-return]


class Recipe(NamedTuple):
    """How `scratchnet train` trains a network.

    Attributes:
        net: makes the network from the number of hidden units and a seed.
        hidden: this number, by default.
        optimizer: makes the optimizer from the parameters and the learning rate.
        learning_rate: the rate by default.
        batch_size: the images per step by default.
        layers: describes the network in a line; `{}` stands for the hidden units.
        kind: the kind of a saved model.
        shapes: the shapes of its arrays, by name, from the number of hidden units.
    """

    net: Callable[..., Module]
    hidden: int
    optimizer: Callable[..., Optimizer]
    learning_rate: float
    batch_size: int
    layers: str
    kind: str
    shapes: Callable[[int], dict[str, tuple[int, ...]]]


def _dense(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
    classes = len(CLASS_NAMES)
    return {"fc1.weight": (hidden, inputs), "fc1.bias": (hidden,),
            "fc2.weight": (classes, hidden), "fc2.bias": (classes,)}  # fmt: skip


_CONVOLUTIONS = {"conv1.weight": (32, 1, 3, 3), "conv1.bias": (32,),
                 "conv2.weight": (64, 32, 3, 3), "conv2.bias": (64,)}  # fmt: skip
RECIPES = {
    "mlp": Recipe(
        Classifier, 100, SGD, 0.1, 256, "784-{}-10", "scratchnet classifier 1",
        lambda hidden: _dense(PIXELS, hidden),
    ),
    "cnn": Recipe(
        ConvolutionalClassifier, 128, Adam, 1e-3, 128, "3x3x32-3x3x64-pool-{}-10", "scratchnet cnn 1",
        lambda hidden: _CONVOLUTIONS | _dense(_POOLED, hidden),
    ),
}  # fmt: skip
"""By the name that `--model` takes."""


class TrainedClassifier(NamedTuple):
    """A network, and what it needs to prepare images as in training."""

    net: Module
    mean_image: np.ndarray
    """(1, 784), float32, on the host."""
    source: str
    """The name of its training data."""

    def images(self, pixels: np.ndarray) -> Array:
        """Prepare pixels from 0 to 255, (n, 784), as in training; return them on the device."""
        return to_device(pixels.astype(np.float32) / 255 - self.mean_image)


def save_classifier(path: str | Path, trained: TrainedClassifier) -> None:
    """Save to a safetensors file. Raises `CheckpointError` if that fails."""
    kind = next(each.kind for each in RECIPES.values() if each.net is type(trained.net))
    state = trained.net.state_dict() | {_MEAN: trained.mean_image}
    save(path, state, {"kind": kind, "trained_on": trained.source})


def load_classifier(path: str | Path) -> TrainedClassifier:
    """Load a file that `save_classifier` wrote, on any backend, to the active one.

    Raises:
        CheckpointError: the file cannot be read, is another network's, or holds NaN or infinity.
    """
    state, metadata = read(path)
    hidden = state["fc1.weight"].shape[:1] if "fc1.weight" in state else ()
    recipe = next((each for each in RECIPES.values() if each.kind == metadata.get("kind")), None)
    shapes: dict[str, tuple[int, ...]] = {}
    if recipe is not None and hidden not in ((), (0,)):
        shapes = recipe.shapes(hidden[0]) | {_MEAN: (1, PIXELS)}
        state = of_version_0_1(state, shapes)
    if recipe is None or state.keys() != shapes.keys():
        held = ", ".join(map(repr, sorted(state)[:_NAMED])) + (", …" if len(state) > _NAMED else "")
        kinds = " or ".join(repr(each.kind) for each in RECIPES.values())
        raise CheckpointError(
            f"{path}: is not a {kinds}; it holds {held or 'nothing'}; save one with: "
            "scratchnet train --save FILE"
        )
    for name, array in state.items():
        if array.shape != shapes[name] or array.dtype != np.float32:
            raise CheckpointError(
                f"{path}: {name} is {array.dtype} of shape {array.shape}, not float32 of {shapes[name]}"
            )
        if not np.isfinite(array).all():
            raise CheckpointError(f"{path}: {name} holds NaN or infinity; train and save it again")
    mean = state.pop(_MEAN)
    net = recipe.net(hidden[0], rng=0)
    net.load_state_dict(state)
    source = "".join(each if each.isprintable() else "?" for each in metadata.get("trained_on", ""))
    return TrainedClassifier(net, mean, source)
