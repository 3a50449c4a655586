"""A training kept in a file, to go on from where it was: the same bits as if it had never stopped.

The file is safetensors: the arrays of each part under `part.name`, and all else as JSON beside them.
"""

from __future__ import annotations

import json
import math
import platform
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from backends import active, to_host
from scratchnet.core.stateful import is_series
from scratchnet.errors import CheckpointError
from scratchnet.files import digest_of
from scratchnet.layers import Module
from scratchnet.training.checkpoint import read, save
from scratchnet.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from scratchnet.training.training import Training

FORMAT = 1
_KIND = "scratchnet training"
_CALLBACKS = "callbacks"  # a part that is there only where one of them keeps something

State = Mapping[str, Mapping[str, Any]]
"""By part (network, optimiser, loader, …) and name: arrays, numbers and text."""


class SavedTraining(NamedTuple):
    """What a file holds of a training."""

    state: dict[str, dict[str, Any]]
    """What it goes on from."""
    settings: dict[str, Any]
    """`Learner.settings`."""
    made_by: dict[str, str]
    """The versions of the libraries and the backend that wrote it."""


def save_training(path: str | Path, state: State, settings: Mapping[str, Any]) -> None:
    """Write it whole or not at all; the file that was there is kept until then.

    Raises:
        CheckpointError: it cannot be written, or a part holds what is no array, number or text.
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
    save(path, arrays, {"kind": _KIND, "format": str(FORMAT), "training": text})


def read_training(path: str | Path) -> SavedTraining:
    """What `save_training` wrote.

    Raises:
        CheckpointError: the file is missing, damaged, of a newer format, or something else.
    """
    arrays, metadata = read(path)
    if metadata.get("kind") != _KIND:
        kind = metadata.get("kind", "file of arrays")
        raise CheckpointError(
            f"{path}: is a {kind}, not a checkpoint; one is made by scratchnet train --checkpoint FILE"
        )
    if metadata.get("format") != str(FORMAT):
        raise CheckpointError(
            f"{path}: was written by a newer scratchnet: its format is {metadata.get('format')}, and "
            f"this release knows {FORMAT}; update scratchnet"
        )
    with _understood(path):
        facts = json.loads(metadata["training"])
        for name in ("parts", "settings", "made_by"):
            if type(facts[name]) is not dict:
                raise ValueError(f"{name} is a {type(facts[name]).__name__}")
        version = facts["made_by"]["scratchnet"]
        if type(version) is not str or not version.isprintable():
            raise ValueError("its version is no text")
        state = {part: dict(entries) for part, entries in facts["parts"].items()}
        for name, array in arrays.items():
            part, _, rest = name.partition(".")
            state[part][rest] = array
        return SavedTraining(state, facts["settings"], facts["made_by"])


@contextmanager
def _understood(path: str | Path) -> Iterator[None]:
    """Only a file made by hand gets here, for what is read has the digest of what was saved."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its description is not understood: {error}") from error


def made_by() -> dict[str, str]:
    """What may change the bits, were it another."""
    backend = active()
    return {
        "scratchnet": __version__, "Python": platform.python_version(), "NumPy": np.__version__,
        "machine": platform.machine(), "backend": backend.name, "library": backend.describe(),
    }  # fmt: skip


def state_of(learner: Training) -> dict[str, dict[str, Any]]:
    """All that a training goes on from, by part.

    Raises:
        CheckpointError: a part cannot say what it keeps, or one would be lost.
    """
    known = {id(each) for each in learner.net.parameters()}
    if any(id(each) not in known for each in learner.optimizer.parameters):
        raise CheckpointError(
            "the optimizer has a parameter that is not the network's, and would be lost; let the "
            "network have it as an attribute"
        )
    epochs, batches, seconds = learner.epochs, learner.batches_done, learner.seconds
    callbacks = learner.callbacks.state_dict()
    return {
        "progress": {"epochs": epochs, "batches": batches, "seconds": seconds},
        "history": {name: np.array(each, np.float64) for name, each in learner.history.items()},
        "generators": {
            path: json.dumps(each.bit_generator.state, default=lambda array: array.tolist())
            for path, each in learner.net.generators().items()
        },
        **{name: part.state_dict() for name, part in _parts(learner).items()},
        **({_CALLBACKS: callbacks} if callbacks else {}),
    }


def beside_state(net: Module) -> dict[str, str]:
    """What modules hold in attributes beside their state and generators, by path, in a comparable form.

    It looks at arrays, numbers and generators, and at those in lists.
    """
    held: dict[str, str] = {}
    for path, module in net.named_modules():
        for name, thing in vars(module).items():
            if name == "training":
                continue
            things = thing if isinstance(thing, list) else [thing]
            for place, each in enumerate(things):
                where = f"{path}.{name}".removeprefix(".") + (f".{place}" if things is thing else "")
                if isinstance(each, (int, float, np.number)):
                    held[where] = repr(each)
                elif isinstance(each, (np.ndarray, active().array_type)):
                    held[where] = digest_of({where: to_host(each)})
                elif isinstance(each, random.Random):
                    held[where] = repr(each.getstate())
                elif isinstance(each, np.random.Generator) and things is thing:  # else it is kept
                    held[where] = repr(each.bit_generator.state)
    return held


def restore(learner: Training, state: State) -> None:
    """Let a training go on from there: from all of it, or on an error from nothing.

    Raises:
        CheckpointError: the state is of another network, optimiser or data, or has other parts.
    """
    former = state_of(learner)
    try:
        _put(learner, state)
    except BaseException as error:
        _put(learner, former)
        if isinstance(error, Exception) and not isinstance(error, CheckpointError):
            raise CheckpointError(f"a part of it does not fit: {error!r}") from error
        raise


def _parts(learner: Training) -> dict[str, Any]:
    """What has a state of its own. What is most likely to be another comes first."""
    parts: dict[str, Any] = {"net": learner.net, "train": learner.train}
    if learner.evaluator:
        if learner.evaluator.valid is not None:
            parts["valid"] = learner.evaluator.valid
        parts["evaluator"] = learner.evaluator
    return parts | {"optimizer": learner.optimizer}


def _put(learner: Training, state: State) -> None:
    parts = _parts(learner)
    names = [*parts, "progress", "history", "generators"]
    if state.keys() - {_CALLBACKS} != set(names):
        raise CheckpointError(f"it holds {', '.join(sorted(state))}, not {', '.join(sorted(names))}")
    history = _history(learner, state["history"])
    epochs, batches, seconds = (state["progress"][name] for name in ("epochs", "batches", "seconds"))
    if not (type(epochs) is type(batches) is int and epochs >= 0 and 0 <= batches < len(learner.train)):
        raise CheckpointError(f"its progress is {epochs!r} epochs and {batches!r} batches")
    if type(seconds) is not float or not 0 <= seconds < math.inf:
        raise CheckpointError(f"its epoch has taken {seconds!r} seconds")
    for name, parameter in learner.net.named_parameters():
        kept = state["net"].get(name)
        if isinstance(kept, np.ndarray) and kept.dtype != parameter.dtype:
            raise CheckpointError(
                f"its {name} is of {kept.dtype}, and the network's of {parameter.dtype}"
            )
    for name, part in parts.items():
        part.load_state_dict(state[name])
    _set_generators(learner.net.generators(), state["generators"])
    learner.callbacks.load_state_dict(state.get(_CALLBACKS, {}))
    for name, values in history.items():
        learner.history[name][:] = values
    learner.epochs, learner.batches_done, learner.seconds = epochs, batches, seconds


def _history(learner: Training, kept: Mapping[str, Any]) -> dict[str, list[float]]:
    """Its series, all equally long. What was not measured may be there, and empty."""
    names = learner.history.keys()
    measured = {name: each for name, each in kept.items() if name in names or np.size(each)}
    lengths = {len(each) if is_series(each) else None for each in measured.values()}
    if measured.keys() != names or len(lengths) != 1 or None in lengths:
        raise CheckpointError(f"its history is no float64 series, equally long, of {', '.join(names)}")
    return {name: each.tolist() for name, each in measured.items()}


def _set_generators(generators: Mapping[str, np.random.Generator], states: Mapping[str, Any]) -> None:
    if generators.keys() != states.keys():
        theirs, mine = (", ".join(each) or "none" for each in (states, generators))
        raise CheckpointError(f"its network has the generators {theirs}, and this one {mine}")
    for path, generator in generators.items():
        generator.bit_generator.state = json.loads(states[path], object_hook=_with_arrays)


def _with_arrays(state: dict[str, Any]) -> dict[str, Any]:
    """A generator's lists as the arrays that they were."""
    return {
        name: np.array(each, np.uint64) if isinstance(each, list) else each
        for name, each in state.items()
    }
