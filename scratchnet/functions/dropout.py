"""Dropout: random elements or channels become 0 while a network trains.

Source: Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, 2014; for
whole channels, Tompson et al., Efficient Object Localization Using Convolutional Networks, 2015.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backends import Array, active, xp
from backends.errors import kind_of
from scratchnet.core.function import Function, T
from scratchnet.core.random import Philox
from scratchnet.errors import OperandError, SettingError, ShapeError
from scratchnet.functions.shape import check_floating


class Dropout(Function):
    """x · scale where the mask is True, 0 elsewhere. The mask broadcasts with x."""

    rule = "∂L/∂x = grad · scale where the mask is True, 0 elsewhere"
    operations = (2, 2, 0)
    samples = (
        ([(3,), [True, False, True]], {"scale": 2.0}),
        ([(2, 3), [[True], [False]]], {"scale": 1.25}),
    )

    def __init__(self, scale: float) -> None:
        """Set the factor of the elements that stay."""
        self.scale = scale

    def forward(self, x: Array, mask: Array) -> Array:
        """The elements that stay, scaled."""
        self.keep(mask)
        return active().masked(x, mask) * self.scale

    def backward(self, grad: Any, mask: Any) -> tuple[Any, None]:
        """Scale grad where the mask is True."""
        return Dropout(self.scale).on(grad, mask), None


def dropout(x: T, p: float = 0.5, training: bool = True, rng: Any = None, *, axis: int = 0) -> T:
    """In training, set each element to 0 with probability p, and multiply the others by 1 / (1 - p).

    Args:
        x: a Variable or an array of any shape, floating.
        p: the probability that an element becomes 0.
        training: False returns x itself.
        rng: the `Philox` to draw from, or a NumPy generator or a seed that determines one for this call.
            None takes a seed from NumPy's global generator.
        axis: the axis that counts the samples. It matters only if a batch is divided among processes.

    Returns:
        A Variable or an array of the shape and dtype of x. Its expected value is x.

    Raises:
        SettingError: p is not a number from 0 to 1.
        OperandError: x is not a floating Variable or array.
    """
    return _dropped("dropout", x, getattr(x, "shape", ()), p, training, rng, axis)


def dropout2d(x: T, p: float = 0.5, training: bool = True, rng: Any = None) -> T:
    """In training, set each channel of each image to 0 with probability p, and scale the others.

    Args:
        x: a Variable or an array of shape (n, channels, height, width), floating.
        p: the probability that a channel becomes 0. The others are multiplied by 1 / (1 - p).
        training: False returns x itself.
        rng: as for `dropout`.

    Returns:
        A Variable or an array of the shape and dtype of x.

    Raises:
        SettingError: p is not a number from 0 to 1.
        ShapeError: x has another number of axes.
        OperandError: x is not a floating Variable or array.
    """
    shape = getattr(x, "shape", (1,) * 4)
    if len(shape) != 4:
        raise ShapeError(
            f"dropout2d: input has shape {shape}, but it must be (n, channels, height, width); reshape "
            "the input, or use dropout"
        )
    return _dropped("dropout2d", x, (*shape[:2], 1, 1), p, training, rng)


def _dropped(
    name: str, x: T, shape: tuple[int, ...], p: Any, training: bool, rng: Any, axis: int = 0
) -> T:
    """Apply dropout with a mask of this shape."""
    check_probability(name, "p", p)
    check_floating(name, "x", x)
    p = float(p)
    if not training or p == 0:
        return x
    if p == 1:
        return Dropout(0.0).on(x, xp.zeros(shape, bool))
    if rng is None:
        rng = np.random.randint(1 << 62)
    generator = rng if isinstance(rng, Philox) else Philox(rng)
    dropped = min(round(p * (1 << 32)), (1 << 32) - 1)
    return Dropout(1 / (1 - p)).on(x, generator.bits(shape, axis) >= dropped)


def check_probability(name: str, what: str, p: Any) -> None:
    """Raise `SettingError` unless p is a number from 0 to 1."""
    if not isinstance(p, (int, float, np.number)) or not 0 <= p <= 1:
        raise SettingError(f"{name}: {what} is {p!r}; it must be a number from 0 to 1")
