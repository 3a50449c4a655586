"""Clipping: gradients that are too large are made smaller before the update."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from backends import Array, active
from backends.errors import kind_of
from scratchnet.core.share import share
from scratchnet.errors import GraphError, OperandError
from scratchnet.layers.arguments import positive
from scratchnet.variable import Variable


def clip_grad_norm(parameters: Iterable[Variable], max_norm: float, norm_type: float = 2.0) -> Array:
    """Scale all gradients by one number, so that their common norm is at most `max_norm`.

        loss.backward()
        sn.clip_grad_norm(net.parameters(), 1.0)
        optimizer.step()

    As in PyTorch, the number is max_norm / (norm + 1e-6), but at most 1.

    Args:
        parameters: the Variables whose gradients are scaled in place. Those without a gradient are
            skipped.
        max_norm: the largest norm, a positive number.
        norm_type: 2 for the root of the sum of squares, infinity for the largest magnitude, or another
            positive p for the p-norm.

    Returns:
        The norm before scaling, a 0-d array on the device, float32 or float64. It can be infinite or
        NaN. Then the gradients become 0 or NaN.

    Raises:
        SettingError: `max_norm` or `norm_type` is not a positive number.
        OperandError: an element of `parameters` is not a Variable.
        GraphError: no parameter has a gradient.
    """
    positive("clip_grad_norm", "max_norm", max_norm)
    if norm_type != math.inf:
        positive("clip_grad_norm", "norm_type", norm_type)
    return active().clip_norm(
        _gradients("clip_grad_norm", parameters), float(max_norm), float(norm_type)
    )


def clip_grad_value(parameters: Iterable[Variable], clip_value: float) -> None:
    """Limit each element of the gradients to the numbers from -clip_value to clip_value, in place.

    Args:
        parameters: the Variables. Those without a gradient are skipped.
        clip_value: the largest magnitude, a positive number.

    Raises:
        SettingError: `clip_value` is not a positive number.
        OperandError: an element of `parameters` is not a Variable.
        GraphError: no parameter has a gradient.
    """
    positive("clip_grad_value", "clip_value", clip_value)
    active().clip_values(_gradients("clip_grad_value", parameters), float(clip_value))


def _gradients(name: str, parameters: Iterable[Variable]) -> list[Array]:
    """Return the arrays of all gradients."""
    several = [parameters] if isinstance(parameters, Variable) else list(parameters)
    for each in several:
        if not isinstance(each, Variable):
            raise OperandError(f"{name}: {kind_of(each)} is not a parameter; give net.parameters()")
    if (mine := share.get()) is not None:
        mine.reduce(several)
    gradients: list[Any] = [each.grad for each in several if each.grad is not None]
    if not gradients:
        raise GraphError(f"{name}: no parameter has a gradient; call loss.backward() first")
    for each in gradients:
        if isinstance(each, Variable):  # a gradient that can be differentiated
            each.edge.version[0] += 1
    return [each.data if isinstance(each, Variable) else each for each in gradients]
