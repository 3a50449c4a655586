"""The arguments that all losses share: outputs and targets, weights, and the reduction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backends import Array, active, check, to_device, xp
from scratchnet.core.function import Operand, array_of, plain
from scratchnet.core.modes import pauses
from scratchnet.core.share import share
from scratchnet.errors import OperandError, SettingError, ShapeError
from scratchnet.functions import astype, mean, where
from scratchnet.functions import sum as sum_of

REDUCTIONS = "mean", "sum", "none"


def check_reduction(name: str, reduction: Any, allowed: tuple[str, ...] = REDUCTIONS) -> None:
    """Raise `SettingError` for an unknown reduction. `name` is the loss, for the message."""
    if reduction not in allowed:
        raise SettingError(f"{name}: reduction is {reduction!r}; it must be {_either(allowed)}")


def reduced(losses: Any, reduction: str) -> Any:
    """Return the mean of the losses, their sum, or with "none" the losses themselves."""
    if reduction == "none":
        return losses
    return mean(losses) if reduction == "mean" else sum_of(losses)


def divisor_of_share(count: Array) -> Array:
    """Return what some rows divide by, so that the losses of all shares have the mean of the batch.

    The shares of a batch may count differently, for example ignored labels. While nothing is recorded,
    the rows are a batch of their own.

    Args:
        count: what these rows count, 0-d.
    """
    mine = share.get()
    if mine is None or pauses.get():
        return count
    whole = mine.sum(count.reshape(1) if mine.counts else xp.zeros(1, count.dtype))
    return (whole * mine.fraction).astype(count.dtype).reshape(())


def number(name: str, what: str, given: Any, least: float = 0.0, most: float = math.inf) -> float:
    """Return a setting as a number above `least`, or from `least` to `most` if there is a largest.

    Raises:
        SettingError: it is something else.
    """
    value = plain(given)
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (real and (least < value if most == math.inf else least <= value <= most)):
        wanted = f"above {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
        raise SettingError(f"{name}: {what} is {given!r}; it must be a number {wanted}")
    return value  # type: ignore[no-any-return]


def pair(name: str, output: Any, target: Any, reduction: str, instead: str = "") -> Any:
    """Check outputs and targets of the same shape, and return the targets in the outputs' dtype.

    Args:
        name: the loss, for messages.
        output: a Variable or an array, floating.
        target: a Variable, an array, a number or a list. Integers and booleans become numbers.
        reduction: that of the loss. A mean needs at least one element.
        instead: the loss to recommend for class labels; empty if there is none.

    Raises:
        OperandError: the outputs are not floating, or the targets are not numbers.
        ShapeError: the shapes differ, or a mean is asked of an empty batch.
    """
    check_floating(name, "outputs", output)
    target = operand(name, "targets", target)
    if target.shape != output.shape:
        line = f"{name}: outputs of shape {output.shape} and targets of shape {target.shape} differ"
        labels = target.dtype.kind in "iu" and target.shape == output.shape[:-1]
        if instead and labels and output.shape[-1] > 1:
            raise OperandError(f"{line}; for class labels use {instead}")
        if target.shape == output.shape[:-1] and output.shape[-1] == 1:
            fix = "of a column of a table take table[['column']]"
            raise ShapeError(f"{line}; give targets.reshape{(-1, *output.shape[1:])}, or {fix}")
        raise ShapeError(f"{line}; they would broadcast or fail: give both the same shape, by reshape")
    check_elements(name, output, reduction)
    return astype(target, output.dtype)


def operand(name: str, what: str, given: Any) -> Any:
    """Return a Variable or an array as it is, and a number or a list as an array.

    Raises:
        OperandError: it does not hold real numbers.
        WrongArrayError: an array belongs to a library that is not the active backend's.
    """
    given = plain(given)
    listed = isinstance(given, (bool, int, float, list, tuple))
    try:
        given = np.asarray(given) if listed else given
    except ValueError as error:  # lists of different lengths
        raise OperandError(f"{name}: {what} are not an array of numbers: {error}") from error
    found = getattr(given, "dtype", type(given).__name__)
    if getattr(found, "kind", "") not in ("b", "i", "u", "f"):
        raise OperandError(f"{name}: {what} must be numbers, not {found}; give an array of numbers")
    if listed:
        return to_device(given)
    if not isinstance(given, Operand):
        check(name, what, given)
    return given


def constant(name: str, what: str, given: Any, like: Any) -> Any:
    """Return weights in the dtype of `like`, which broadcast to its shape without changing it.

    Raises:
        ShapeError: they do not.
    """
    given = plain(given)
    if isinstance(given, (int, float)):  # made on the device, so that an epoch can be captured
        weight = xp.full((), given, like.dtype)
    else:
        weight = astype(operand(name, what, given), like.dtype)
    shape = like.shape
    sizes = zip(reversed(weight.shape), reversed(shape), strict=False)
    if len(weight.shape) > len(shape) or any(size not in (1, whole) for size, whole in sizes):
        raise ShapeError(f"{name}: {what} has shape {weight.shape}, which does not broadcast to {shape}")
    return weight


def check_floating(name: str, what: str, given: Any) -> None:
    """Raise `OperandError` unless a Variable or an array is floating."""
    found = getattr(given, "dtype", type(given).__name__)
    if getattr(found, "kind", "") != "f":
        fix = "convert with .astype('float32')" if hasattr(found, "kind") else "wrap them: Variable(...)"
        raise OperandError(f"{name}: {what} must be floating, not {found}; {fix}")


def check_elements(name: str, output: Any, reduction: str) -> None:
    """Raise `ShapeError` if a mean is asked of no elements."""
    if reduction in ("mean", "batchmean") and 0 in output.shape:
        raise ShapeError(
            f"{name}: outputs of shape {output.shape} are an empty batch, which has no mean; give at "
            'least one row, or reduction="sum"'
        )


def checked(name: str, losses: Any, given: Any, known: Array, error: type[Exception], fix: str) -> Any:
    """Return the losses, after `refuse_unknown`; NaN where a number is not as it must be."""
    refuse_unknown(name, given, known, error, fix)
    return where(known, losses, xp.nan)


def refuse_unknown(name: str, given: Any, known: Array, error: type[Exception], fix: str) -> None:
    """Raise an error that shows the first number that is not as it must be.

    Do nothing where this would wait for a device. The loss must become NaN there.

    Args:
        name: the loss, for the message.
        given: the numbers.
        known: booleans of the same shape, True where a number is as it must be.
        error: the class of the error.
        fix: the end of the message.
    """
    place = active().first_false(known)
    if place is not None:
        index = tuple(int(i) for i in np.unravel_index(place, given.shape))
        raise error(f"{name}: {array_of(given)[index]} at {index} {fix}")


def _either(allowed: tuple[str, ...]) -> str:
    quoted = [f'"{each}"' for each in allowed]
    return ", ".join(quoted[:-1]) + f" or {quoted[-1]}"
