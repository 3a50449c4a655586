"""A parameter group: some parameters, their learning rate, and the other settings of their updates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, TypeAlias

import numpy as np

from backends.errors import kind_of
from backends.plain.update import Rule
from backends.setting import Schedule, Setting
from scratchnet.errors import CheckpointError, OperandError, SettingError
from scratchnet.layers.arguments import is_number
from scratchnet.variable import Variable

LearningRate: TypeAlias = float | Callable[[int], float]
"""A positive number, or a function of the step that returns one; see `scratchnet.schedules`."""

_POSITIVE = "a finite number from 0 on", lambda x: 0 <= x < math.inf
_FRACTION = "a number from 0 to below 1", lambda x: 0 <= x < 1
_RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "alpha": _FRACTION, "betas": _FRACTION, "coefficients": ("a finite number", math.isfinite),
    "eps": _POSITIVE, "iterations": ("a positive integer", lambda x: x >= 1 and x == int(x)),
    "momentum": _POSITIVE, "momentum_decay": _POSITIVE, "weight_decay": _POSITIVE,
}  # fmt: skip
_SEVERAL = {"betas": 2, "coefficients": 3}
_FLAGS = "centered", "nesterov"
_OTHER = "a finite number, True or False", math.isfinite  # a setting of a user's own optimizer


class Group(MutableMapping[str, Any]):
    """Parameters that are updated with the same settings. It is used like a dict.

        optimizer.groups[0]["learning_rate"] *= 0.1

    Args:
        name: the optimizer, for messages.
        parameters: the Variables.
        settings: the learning rate, if the optimizer has one, and its other settings by name.
        rule: the update rule.

    Attributes:
        parameters: a list of Variables.
        rate: the learning rate as a Setting, which a captured step reads on the device; or None.
        schedule: the function of the step that was given as learning rate; or None.
        settings: the other settings. A captured step has them as they were when it was recorded, and is
            recorded again if they change.
        plain: whether the update is parameter -= rate · gradient, which has a kernel of its own.

    Raises:
        SettingError: a setting is unknown or out of its range.
        OperandError: an element of `parameters` is not a Variable, or is the result of a Function.
    """

    def __init__(
        self, name: str, parameters: Any, settings: Mapping[str, Any], rule: Rule | None = None
    ) -> None:
        self.name, self.parameters = name, _checked(name, parameters)
        self._without = rule.plain_without if rule else ()
        self.plain = False
        self.rate: Setting | None = None
        self.schedule: Callable[[int], float] | None = None
        self.settings: dict[str, Any] = {}
        self._known = {"parameters": None, **dict.fromkeys(settings)}
        for each, value in settings.items():
            self[each] = value

    def __getitem__(self, key: str) -> Any:
        """Return a setting. The learning rate is a number, or the function that was given."""
        if key == "parameters":
            return self.parameters
        if key == "learning_rate" and self.rate is not None:
            return self.schedule or self.rate.value
        return self.settings[key]

    def __setitem__(self, key: str, value: Any) -> None:
        """Check a setting and set it."""
        if key not in self._known or key == "parameters":
            settings = ", ".join(each for each in self._known if each != "parameters")
            raise SettingError(f"{self.name}: {key!r} cannot be set; its settings are {settings}")
        if key != "learning_rate":
            self.settings[key] = self._value(key, value)
            self.plain = bool(self._without) and not any(map(self.settings.get, self._without))
        elif callable(value):
            self.rate, self.schedule = Schedule(_rates(self.name, value)), value
        elif self.rate is None or self.schedule:
            self.rate, self.schedule = Setting(_positive(self.name, value)), None
        else:
            self.rate.value = _positive(self.name, value)

    def set_all(self, settings: Mapping[str, Any]) -> None:
        """Set several settings, or none of them if one is wrong.

        Raises:
            CheckpointError: a setting is out of its range.
        """
        former = {key: self[key] for key in settings}
        try:
            self.update(settings)
        except SettingError as error:
            self.update(former)
            raise CheckpointError(str(error)) from error

    def __delitem__(self, key: str) -> None:
        """Refuse: an optimizer needs all its settings."""
        raise SettingError(f"{self.name}: {key!r} cannot be deleted")

    def __iter__(self) -> Iterator[str]:
        """Return the names: `parameters` and the settings."""
        return iter(self._known)

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._known)

    def __repr__(self) -> str:
        """Show the settings, and the number of parameters."""
        shown = {
            key: f"{len(self.parameters)} Variables" if key == "parameters" else self[key]
            for key in self
        }
        return f"Group({', '.join(f'{key}={value}' for key, value in shown.items())})"

    def _value(self, key: str, value: Any) -> Any:
        """Check a setting, and return it in plain types: bool, int, float, or a tuple of floats."""
        if key not in _RANGES and isinstance(value, (bool, np.bool_)):
            return bool(value)
        if key in _FLAGS:
            raise SettingError(f"{self.name}: {key} is {value!r}; it must be True or False")
        (words, fits), several = _RANGES.get(key, _OTHER), _SEVERAL.get(key)
        numbers = tuple(value) if several and isinstance(value, (tuple, list)) else (value,)
        if len(numbers) != (several or 1) or not all(is_number(each) and fits(each) for each in numbers):
            wanted = words if several is None else f"{several} numbers, each {words}"
            raise SettingError(f"{self.name}: {key} is {value!r}; it must be {wanted}")
        if several:
            return tuple(map(float, numbers))
        return int(value) if key == "iterations" else float(value)


def groups_of(
    name: str, parameters: Any, settings: Mapping[str, Any], rule: Rule | None = None
) -> list[Group]:
    """Return the groups of an optimizer.

    Args:
        name: the optimizer, for messages.
        parameters: Variables, or dicts with `parameters` and with settings for them.
        settings: the settings of the optimizer. A group has them unless its dict has others.
        rule: the update rule.

    Raises:
        SettingError: there is no parameter, one is given twice, or a setting is wrong.
        OperandError: something else is given.
    """
    if isinstance(parameters, (Variable, Mapping)) or not isinstance(parameters, Iterable):
        kind = type(parameters).__name__
        raise OperandError(f"{name}: parameters is a {kind}; give a list, such as net.parameters()")
    given = list(parameters)
    if not any(isinstance(each, Mapping) for each in given):
        given = [{"parameters": given}]
    groups = []
    for each in given:
        if not isinstance(each, Mapping) or "parameters" not in each:
            raise OperandError(
                f"{name}: {kind_of(each)} is not a parameter group; give dicts like "
                '{"parameters": net.parameters(), "learning_rate": 0.1}'
            )
        own = {key: value for key, value in each.items() if key != "parameters"}
        group = Group(name, each["parameters"], settings, rule)
        for key, value in own.items():
            group[key] = value
        groups.append(group)
    parameters = [each for group in groups for each in group.parameters]
    if not parameters:
        raise SettingError(f"{name}: no parameters to train; give net.parameters()")
    if len({id(each) for each in parameters}) != len(parameters):
        raise SettingError(f"{name}: a parameter is given twice; give each once")
    return groups


def _checked(name: str, parameters: Any) -> list[Variable]:
    several = [parameters] if isinstance(parameters, Variable) else list(parameters)
    for each in several:
        if not isinstance(each, Variable):
            raise OperandError(f"{name}: {kind_of(each)} is not a parameter; give net.parameters()")
        if not each.is_leaf:
            raise OperandError(
                f"{name}: {each.label()} is the result of a Function, not a parameter; give "
                "net.parameters()"
            )
    return several


def _positive(name: str, rate: Any) -> float:
    if not (is_number(rate) and 0 < rate < math.inf):
        raise SettingError(
            f"{name}: learning_rate is {rate!r}; it must be a positive number or a function"
        )
    return float(rate)


def _rates(name: str, schedule: Callable[[int], float]) -> Callable[[int], float]:
    """Return a schedule that checks each rate: 0 is allowed, for a schedule may end there."""

    def rate_of(step: int) -> float:
        rate = schedule(step)
        if not (is_number(rate) and 0 <= rate < math.inf):
            raise SettingError(
                f"{name}: the schedule gave {rate!r} at step {step}; it must give a number from 0 on"
            )
        return float(rate)

    return rate_of
