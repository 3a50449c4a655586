"""The recipes of `scratchnet train`: two networks, for inputs of any shape and any task."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from backends import to_device, to_host
from scratchnet.data.loader import DataLoader
from scratchnet.data.readers import CLASS_NAMES, PIXELS, SIDE
from scratchnet.data.reading import CIFAR, FOLDER, IMAGES, TABLE, Reading
from scratchnet.errors import ShapeError
from scratchnet.functions import relu
from scratchnet.layers import Conv2d, Dropout, Flatten, Linear, MaxPool2d, Module
from scratchnet.layers.module import Buffer
from scratchnet.losses import binary_cross_entropy_with_logits, mse_loss, softmax_loss
from scratchnet.metrics import mean_absolute_error, r2
from scratchnet.optimizers import SGD, Adam, Optimizer
from scratchnet.variable import Variable

_FEWEST_PIXELS = 6  # of a side: two convolutions of 3×3 and a maximum of 2×2 leave one


class Classifier(Module):
    """Inputs, a hidden layer with ReLU, outputs: 784-100-10 by default, as the original has it.

    Args:
        hidden: the number of units of the hidden layer.
        rng: a generator or a seed for the weights; the first layer's are drawn first.
        inputs: the number of features or pixels.
        outputs: the number of classes.
    """

    def __init__(
        self,
        hidden: int = 100,
        rng: np.random.Generator | int | None = None,
        inputs: int = PIXELS,
        outputs: int = len(CLASS_NAMES),
    ) -> None:
        rng = np.random.default_rng(rng)
        self.fc1 = Linear(inputs, hidden, rng, activation=relu)
        self.fc2 = Linear(hidden, outputs, rng)

    def forward(self, x: Variable) -> Variable:
        """Map (n, …), which has `inputs` numbers per sample, to logits (n, outputs)."""
        if x.ndim > 2:
            x = x.reshape(len(x), -1)
        return x >> self.fc1 >> self.fc2  # type: ignore[no-any-return]


class ConvolutionalClassifier(Module):
    """Two convolutions with ReLU, 3×3 with 32 and with 64 channels, a maximum of 2×2, and two layers.

    Dropout sets a quarter of the pooled elements to 0, and half of the hidden units.

    Args:
        hidden: the number of units of the hidden layer.
        rng: a generator or a seed for the weights and for dropout.
        image_shape: (channels, h, w) of an image.
        outputs: the number of classes.
    """

    def __init__(
        self,
        hidden: int = 128,
        rng: np.random.Generator | int | None = None,
        image_shape: tuple[int, int, int] = (1, SIDE, SIDE),
        outputs: int = len(CLASS_NAMES),
    ) -> None:
        rng = np.random.default_rng(rng)
        self.image_shape = image_shape
        self.conv1 = Conv2d(image_shape[0], 32, 3, rng=rng)
        self.conv2 = Conv2d(32, 64, 3, rng=rng)
        self.pool, self.dropout1, self.flatten = MaxPool2d(2), Dropout(0.25, rng=rng), Flatten()
        self.fc1 = Linear(_pooled(image_shape), hidden, rng, activation=relu)
        self.dropout2 = Dropout(0.5, rng=rng)
        self.fc2 = Linear(hidden, outputs, rng)

    def forward(self, x: Variable) -> Variable:
        """Map (n, channels, h, w), or the same pixels in rows (n, …), to logits (n, outputs)."""
        x = relu(self.conv2(relu(self.conv1(x.reshape(-1, *self.image_shape)))))
        x = self.fc1(self.flatten(self.dropout1(self.pool(x))))
        return self.fc2(self.dropout2(x))  # type: ignore[no-any-return]


class Regressor(Module):
    """A network whose outputs are numbers of any size: those of `net`, times `std`, plus `mean`.

    So the network itself learns numbers of mean 0 and standard deviation 1, and everyone else sees the
    numbers of the target.

    Args:
        net: maps to (n, k).
        mean: (k,), the mean of the targets. Of shape () for one target: then outputs are (n,).
        std: their standard deviation, of the same shape.
    """

    def __init__(self, net: Module, mean: np.ndarray, std: np.ndarray) -> None:
        self.net = net
        self.target_mean = Buffer(to_device(np.asarray(mean, np.float32)), "target_mean")
        self.target_std = Buffer(to_device(np.asarray(std, np.float32)), "target_std")

    def forward(self, x: Variable) -> Variable:
        """Map a batch to (n, k), or (n,)."""
        x = self.net(x)
        return (x if self.target_std.ndim else x.reshape(-1)) * self.target_std + self.target_mean

    def scaled_mse_loss(self, outputs: Variable, targets: Variable) -> Variable:
        """Return the mean squared error, divided by the targets' variance."""
        return mse_loss(outputs / self.target_std, targets / self.target_std)


class Recipe(NamedTuple):
    """How `scratchnet train` trains a network.

    Attributes:
        hidden: the number of hidden units by default.
        optimizer: makes the optimizer from the parameters and the learning rate.
        learning_rate: the rate by default.
        batch_size: the samples per step by default.
        net: makes the network from the number of hidden units, a seed, the shape of an input and the
            number of outputs.
        layers: describes the network in a line, from the hidden units, the shape and the outputs.
        shapes: the shapes of its arrays by name, from the same.
    """

    hidden: int
    optimizer: Callable[..., Optimizer]
    learning_rate: float
    batch_size: int
    net: Callable[[int, Any, tuple[int, ...], int], Module]
    layers: Callable[[int, tuple[int, ...], int], str]
    shapes: Callable[[int, tuple[int, ...], int], dict[str, tuple[int, ...]]]


def _pooled(image_shape: tuple[int, ...]) -> int:
    """Return the number of elements after both convolutions and the pooling.

    Raises:
        ShapeError: the images are too small, or are none.
    """
    if len(image_shape) != 3 or min(image_shape[1:]) < _FEWEST_PIXELS:
        raise ShapeError(
            f"a convolutional network needs images (channels, h, w) of at least {_FEWEST_PIXELS}×"
            f"{_FEWEST_PIXELS} pixels; a sample here has the shape {image_shape}"
        )
    return 64 * math.prod((side - 4) // 2 for side in image_shape[1:])


def _convolutional(hidden: int, seed: Any, shape: tuple[int, ...], outputs: int) -> Module:
    _pooled(shape)  # says what is wrong with the shape
    channels, h, w = shape
    return ConvolutionalClassifier(hidden, seed, (channels, h, w), outputs)


def _dense(hidden: int, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {"fc1.weight": (hidden, inputs), "fc1.bias": (hidden,),
            "fc2.weight": (outputs, hidden), "fc2.bias": (outputs,)}  # fmt: skip


def _convolutions(channels: int) -> dict[str, tuple[int, ...]]:
    return {"conv1.weight": (32, channels, 3, 3), "conv1.bias": (32,),
            "conv2.weight": (64, 32, 3, 3), "conv2.bias": (64,)}  # fmt: skip


RECIPES = {
    "mlp": Recipe(
        100, SGD, 0.1, 256,
        lambda hidden, seed, shape, outputs: Classifier(hidden, seed, math.prod(shape), outputs),
        lambda hidden, shape, outputs: f"{math.prod(shape)}-{hidden}-{outputs}",
        lambda hidden, shape, outputs: _dense(hidden, math.prod(shape), outputs),
    ),
    "cnn": Recipe(
        128, Adam, 1e-3, 128, _convolutional,
        lambda hidden, _, outputs: f"3x3x32-3x3x64-pool-{hidden}-{outputs}",
        lambda hidden, shape, outputs: (
            _convolutions(shape[0]) | _dense(hidden, _pooled(shape), outputs)
        ),
    ),
}  # fmt: skip
"""By the name that `--model` takes."""

# The original's SGD with its rate of 0.1 is for images in MNIST's form. Other inputs can be larger, and
# numbers as targets give gradients without bound: Adam's steps do not grow with them.
_OF_FORMS: dict[str, dict[str, Any]] = {
    IMAGES: {},
    CIFAR: {"optimizer": Adam, "learning_rate": 1e-3, "batch_size": 128},
    FOLDER: {"optimizer": Adam, "learning_rate": 1e-3, "batch_size": 32},
    TABLE: {"optimizer": Adam, "learning_rate": 1e-2, "batch_size": 32},
}


def recipe_for(model: str, form: str) -> Recipe:
    """Return the recipe of this name for data of this form; see `Reading.form`."""
    return RECIPES[model]._replace(**_OF_FORMS[form])


def network(recipe: Recipe, reading: Reading, hidden: int, seed: int, train: DataLoader) -> Module:
    """Return the network for a data set; for regression, with the scale of the training targets."""
    net = recipe.net(hidden, seed, reading.shape, reading.outputs)
    if reading.task != "regression":
        return net
    targets = to_host(getattr(train, "targets", None)).astype(np.float64)
    std = targets.std(axis=0)
    return Regressor(net, targets.mean(axis=0), np.where(std < np.finfo(np.float32).tiny, 1, std))


def objective(task: str, net: Module) -> tuple[Callable[..., Variable], dict[str, Any] | None]:
    """Return the loss of a task, and its metrics; None for those that follow from the loss."""
    if isinstance(net, Regressor):
        return net.scaled_mse_loss, {"mean_absolute_error": mean_absolute_error, "r2": r2}
    return softmax_loss if task == "classification" else binary_cross_entropy_with_logits, None
