"""Save a training run to a file, and go on from it with the same bits as if it had never stopped.

The file is in the safetensors format. It has the arrays of each part as `part.name`, and everything else
as JSON in its metadata.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from backends import active
from backends.errors import one_line, printable
from scratchnet.errors import CheckpointError
from scratchnet.optimizers.state import settings_of, with_settings
from scratchnet.training.checkpoint import FORMAT, TRAINING, read_with_digest, write
from scratchnet.training.generators import global_states, set_global_states, set_states, states_of
from scratchnet.training.history import is_series
from scratchnet.training.parallel.shards import is_shards
from scratchnet.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from scratchnet.training.training import Training

_CALLBACKS = "callbacks"  # this part is there only if a callback has a state
_GLOBAL = "global generators"  # and this one only if training has drawn from them
_FIRST = "first settings"  # files of version 0.1 do not have this one
_OWN = "learner settings"  # nor this one
_WHICH = (
    'give resume optimizer_settings="given" to go on with the settings of this one, or "saved" to go on '
    "with those of the file"
)
_SHARDS = "shards"  # of data-parallel training
_OWN_NAMES = "accumulate", "clip_grad_norm", "clip_grad_value"

State = Mapping[str, Mapping[str, Any]]
"""Arrays, numbers and text, by part (network, optimizer, loader, …) and name."""


class SavedTraining(NamedTuple):
    """The content of a file."""

    state: dict[str, dict[str, Any]]
    """The state of each part."""
    settings: dict[str, Any]
    """`Learner.settings`."""
    made_by: dict[str, str]
    """The versions of the libraries and the backend that wrote the file."""
    digest: str = ""
    """The SHA-256 that the file names."""


def save_training(
    path: str | Path,
    state: State,
    settings: Mapping[str, Any],
    begin: Callable[[str], object] | None = None,
) -> str:
    """Write the file completely or not at all. An existing file stays until the new one is complete.

    Args:
        path: the file.
        state: the arrays, numbers and text of each part.
        settings: `Learner.settings`.
        begin: called with the SHA-256 before anything is written.

    Returns:
        The SHA-256 that the file names.

    Raises:
        CheckpointError: the file cannot be written, or a part has a value that is not an array, a number
            or text.
    """
    arrays: dict[str, np.ndarray] = {}
    parts: dict[str, dict[str, Any]] = {}
    for part, entries in state.items():
        parts[part] = {}
        for name, value in entries.items():
            kept = arrays if isinstance(value, np.ndarray) else parts[part]
            kept[f"{part}.{name}" if kept is arrays else name] = value
    facts = {"parts": parts, "settings": dict(settings), "made_by": made_by()}
    try:
        text = json.dumps(facts)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: only arrays, numbers and text can be kept: {error}") from error
    if repr(json.loads(text)) != repr(facts):
        raise CheckpointError(
            f"{path}: text, numbers, lists and dicts by text can be kept; something else in a state "
            "would come back changed"
        )
    return write(path, arrays, {"kind": TRAINING, "format": str(FORMAT), "training": text}, begin)


def read_training(path: str | Path) -> SavedTraining:
    """Read a file that `save_training` wrote.

    Raises:
        CheckpointError: the file is missing, damaged, of a newer format, or something else.
    """
    arrays, metadata, digest = read_with_digest(path)
    if metadata.get("kind") != TRAINING:
        kind = printable(metadata.get("kind", "file of arrays"))
        raise CheckpointError(
            f"{path}: is a {kind}, not a checkpoint; one is made by scratchnet train --checkpoint FILE"
        )
    with _understood(path):
        facts = json.loads(metadata["training"])
        for name in ("parts", "settings", "made_by"):
            if type(facts[name]) is not dict:
                raise ValueError(f"{name} is a {type(facts[name]).__name__}")
        version = facts["made_by"]["scratchnet"]
        if type(version) is not str or not version.isprintable():
            raise ValueError("its version is not text")
        state = {part: dict(entries) for part, entries in facts["parts"].items()}
        for name, array in arrays.items():
            part, _, rest = name.partition(".")
            state[part][rest] = array
        return SavedTraining(state, facts["settings"], facts["made_by"], digest)


@contextmanager
def _understood(path: str | Path) -> Iterator[None]:
    """Turn errors into `CheckpointError`. Only files made by hand cause them, as digests match."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        told = one_line(error)  # text from the file may contain a line break
        raise CheckpointError(f"{path}: its description is not understood: {told}") from error


def made_by() -> dict[str, str]:
    """Return everything whose change may change the bits: versions, machine, backend."""
    backend = active()
    return {
        "scratchnet": __version__, "Python": platform.python_version(), "NumPy": np.__version__,
        "machine": platform.machine(), "backend": backend.name, "library": backend.describe(),
    }  # fmt: skip


def state_of(learner: Training) -> dict[str, dict[str, Any]]:
    """Return the state of all parts of a training run.

    Raises:
        CheckpointError: a part has no `state_dict`, or a part of the state would be lost.
    """
    known = {id(each) for each in learner.net.parameters()}
    if any(id(each) not in known for each in learner.optimizer.parameters):
        raise CheckpointError(
            "the optimizer has a parameter that is not the network's, and would be lost; let the "
            "network have it as an attribute"
        )
    epochs, batches, seconds = learner.epochs, learner.batches_done, learner.seconds
    callbacks = learner.callbacks.state_dict()
    shards = {} if learner.shards in (None, 1) else {_SHARDS: learner.shards}
    return {
        "progress": {"epochs": epochs, "batches": batches, "seconds": seconds, **shards},
        "history": {name: np.array(each, np.float64) for name, each in learner.history.items()},
        "generators": states_of(learner.net.generators()),
        _FIRST: first_settings(learner),
        _OWN: {name: getattr(learner, name) for name in _OWN_NAMES},
        **{name: part.state_dict() for name, part in _parts(learner).items()},
        **({_CALLBACKS: callbacks} if callbacks else {}),
        **({_GLOBAL: global_states()} if learner.draws_globally else {}),
    }


def first_settings(learner: Training) -> dict[str, Any]:
    """Return the settings that the optimizer had before the first epoch: now, if none has begun."""
    if learner.epochs or learner.batches_done:
        return learner.first_settings
    return settings_of(learner.optimizer.groups)


def restore(learner: Training, state: State, optimizer_settings: str | None = None) -> None:
    """Set a training run to a state: completely, or not at all if there is an error.

    Args:
        learner: the training run.
        state: as `state_of` returns it.
        optimizer_settings: see `Learner.resume`.

    Raises:
        CheckpointError: the state is of another network, optimizer or data, or has other parts; or its
            optimizer or its Learner had other settings.
    """
    former, given = state_of(learner), first_settings(learner)
    if optimizer_settings is None:
        _check_own(former[_OWN], _own_in(state))
    if optimizer_settings == "given":
        groups = learner.optimizer.groups
        state = {
            **state,
            "optimizer": with_settings(state.get("optimizer", {}), groups),
            _FIRST: settings_of(groups),
            _OWN: former[_OWN],
        }
    try:
        _put(learner, state)
        if optimizer_settings is None:
            _check_settings(given, state.get(_FIRST, {}), settings_of(learner.optimizer.groups))
    except BaseException as error:
        _put(learner, former)
        if isinstance(error, Exception) and not isinstance(error, CheckpointError):
            raise CheckpointError(f"a part of it does not fit: {error!r}") from error
        raise


def _parts(learner: Training) -> dict[str, Any]:
    """Return the parts that have a state. The parts that differ most often come first."""
    parts: dict[str, Any] = {"net": learner.net, "train": learner.train}
    if learner.evaluator:
        if learner.evaluator.valid is not None:
            parts["valid"] = learner.evaluator.valid
        parts["evaluator"] = learner.evaluator
    return parts | {"optimizer": learner.optimizer}


def _put(learner: Training, state: State) -> None:
    parts = _parts(learner)
    names = [*parts, "progress", "history", "generators"]
    if state.keys() - {_CALLBACKS, _GLOBAL, _FIRST, _OWN} != set(names):
        raise CheckpointError(f"it holds {', '.join(sorted(state))}, not {', '.join(sorted(names))}")
    history = _history(learner, state["history"])
    epochs, batches, seconds = (state["progress"][name] for name in ("epochs", "batches", "seconds"))
    if not (type(epochs) is type(batches) is int and epochs >= 0 and 0 <= batches < len(learner.train)):
        raise CheckpointError(f"its progress is {epochs!r} epochs and {batches!r} batches")
    if type(seconds) is not float or not 0 <= seconds < math.inf:
        raise CheckpointError(f"its epoch has taken {seconds!r} seconds")
    shards = state["progress"].get(_SHARDS)
    if shards is not None and not is_shards(shards):
        raise CheckpointError(f"its batches are in {shards!r} shards")
    for name, parameter in learner.net.named_parameters():
        kept = state["net"].get(name)
        if isinstance(kept, np.ndarray) and kept.dtype != parameter.dtype:
            raise CheckpointError(
                f"its {name} is of {kept.dtype}, and the network's of {parameter.dtype}"
            )
    for name, part in parts.items():
        part.load_state_dict(state[name])
    set_states(learner.net.generators(), state["generators"])
    learner.callbacks.load_state_dict(state.get(_CALLBACKS, {}))
    for name, values in history.items():
        learner.history[name][:] = values
    learner.epochs, learner.batches_done, learner.seconds = epochs, batches, seconds
    learner.shards = shards or (1 if epochs or batches else None)
    learner.first_settings = dict(state.get(_FIRST) or settings_of(learner.optimizer.groups))
    for name, value in _own_in(state).items():
        setattr(learner, name, value)
    learner.draws_globally = _GLOBAL in state
    if learner.draws_globally:
        set_global_states(state[_GLOBAL])


def _own_in(state: State) -> Mapping[str, Any]:
    """Return the settings of the Learner in a state; nothing if it is of version 0.1.

    Raises:
        CheckpointError: they are something else. Only files made by hand have such.
    """
    own = state.get(_OWN, {})
    for name, value in own.items():
        kinds = (int,) if name == "accumulate" else (int, float, NoneType)
        if name not in _OWN_NAMES or type(value) not in kinds or (value is not None and value <= 0):
            raise CheckpointError(f"its Learner has the setting {name!r}: {value!r}")
    return own


def _check_own(given: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Raise an error for a setting of the Learner that is not the saved one."""
    for name, value in saved.items():
        if given[name] != value:
            raise CheckpointError(
                f"its Learner had {name} {value}, and this one has {given[name]}; {_WHICH}"
            )


def _check_settings(given: Mapping[str, Any], first: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise an error for a setting that is not what the saved run began with, and not what it has now.

    A rate that changed during the run, by a callback or a program, is no conflict.
    """
    for name, value in given.items():
        if name in first and value not in (first[name], now.get(name)):
            _, place, setting = name.split(".")
            several = any(each.startswith("groups.1.") for each in given)
            group = f" in group {place}" if several else ""
            raise CheckpointError(
                f"its optimizer began with {setting} {first[name]}{group}, and this one with {value}; "
                f"{_WHICH}"
            )


def _history(learner: Training, kept: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return the series of the history, of equal lengths. A series not measured may be empty."""
    names = learner.history.keys()
    measured = {name: each for name, each in kept.items() if name in names or np.size(each)}
    lengths = {len(each) if is_series(each) else None for each in measured.values()}
    if len(lengths) != 1 or None in lengths:
        raise CheckpointError(
            f"its history is not float64 series of equal length: {', '.join(measured)}"
        )
    if measured.keys() != names:
        raise CheckpointError(
            f"its run measured {', '.join(measured)}, and this one measures {', '.join(names)}; give an "
            "evaluator of the same metrics"
        )
    return {name: each.tolist() for name, each in measured.items()}
