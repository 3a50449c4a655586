"""Small stages of a network: a residual block, the identity, and joined axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scratchnet.errors import SettingError, ShapeError
from scratchnet.functions import reshape
from scratchnet.functions.shape import axes_of
from scratchnet.layers.module import Module
from scratchnet.layers.sequential import Sequential


class Residual(Module):
    """A residual block: it computes x + stages(x).

        block = sn.Residual(sn.Linear(64, 64), sn.relu, sn.Linear(64, 64))
        y = block(x)  # x and y are (n, 64)

    Source: He, Zhang, Ren and Sun, Deep Residual Learning for Image Recognition, 2015.

    Args:
        stages: modules or functions, applied one after the other. The last result must have the shape of
            the input.

    Attributes:
        body: the Sequential of the stages. The paths of the parameters begin with `body.0`.

    Raises:
        OperandError: a stage cannot be called.
    """

    def __init__(self, *stages: Callable[..., Any]) -> None:
        self.body = Sequential(*stages)

    def forward(self, x: Any) -> Any:
        """Add x to the result of the stages.

        Raises:
            ShapeError: that result has another shape than x.
        """
        y = self.body(x)
        if y.shape != x.shape:
            raise ShapeError(
                f"Residual: input has shape {x.shape}, but the stages return {y.shape}; they must keep "
                "the shape"
            )
        return x + y


class Identity(Module):
    """A stage that returns its input, of any shape. It keeps a place in a network."""

    def forward(self, x: Any) -> Any:
        """Return x itself."""
        return x


class Flatten(Module):
    """Join several axes into one, by default all axes except the first.

        layer = sn.Flatten()
        y = layer(x)  # x is (n, 32, 7, 7), y is (n, 1568)

    Args:
        start_axis: the first axis to join.
        end_axis: the last axis to join; negative axes count from the end.

    Raises:
        SettingError: an axis is not an integer.
    """

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        for what, axis in (("start_axis", start_axis), ("end_axis", end_axis)):
            if not isinstance(axis, (int, np.integer)) or isinstance(axis, bool):
                raise SettingError(f"Flatten: {what} is {axis!r}; it must be an integer")
        self.start_axis, self.end_axis = int(start_axis), int(end_axis)

    def extra_repr(self) -> str:
        """Return the axes, as `print` shows them."""
        return f"start_axis={self.start_axis}, end_axis={self.end_axis}"

    def forward(self, x: Any) -> Any:
        """Join the axes of x.

        Raises:
            ShapeError: x has no such axis, or the first axis to join comes after the last one.
            OperandError: x is not a Variable or an array.
        """
        (start,) = axes_of("Flatten", self.start_axis, x, one=True)
        (end,) = axes_of("Flatten", self.end_axis, x, one=True)
        if start > end:
            raise ShapeError(
                f"Flatten: start_axis {self.start_axis} comes after end_axis {self.end_axis} in shape "
                f"{x.shape}; exchange them"
            )
        joined = int(np.prod(x.shape[start : end + 1]))
        return reshape(x, (*x.shape[:start], joined, *x.shape[end + 1 :]))
