"""The original's recipe: its network, and how to save and load a trained one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from backends import Array, to_device
from scratchnet.data.readers import CLASS_NAMES, PIXELS
from scratchnet.errors import CheckpointError
from scratchnet.files import of_version_0_1
from scratchnet.functions import relu
from scratchnet.layers import Linear, Module
from scratchnet.training.checkpoint import read, save
from scratchnet.variable import Variable

if TYPE_CHECKING:
    from pathlib import Path

_KIND = "scratchnet classifier 1"
_MEAN = "mean_image"
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


class TrainedClassifier(NamedTuple):
    """A network, and what it needs to prepare images as in training."""

    net: Classifier
    mean_image: np.ndarray
    """(1, 784), float32, on the host."""
    source: str
    """The name of its training data."""

    def images(self, pixels: np.ndarray) -> Array:
        """Prepare pixels from 0 to 255, (n, 784), as in training; return them on the device."""
        return to_device(pixels.astype(np.float32) / 255 - self.mean_image)


def save_classifier(path: str | Path, trained: TrainedClassifier) -> None:
    """Save to a safetensors file. Raises `CheckpointError` if that fails."""
    state = trained.net.state_dict() | {_MEAN: trained.mean_image}
    save(path, state, {"kind": _KIND, "trained_on": trained.source})


def load_classifier(path: str | Path) -> TrainedClassifier:
    """Load a file that `save_classifier` wrote, on any backend, to the active one.

    Raises:
        CheckpointError: the file cannot be read, is another network's, or holds NaN or infinity.
    """
    state, metadata = read(path)
    hidden = state["fc1.weight"].shape[:1] if "fc1.weight" in state else ()
    shapes = {_MEAN: (1, PIXELS), "fc1.weight": (*hidden, PIXELS), "fc1.bias": hidden,
              "fc2.weight": (len(CLASS_NAMES), *hidden), "fc2.bias": (len(CLASS_NAMES),)}  # fmt: skip
    state = of_version_0_1(state, shapes)
    if metadata.get("kind") != _KIND or state.keys() != shapes.keys() or hidden in ((), (0,)):
        held = ", ".join(map(repr, sorted(state)[:_NAMED])) + (", …" if len(state) > _NAMED else "")
        raise CheckpointError(
            f"{path}: is not a {_KIND!r}; it holds {held or 'nothing'}; save one with: "
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
    net = Classifier(hidden[0], rng=0)
    net.load_state_dict(state)
    source = "".join(each if each.isprintable() else "?" for each in metadata.get("trained_on", ""))
    return TrainedClassifier(net, mean, source)
