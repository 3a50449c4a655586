"""The state of a network: how it is gathered from its parts, checked, and put back.

A part is a parameter or buffer, whose state is an array, or a module that defines its own `state_dict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from backends import to_device, to_host
from backends.errors import kind_of
from scratchnet.errors import CheckpointError, SettingError
from scratchnet.files import of_version_0_1
from scratchnet.variable import Variable


def state_of(parts: Mapping[str, Any], network: str) -> dict[str, Any]:
    """Return copies of the arrays of these parts on the host, by path.

    Raises:
        SettingError: two parts have the same path; `network` is the name for the message.
    """
    state: dict[str, Any] = {}
    for path, part in parts.items():
        if isinstance(part, Variable):
            given = {path: np.array(to_host(part.data), order="C")}
        else:
            given = {f"{path}.{name}": value for name, value in part.state_dict().items()}
        if twice := state.keys() & given.keys():
            raise SettingError(f"{network}: two parts have the path {min(twice)}; rename one of them")
        state |= given
    return state


def load_state(parts: Mapping[str, Any], state: Mapping[str, Any], network: str) -> None:
    """Put a state into these parts. After an error, all parts are as before.

    Raises:
        CheckpointError: a path is missing or unknown, an array does not fit, or a part is read-only.
    """
    name = f"{network}.load_state_dict"
    if not isinstance(state, Mapping):
        raise CheckpointError(
            f"{name}: the state is {kind_of(state)}; give a dict of arrays, as state_dict() returns it; "
            "sn.load(path, net) reads a file"
        )
    given, former = (_divided(each, parts, name) for each in (state, state_of(parts, network)))
    try:
        for path, part in parts.items():
            _put(part, given[path])
    except BaseException as error:
        for done, part in parts.items():
            with suppress(Exception):  # a part that cannot be written is unchanged
                _put(part, former[done])
        if not isinstance(error, ValueError) or isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{name}: {path} cannot be written to ({error}); give the parameter its own memory: "
            "parameter.data = parameter.data.copy()"
        ) from error


def _put(part: Any, value: Any) -> None:
    """Copy a value into a parameter or buffer, in place; let a module with its own state load it."""
    if isinstance(part, Variable):
        part.data[...] = to_device(value)
        part.edge.version[0] += 1
    else:
        part.load_state_dict(value)


def _divided(state: Mapping[str, Any], parts: Mapping[str, Any], network: str) -> dict[str, Any]:
    """Check a state and divide it by parts: an array for each parameter or buffer.

    A module that defines its own state gets a dict with its part of the state.

    Raises:
        CheckpointError: a path is missing or unknown, or an array does not fit.
    """
    own = {path: part for path, part in parts.items() if isinstance(part, Variable)}
    others = [path for path in parts if path not in own]
    values: dict[str, Any] = {path: {} for path in others}
    state = of_version_0_1(state, {path: each.shape for path, each in own.items()})
    if missing := [path for path in own if path not in state]:
        raise CheckpointError(
            f"{network}: the state has no value for {missing[0]}; load it into the network it came from"
        )
    for path, value in state.items():
        if path not in own:
            owners = [each for each in others if path.startswith(f"{each}.")]
            owner = max(owners, key=len, default=None)
            if owner is None:
                raise CheckpointError(
                    f"{network}: {path} is not a parameter of this network, which has {', '.join(own)}"
                )
            values[owner][path.removeprefix(f"{owner}.")] = value
            continue
        if hasattr(value, "mask"):
            raise CheckpointError(f"{network}: {path} is a masked array; give {path}.filled(…)")
        array, kind = np.asarray(value), own[path].dtype.kind
        if array.dtype.kind not in ("iuf" if kind == "f" else kind):
            raise CheckpointError(
                f"{network}: {path} holds {array.dtype}, but the network's holds {own[path].dtype}; "
                "give numbers of that kind"
            )
        if array.shape != own[path].shape:
            raise CheckpointError(
                f"{network}: {path} has shape {array.shape}, but the network's has {own[path].shape}; "
                "build the network with the same sizes as the saved one"
            )
        with np.errstate(over="ignore"):
            narrowed = array.astype(own[path].dtype, copy=False)
        if kind == "f" and not np.array_equal(np.isfinite(narrowed), np.isfinite(array)):
            raise CheckpointError(f"{network}: {path} holds numbers too large for {own[path].dtype}")
        values[path] = narrowed
    return values
