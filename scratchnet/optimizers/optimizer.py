"""Optimizer: the base class of all optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from backends import Array, active, check, to_device, to_host, xp
from backends.plain.update import Rule, Target
from backends.setting import Schedule, Setting
from scratchnet.core.share import share
from scratchnet.core.stateful import Stateful
from scratchnet.errors import GraphError, SettingError, ShapeError
from scratchnet.optimizers.group import Group, LearningRate, groups_of
from scratchnet.optimizers.state import Kept, arrays_in, first_state, settings_in, state_of, steps_in
from scratchnet.variable import Variable


class Optimizer(Stateful):
    """Base class of the optimizers. A subclass sets `rule`, or defines `step` and the state.

    Args:
        parameters: the Variables to train, such as `net.parameters()`; or parameter groups, which are
            dicts like `{"parameters": [...], "learning_rate": 0.01}`. A dict may have settings of its
            own; the others are those of `settings`.
        settings: the learning rate, and the settings of the update rule, by name.

    Attributes:
        rule: the update rule; see `backends/plain/update.py`.
        groups: the parameter groups. You can change their settings between steps.
        parameters: the Variables of all groups.

    Raises:
        SettingError: there is no parameter, one is given twice, or a setting is out of its range.
        OperandError: an element is not a Variable, or is the result of a Function.
    """

    rule: ClassVar[Rule | None] = None

    def __init__(self, parameters: Any, **settings: Any) -> None:
        self.groups = groups_of(type(self).__name__, parameters, settings, self.rule)
        self.parameters: list[Variable] = [each for group in self.groups for each in group.parameters]
        self._kept: Kept = {}
        self._steps: Array | None = None

    @property
    def learning_rate(self) -> LearningRate:
        """The learning rate: a number, or a function of the step. Setting it sets it in all groups.

        Raises:
            SettingError: the groups have different learning rates; see `groups`.
        """
        rates = [group["learning_rate"] for group in self.groups]
        if any(each != rates[0] for each in rates):
            raise SettingError(
                f"{type(self).__name__}: its groups have different learning rates; read "
                'optimizer.groups[i]["learning_rate"]'
            )
        return rates[0]  # type: ignore[no-any-return]

    @learning_rate.setter
    def learning_rate(self, learning_rate: LearningRate) -> None:
        for group in self.groups:
            group["learning_rate"] = learning_rate

    @property
    def plain_rate(self) -> Setting | None:
        """The learning rate if it is a number and each step is parameter -= rate · gradient, or None."""
        group = self.groups[0]
        return group.rate if len(self.groups) == 1 and group.plain and not group.schedule else None

    def step(self) -> None:
        """Update the parameters that have a gradient, in place.

        Raises:
            GraphError: no parameter has a gradient.
            ShapeError: a parameter has got another shape than its gradient, or than what the rule keeps.
            WrongArrayError: a parameter's array belongs to another backend than the active one.
        """
        if (mine := share.get()) is not None:
            mine.reduce(self.parameters)
        backend, place, updated = active(), 0, False
        for group in self.groups:
            places: list[int] = []
            parameters: list[Array] = []
            gradients: list[Array] = []
            for each in group.parameters:
                grad: Any = each._grad
                if grad is not None:
                    if not isinstance(each._data, backend.array_type):
                        check(type(self).__name__, f"parameter {each.label()}", each._data)
                    if grad.shape != each._data.shape:
                        raise self._other_shape(each._data, "gradient", grad.shape, "run backward again")
                    places.append(place)
                    parameters.append(each._data)
                    gradients.append(grad._data if isinstance(grad, Variable) else grad)
                    each.edge.version[0] += 1
                place += 1
            if group.schedule:
                self._move(group)
            if parameters:
                updated = True
                if group.plain and group.rate is not None:
                    backend.sgd_update(parameters, gradients, group.rate)
                else:
                    self.update(group, places, parameters, gradients)
        if not updated:
            raise GraphError(
                f"{type(self).__name__}: no parameter has a gradient: backward was not called, or the "
                "loss does not depend on any of them; compute it from net(x), and give the optimizer "
                "net.parameters()"
            )
        if self._steps is not None:
            self._steps += 1

    def update(
        self, group: Group, places: list[int], parameters: list[Array], gradients: list[Array]
    ) -> None:
        """Update some parameters of a group by the rule.

        Args:
            group: the group.
            places: their positions in `self.parameters`.
            parameters: their arrays, to be changed in place.
            gradients: an array for each.
        """
        rule = self.rule
        if rule is None or group.rate is None:
            raise NotImplementedError(f"{type(self).__name__} must set rule, or define step()")
        names = rule.arrays_for(group.settings)
        targets = []
        for place, parameter, gradient in zip(places, parameters, gradients, strict=True):
            state = self._kept.get(place, {})
            if not state.keys() >= {*names}:
                state = self._kept[place] = first_state(rule, parameter, names) | state
            for name in names:
                if state[name].shape != parameter.shape:
                    fix = "make a new optimizer"
                    raise self._other_shape(parameter, name, state[name].shape, fix)
            scalars = [state[name] for name in rule.scalars]
            targets.append(Target(parameter, gradient, [state[name] for name in names], scalars))
        active().update(rule, group.settings, group.rate, targets)

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to None. Call it between updates."""
        for parameter in self.parameters:
            parameter._grad = None

    def look_ahead(self, steps: int) -> None:
        """Put the learning rates of the next steps on the device, for steps that run no Python."""
        for group in self.groups:
            if isinstance(group.rate, Schedule) and self._steps is not None:
                group.rate.look_ahead(active(), self._steps, steps)

    def forget_ahead(self) -> None:
        """Look ahead again at the next step: the steps have moved on without Python."""
        for group in self.groups:
            if isinstance(group.rate, Schedule):
                group.rate.forget()

    def state_dict(self) -> dict[str, Any]:
        """Return the settings of the groups, and what the rule keeps for each parameter.

        The names are such as `groups.0.learning_rate` and `state.3.exp_avg`, with the position of the
        group and of the parameter. A schedule is code and is left out; `steps` is its position. The
        values are numbers, lists of numbers and host arrays, so `sn.save` can write them.
        """
        steps = {} if self._steps is None else {"steps": int(to_host(self._steps))}
        return state_of(self.groups, self._kept) | steps

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set the settings, and what the rule keeps. On an error, nothing changes.

        Raises:
            CheckpointError: the state belongs to another optimizer or to other parameters.
        """
        settings = settings_in(state, self.groups, type(self).__name__)
        of_each = [
            found for found, group in zip(settings, self.groups, strict=True) for _ in group.parameters
        ]
        kept = arrays_in(state, self.rule, [each.shape for each in self.parameters], of_each)
        steps = steps_in(state)
        for group, found in zip(self.groups, settings, strict=True):
            group.set_all(found)
        self._kept = {}
        for place, arrays in kept.items():
            assert self.rule is not None
            names = arrays.keys() & self.rule.arrays.keys()
            self._kept[place] = first_state(self.rule, self.parameters[place]._data, names)
            for name, array in arrays.items():
                self._kept[place][name][...] = to_device(array)
        self._steps = None if steps is None else to_device(np.array(steps))
        self.forget_ahead()

    def _other_shape(self, parameter: Array, what: str, shape: tuple[int, ...], fix: str) -> ShapeError:
        return ShapeError(
            f"{type(self).__name__}: a parameter of shape {parameter.shape} has {what} of shape "
            f"{shape}, from before its data changed; {fix}"
        )

    def _move(self, group: Group) -> None:
        """Set a group's learning rate to that of this step."""
        if self._steps is None:
            self._steps = xp.zeros((), np.int64)
        if isinstance(group.rate, Schedule):
            group.rate.move_to(active(), self._steps)
