"""The state of an optimizer: how it is gathered, checked, and put back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from backends import Array, to_host, xp
from backends.plain.update import Rule
from scratchnet.errors import CheckpointError
from scratchnet.optimizers.group import Group

Kept = dict[int, dict[str, Array]]
"""The arrays and numbers of each parameter, by its position and by name."""


def first_state(rule: Rule, parameter: Array, names: Iterable[str]) -> dict[str, Array]:
    """Return arrays of zeros by name, and the first values of the numbers, for one parameter."""
    arrays = {name: xp.zeros_like(parameter) for name in names}
    return arrays | {name: xp.full((), value, np.float64) for name, value in rule.scalars.items()}


def state_of(groups: Sequence[Group], kept: Kept) -> dict[str, Any]:
    """Return settings and arrays by name, such as `groups.0.learning_rate` and `state.3.exp_avg`."""
    state: dict[str, Any] = {}
    for place, group in enumerate(groups):
        for name, value in _settings_of(group).items():
            state[f"groups.{place}.{name}"] = list(value) if isinstance(value, tuple) else value
    for place in sorted(kept):
        for name, array in kept[place].items():
            state[f"state.{place}.{name}"] = np.array(to_host(array), order="C")
    return state


def settings_in(state: Mapping[str, Any], groups: Sequence[Group], name: str) -> list[dict[str, Any]]:
    """Return the settings of each group in a state.

    Args:
        state: as `state_of` returns it, or as `load` reads it from a file; or that of version 0.1, which
            was SGD's learning rate alone.
        groups: the optimizer's.
        name: the optimizer, for messages.

    Raises:
        CheckpointError: the state belongs to an optimizer with other groups or settings.
    """
    state = _converted(state, groups)
    found: list[dict[str, Any]] = [{} for _ in groups]
    for path, value in state.items():
        start, _, rest = path.partition(".")
        place, _, setting = rest.partition(".")
        if start == "groups" and place.isdigit() and int(place) < len(groups):
            found[int(place)][setting] = value.tolist() if isinstance(value, np.ndarray) else value
        elif start != "state" and path != "steps":
            raise CheckpointError(_other(f"{path}", name, groups[0]))
    for group, settings in zip(groups, found, strict=True):
        ours = _settings_of(group)
        if settings.keys() ^ ours.keys() == {"learning_rate"} and group.rate is not None:
            had, has = ("a number", "a schedule") if group.schedule else ("a schedule", "a number")
            raise CheckpointError(
                f"its learning rate is {had}, and here {name} has {has}; give it the same"
            )
        if settings.keys() != ours.keys():
            raise CheckpointError(_other(", ".join(settings) or "nothing", name, group))
        if (many := settings.pop("parameters")) != len(group.parameters):
            raise CheckpointError(
                f"its optimizer had a group of {many} parameters, and here {name} has "
                f"{len(group.parameters)}; give it the same groups"
            )
    return found


def settings_of(groups: Sequence[Group]) -> dict[str, Any]:
    """Return the settings by name, such as `groups.0.learning_rate`: numbers and lists of numbers."""
    return {name: value for name, value in state_of(groups, {}).items() if not _is_a_count(name)}


def with_settings(state: Mapping[str, Any], groups: Sequence[Group]) -> dict[str, Any]:
    """Return a state with the settings of these groups in place of its own. Schedules are left out."""
    state, ours = _converted(state, groups), settings_of(groups)
    rates = {f"groups.{place}.learning_rate" for place in range(len(groups))}
    kept = {name: ours.get(name, value) for name, value in state.items() if name not in rates}
    return kept | {name: ours[name] for name in rates & ours.keys()}


def arrays_in(
    state: Mapping[str, Any],
    rule: Rule | None,
    shapes: Sequence[tuple[int, ...]],
    settings: Sequence[Mapping[str, Any]],
) -> dict[int, dict[str, np.ndarray]]:
    """Return the arrays and numbers of each parameter in a state.

    Args:
        state: as `state_of` returns it.
        rule: the optimizer's update rule.
        shapes: the shape of each parameter.
        settings: for each parameter, the settings of its group.

    Raises:
        CheckpointError: an array is missing, unknown, of another shape, or not finite.
    """
    kept: dict[int, dict[str, np.ndarray]] = {}
    for path, value in state.items():
        start, _, rest = path.partition(".")
        if start == "state":
            place, _, what = rest.partition(".")
            if not place.isdigit() or int(place) >= len(shapes):
                raise CheckpointError(f"its optimizer kept {path}, and there is no such parameter here")
            kept.setdefault(int(place), {})[what] = np.asarray(value)
    for index, arrays in kept.items():
        names = [*rule.arrays_for(settings[index]), *rule.scalars] if rule else []
        known = {*rule.arrays, *rule.scalars} if rule else set()
        if not {*names} <= arrays.keys() <= known:  # more, if a setting such as momentum is now 0
            raise CheckpointError(
                f"its optimizer kept {', '.join(sorted(arrays))} for parameter {index}, not "
                f"{', '.join(sorted(names)) or 'nothing'}; load it with the optimizer that saved it"
            )
        for what, array in arrays.items():
            shape = () if rule and what in rule.scalars else shapes[index]
            if array.shape != shape or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
                raise CheckpointError(
                    f"its state.{index}.{what} is {array.dtype} of shape {array.shape}, or not finite; "
                    f"it must be finite and of shape {shape}"
                )
    return kept


def steps_in(state: Mapping[str, Any]) -> int | None:
    """Return the number of steps in a state. Without a schedule there is none.

    Raises:
        CheckpointError: it is not a number of steps.
    """
    steps = np.asarray(state.get("steps", 0))
    if steps.shape or steps.dtype.kind not in "iu" or not 0 <= steps < 2**62:
        raise CheckpointError(f"its steps are {state['steps']!r}; they must be an integer from 0 on")
    return int(steps) if "steps" in state else None


def _settings_of(group: Group) -> dict[str, Any]:
    """Return what a state keeps of a group. A schedule is code, and is left out."""
    has_number = group.rate is not None and not group.schedule
    rate = {"learning_rate": group["learning_rate"]} if has_number else {}
    return {"parameters": len(group.parameters)} | rate | group.settings


def _is_a_count(name: str) -> bool:
    return name.endswith(".parameters")


def _converted(state: Mapping[str, Any], groups: Sequence[Group]) -> Mapping[str, Any]:
    """Return a state in today's form. That of version 0.1 was SGD's learning rate alone."""
    if state.keys() != {"learning_rate"} or len(groups) != 1:
        return state
    settings = _settings_of(groups[0]) | dict(state)
    return {f"groups.0.{name}": value for name, value in settings.items()}


def _other(kept: str, name: str, group: Group) -> str:
    return (
        f"its optimizer kept {kept}, but {name} keeps {', '.join(_settings_of(group))}; load it with "
        "the optimizer that saved it"
    )
