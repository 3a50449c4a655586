"""The arguments that all layers share: generators, sizes, probabilities and initial values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backends import to_device
from scratchnet.errors import SettingError
from scratchnet.layers.initializers import Initializer, Shape, initial_values
from scratchnet.variable import Variable


def generator(name: str, rng: Any) -> np.random.Generator:
    """Return the generator that a layer draws from: the given one, or a new one from a seed or None.

    Raises:
        SettingError: it is something else. `name` is the layer, for the message.
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"{name}: rng is {rng!r}; give a NumPy generator, an integer of at least 0, or None"
        ) from error


def size(name: str, what: str, given: Any, least: int = 1) -> int:
    """Return a size as an integer.

    Raises:
        SettingError: it is not an integer, or below `least`.
    """
    if not isinstance(given, (int, np.integer)) or isinstance(given, bool) or given < least:
        wanted = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise SettingError(f"{name}: {what} is {given!r}; it must be {wanted}")
    return int(given)


def sizes(name: str, what: str, given: Any, count: int, least: int = 1) -> tuple[int, ...]:
    """Return one size for each of `count` axes; one integer stands for all of them.

    Raises:
        SettingError: it is neither an integer nor `count` integers, or one is below `least`.
    """
    several = tuple(given) if isinstance(given, (tuple, list)) else (given,) * count
    if len(several) != count:
        raise SettingError(f"{name}: {what} is {given!r}; give one integer, or {count}")
    return tuple(size(name, what, each, least) for each in several)


def is_number(given: Any) -> bool:
    """Return whether a setting is a number of Python or NumPy, and not a bool."""
    return isinstance(given, (int, float, np.number)) and not isinstance(given, bool)


def number(name: str, what: str, given: Any) -> float:
    """Return a setting as a float.

    Raises:
        SettingError: it is not a number of at least 0.
    """
    if not (is_number(given) and 0 <= given < math.inf):
        raise SettingError(f"{name}: {what} is {given!r}; it must be a number of at least 0")
    return float(given)


def positive(name: str, what: str, given: Any) -> float:
    """Return a setting as a float.

    Raises:
        SettingError: it is not a positive number.
    """
    if not (is_number(given) and 0 < given < math.inf):
        raise SettingError(f"{name}: {what} is {given!r}; it must be a positive number")
    return float(given)


def probability(name: str, what: str, given: Any) -> float:
    """Return a probability as a float.

    Raises:
        SettingError: it is not a number between 0 and 1.
    """
    if not (is_number(given) and 0 <= given <= 1):
        raise SettingError(f"{name}: {what} is {given!r}; it must be a number from 0 to 1")
    return float(given)


def floating(name: str, dtype: Any) -> np.dtype[Any]:
    """Return the dtype of a layer's parameters.

    Raises:
        SettingError: it is not float16, float32 or float64.
    """
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError as error:
        raise SettingError(f"{name}: dtype is {dtype!r}; it must be a floating dtype") from error
    if found.char not in "efd":
        raise SettingError(f"{name}: dtype is {dtype!r}; it must be float16, float32 or float64")
    return found


def parameter(
    what: str, initializer: Initializer, shape: Shape, rng: np.random.Generator, dtype: np.dtype[Any]
) -> Variable:
    """Return a new parameter with the values that an initializer gives.

    Args:
        what: the layer and the name of its parameter, as "Conv2d: weight".
        initializer: a function of (shape, rng).
        shape: the parameter's shape.
        rng: the generator to draw from, on the host, so that a seed gives the same network everywhere.
        dtype: the parameter's dtype.

    Raises:
        SettingError: the initializer does not return a finite floating array of this shape.
    """
    values = initial_values(f"{what}_init", initializer, shape, rng, dtype)
    return Variable(to_device(values), name=what.rpartition(" ")[2])
