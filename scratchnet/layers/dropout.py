"""The dropout layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from scratchnet.core.random import Philox
from scratchnet.functions import dropout, dropout2d
from scratchnet.layers.arguments import generator, probability
from scratchnet.layers.module import Module


class Dropout(Module):
    """In training mode, set each element to 0 with probability p, and scale the others by 1 / (1 - p).

        net = sn.Linear(784, 100) >> sn.relu >> sn.Dropout(0.5) >> sn.Linear(100, 10)

    In eval mode, the result is the input. Input and result have the same shape, of any number of axes.

    Args:
        p: the probability that an element becomes 0.
        rng: a seed, or a NumPy generator that draws the key of the layer's own generator; None uses a
            random seed. Two layers with the same seed draw the same numbers.

    Attributes:
        generator: the layer's `Philox`. A checkpoint stores its state; `state_dict` does not, as in
            PyTorch.

    Raises:
        SettingError: p is not a number from 0 to 1, or rng is something else.
    """

    _function: ClassVar[Callable[..., Any]] = staticmethod(dropout)

    def __init__(self, p: float = 0.5, *, rng: Any = None) -> None:
        name = type(self).__name__
        self.p = probability(name, "p", p)
        self.generator = Philox(generator(name, rng))

    def extra_repr(self) -> str:
        """Return the probability, as `print` shows it."""
        return f"p={self.p}"

    def forward(self, x: Any, axis: int = 0) -> Any:
        """Drop elements of x in training mode.

        Args:
            x: a Variable or an array.
            axis: the axis that counts the samples, for `Dropout`. It matters only if a batch is divided
                among processes.

        Raises:
            ShapeError: x has a shape that the layer does not take.
            OperandError: x is not a floating Variable or array.
        """
        options = {"axis": axis} if axis else {}
        return self._function(x, self.p, self.training, self.generator, **options)


class Dropout2d(Dropout):
    """In training mode, set whole channels to 0 with probability p, and scale the others by 1 / (1 - p).

    Input and result have shape (n, channels, height, width). Arguments, attributes and errors are those
    of `Dropout`.
    """

    _function = staticmethod(dropout2d)
