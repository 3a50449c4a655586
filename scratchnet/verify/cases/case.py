"""What a case of `parity` is, and the random inputs that it draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from backends import Array, to_device
from scratchnet.layers import Module
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


def of_function(
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


def of_labels(loss: Callable[[Variable, Array], Variable]) -> Compute:
    """Return a loss of logits and labels, and its gradient."""

    def compute(given: Given) -> tuple[Named, Named]:
        logits = Variable(4 * given.reals(33, 10))  # a power of 2, so the numbers stay float32 numbers
        y = loss(logits, given.labels(33, 10))
        y.backward()
        return {"loss": y.data}, {"gradient at the logits": logits.grad}

    return compute
