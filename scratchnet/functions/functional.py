"""The Functions under lower-case names: Variables in, Variable out; arrays in, array out."""

from __future__ import annotations

from typing import TypeVar

from scratchnet.functions.elementwise import Exp, Log, ReLU, Sigmoid, Tanh, Threshold
from scratchnet.functions.softmax import LogSoftmax, Softmax

T = TypeVar("T")


def exp(x: T) -> T:
    """The exponential of each element."""
    return Exp().on(x)


def log(x: T) -> T:
    """The natural logarithm of each element."""
    return Log().on(x)


def tanh(x: T) -> T:
    """The hyperbolic tangent of each element."""
    return Tanh().on(x)


def sigmoid(x: T) -> T:
    """1 / (1 + exp(-x)) of each element."""
    return Sigmoid().on(x)


def threshold(x: T, d: float) -> T:
    """max(x, d) of each element; at x = d the gradient is 0."""
    return Threshold(d).on(x)


def relu(x: T) -> T:
    """max(x, 0) of each element; at x = 0 the gradient is 0."""
    return ReLU().on(x)


def softmax(x: T, axis: int = -1) -> T:
    """Positive values that sum to 1 along the axis."""
    return Softmax(axis).on(x)


def log_softmax(x: T, axis: int = -1) -> T:
    """The logarithm of the softmax along the axis."""
    return LogSoftmax(axis).on(x)
