"""Schedules: learning rates that are functions of the step.

A schedule is a function that takes the number of a step, from 0, and returns the learning rate for it.
Give one to an optimizer in place of a number. Your own function works as well:

    optimizer = sn.SGD(net.parameters(), sn.schedules.cosine(0.1, steps=10 * len(train)))
    optimizer = sn.Adam(net.parameters(), lambda step: 1e-3 / (1 + step) ** 0.5)

Steps are updates, not epochs: an epoch has `len(train)` steps. Before a captured epoch starts, it calls
the schedule for each of its steps. So a schedule must always give the same rate for the same step. On a
GPU it is called ahead, also for steps after the last one, so it must give a rate for every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from backends.errors import kind_of
from scratchnet.errors import OperandError, SettingError
from scratchnet.layers.arguments import is_number

Schedule: TypeAlias = Callable[[int], float]


def constant(rate: float) -> Schedule:
    """Return a schedule with the same rate at every step.

    Raises:
        SettingError: the rate is not a finite number from 0 on.
    """
    _rate("constant", "rate", rate)
    return lambda _: rate


def step(rate: float, every: int, factor: float) -> Schedule:
    """Return a schedule that multiplies the rate by `factor` after every `every` steps.

    Args:
        rate: the first rate.
        every: the number of steps with the same rate.
        factor: of each change, such as 0.1.

    Raises:
        SettingError: rate or factor is not a finite number from 0 on, or every not a positive integer.
    """
    _rate("step", "rate", rate)
    _rate("step", "factor", factor)
    _steps("step", "every", every)
    return lambda step: rate * factor ** (step // every)


def exponential(rate: float, factor: float) -> Schedule:
    """Return the schedule rate · factor**step.

    Raises:
        SettingError: rate or factor is not a finite number from 0 on.
    """
    _rate("exponential", "rate", rate)
    _rate("exponential", "factor", factor)
    return lambda step: rate * factor**step


def cosine(rate: float, steps: int, final: float = 0.0) -> Schedule:
    """Return a schedule that falls from `rate` to `final` along half a cosine, and stays there.

    Args:
        rate: the first rate.
        steps: the number of steps until `final`.
        final: the last rate.

    Raises:
        SettingError: a rate is not a finite number from 0 on, or steps is not a positive integer.

    Source: Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2017.
    """
    _rate("cosine", "rate", rate)
    _rate("cosine", "final", final)
    _steps("cosine", "steps", steps)
    return lambda step: final + (rate - final) * (1 + math.cos(math.pi * min(step / steps, 1))) / 2


def linear_warmup(rate: float, steps: int) -> Schedule:
    """Return a schedule that grows to `rate` in equal parts, rate · (step + 1) / steps, and stays there.

    Args:
        rate: the last rate.
        steps: the number of steps until `rate`.

    Raises:
        SettingError: rate is not a finite number from 0 on, or steps is not a positive integer.
    """
    _rate("linear_warmup", "rate", rate)
    _steps("linear_warmup", "steps", steps)
    return lambda step: rate * min((step + 1) / steps, 1)


def one_cycle(peak: float, steps: int, warmup: float = 0.3) -> Schedule:
    """Return a schedule that grows to `peak` and then falls almost to 0, along half a cosine each.

    As in PyTorch, it starts at peak / 25 and ends at peak / 250,000, and stays there.

    Args:
        peak: the highest rate.
        steps: the number of all steps, at least 2.
        warmup: the part of the steps in which the rate grows, from 0 to 1.

    Raises:
        SettingError: peak is not a finite number from 0 on, steps is not an integer of at least 2, or
            warmup is not a number from 0 to 1.

    Source: Smith and Topin, Super-convergence, 2018.
    """
    _rate("one_cycle", "peak", peak)
    _steps("one_cycle", "steps", steps, 2)
    if not (isinstance(warmup, (int, float)) and 0 <= warmup <= 1):
        raise SettingError(f"one_cycle: warmup is {warmup!r}; it must be a number from 0 to 1")
    first, last, top, end = peak / 25, peak / 25e4, warmup * steps - 1, steps - 1

    def rate(step: int) -> float:
        if step <= top:
            start, stop, part = first, peak, step / top if top else 1.0
        else:
            start, stop, part = peak, last, min((step - top) / (end - top), 1) if top < end else 1.0
        return stop + (start - stop) / 2 * (1 + math.cos(math.pi * part))

    return rate


def piecewise(rates: Mapping[int, float]) -> Schedule:
    """Return a schedule whose rate changes at given steps.

        sn.schedules.piecewise({0: 0.1, 1000: 0.01, 2000: 0.001})

    Args:
        rates: the rates by the step from which each is used. There must be one for step 0.

    Raises:
        SettingError: there is no rate for step 0, a step is not an integer from 0 on, or a rate is not a
            finite number from 0 on.
        OperandError: `rates` is not a dict.
    """
    if not isinstance(rates, Mapping):
        raise OperandError(f"piecewise: {kind_of(rates)} is given; give a dict of rates by step")
    for start, rate in rates.items():
        _steps("piecewise", "a step", start, 0)
        _rate("piecewise", "a rate", rate)
    if 0 not in rates:
        raise SettingError("piecewise: there is no rate for step 0; give {0: rate, …}")
    starts = sorted(rates)
    return lambda step: rates[max(start for start in starts if start <= step)]


def join(schedules: Sequence[tuple[Schedule, int]]) -> Schedule:
    """Return a schedule that follows several, one after the other.

        warmup, rest = sn.schedules.linear_warmup(0.1, 500), sn.schedules.cosine(0.1, 9500)
        sn.schedules.join([(warmup, 500), (rest, 9500)])

    Args:
        schedules: pairs of a schedule and its number of steps. Each counts its steps from 0. The last
            schedule continues after its number of steps.

    Raises:
        SettingError: there is no schedule, or a number of steps is not a positive integer.
        OperandError: an element is not a pair of a function and a number.
    """
    pairs = list(schedules)
    for pair in pairs:
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and callable(pair[0])):
            raise OperandError(f"join: {pair!r} is not a pair (schedule, steps)")
        _steps("join", "a number of steps", pair[1])
    if not pairs:
        raise SettingError("join: no schedule is given; give pairs (schedule, steps)")

    def rate(step: int) -> float:
        for schedule, steps in pairs[:-1]:
            if step < steps:
                return schedule(step)
            step -= steps
        return pairs[-1][0](step)

    return rate


def _rate(name: str, what: str, value: Any) -> None:
    if not (is_number(value) and 0 <= value < math.inf):
        raise SettingError(f"{name}: {what} is {value!r}; it must be a finite number from 0 on")


def _steps(name: str, what: str, value: Any, least: int = 1) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise SettingError(f"{name}: {what} is {value!r}; it must be an integer of at least {least}")
