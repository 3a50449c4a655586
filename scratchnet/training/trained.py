"""Save and load what `scratchnet train` has trained: the network, and how its data are prepared."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from backends.errors import one_line, printable, some_of
from scratchnet.data.identity import class_names
from scratchnet.data.readers import SIDE
from scratchnet.data.reading import CIFAR, FOLDER, FORMS, IMAGES, TABLE, Reading
from scratchnet.errors import CheckpointError, ShapeError
from scratchnet.files import of_version_0_1
from scratchnet.layers import Module
from scratchnet.training.checkpoint import FORMAT, read, save
from scratchnet.training.recipe import RECIPES, Regressor
from scratchnet.training.tasks import TASKS

if TYPE_CHECKING:
    from pathlib import Path

_KIND = "scratchnet model 1"
_OLD_KINDS = {"scratchnet classifier 1": "mlp", "scratchnet cnn 1": "cnn"}
_MEAN, _STD, _OLD_MEAN = "input_mean", "input_std", "mean_image"
_NAMED = 8  # names of a foreign file's content that an error shows


class TrainedModel(NamedTuple):
    """A network, and what it needs to prepare samples as in training."""

    net: Module
    model: str
    """The name of its recipe."""
    reading: Reading
    source: str
    """The name of its training data."""


def save_model(path: str | Path, trained: TrainedModel, overwrite: bool = False) -> None:
    """Save to a safetensors file. Raises `CheckpointError` if that fails; see `sn.save`."""
    told = trained.reading._asdict()
    arrays = {_MEAN: told.pop("mean"), _STD: told.pop("std")}
    description = json.dumps({"model": trained.model, **told})
    metadata = {"kind": _KIND, "format": str(FORMAT), "trained_on": trained.source}
    save(path, trained.net.state_dict() | arrays, metadata | {"reading": description}, overwrite)


def load_model(path: str | Path) -> TrainedModel:
    """Load a file that `save_model` or an earlier version wrote, on any backend, to the active one.

    Raises:
        CheckpointError: the file cannot be read, is another network's, or holds NaN or infinity.
    """
    state, metadata = read(path)
    kind, source = metadata.get("kind", ""), printable(metadata.get("trained_on", ""))
    none = np.zeros(0, np.float32)
    if kind in _OLD_KINDS:
        state[_MEAN] = state.pop(_OLD_MEAN, none)
        state[_STD] = np.ones_like(state[_MEAN])
        names = class_names(source)
        model, reading = _OLD_KINDS[kind], Reading(IMAGES, (1, SIDE, SIDE), TASKS[0], names, none, none)
    elif kind == _KIND:
        model, reading = _described(path, metadata.get("reading", ""))
    else:
        raise _foreign(path, state)
    state = _checked(path, state, model, reading)
    reading = reading._replace(mean=state.pop(_MEAN), std=state.pop(_STD))
    net = _network(model, reading, state)
    net.load_state_dict(state)
    return TrainedModel(net, model, reading, source)


def _described(path: str | Path, text: str) -> tuple[str, Reading]:
    """Return the recipe's name and the reading of a file's description.

    Raises:
        CheckpointError: it is not understood. Only files made by hand cause this, as digests match.
    """
    try:
        told = json.loads(text)
        model, none = told.pop("model"), np.zeros(0, np.float32)
        told |= {name: tuple(each) for name, each in told.items() if isinstance(each, list)}
        told["class_names"] = tuple(map(str, told["class_names"]))
        reading = Reading(**told, mean=none, std=none)
        fits = model in RECIPES and _fits(reading)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        told = one_line(error)  # text from the file may contain a line break
        raise CheckpointError(f"{path}: its description is not understood: {told}") from error
    if not fits:
        raise CheckpointError(f"{path}: its description does not fit together; train and save it again")
    return model, reading


def _fits(reading: Reading) -> bool:
    """Whether the parts of a reading fit together. Raises `TypeError` if a part is of a wrong kind."""
    table = reading.form == TABLE
    sizes = [type(each) is int and each > 0 for each in reading.shape]
    columns = [type(each) in (int, str) for each in (*reading.features, *reading.targets)]
    names = {"binary": 2, "multilabel": len(reading.targets)}
    return (
        reading.form in FORMS and reading.task in TASKS and reading.outputs > 0
        and (reading.drawn_by is None or (type(reading.drawn_by) is int and reading.drawn_by >= 0))
        and len(reading.class_names) == names.get(reading.task, len(reading.class_names))
        and len(sizes) == (1 if table else 3) and all(sizes) and all(columns)
        and (reading.form != IMAGES or reading.shape[0] == 1)
        and table == (len(reading.features) == reading.shape[0])
    )  # fmt: skip


def _checked(
    path: str | Path, state: dict[str, np.ndarray], model: str, reading: Reading
) -> dict[str, np.ndarray]:
    """Return the state with the names of today, if each array is there, of its shape, and finite."""
    inside = "net." if reading.task == "regression" else ""
    hidden = state[f"{inside}fc1.weight"].shape[:1] if f"{inside}fc1.weight" in state else ()
    if hidden in ((), (0,)):
        raise _foreign(path, state)
    try:
        shapes = RECIPES[model].shapes(hidden[0], reading.shape, reading.outputs)
    except ShapeError as error:
        raise CheckpointError(f"{path}: its description does not fit together: {error}") from error
    shapes = {f"{inside}{name}": shape for name, shape in shapes.items()}
    of_inputs = {
        IMAGES: (1, math.prod(reading.shape)), CIFAR: (1, reading.shape[0], 1, 1),
        FOLDER: (reading.shape[0], 1, 1),
        TABLE: reading.shape,
    }[reading.form]  # fmt: skip
    shapes |= {_MEAN: of_inputs, _STD: of_inputs}
    if inside:
        of_targets = () if reading.outputs == 1 else (reading.outputs,)
        shapes |= {"target_mean": of_targets, "target_std": of_targets}
    state = of_version_0_1(state, shapes)
    if state.keys() != shapes.keys():
        raise _foreign(path, state)
    for name, array in state.items():
        if array.shape != shapes[name] or array.dtype != np.float32:
            raise CheckpointError(
                f"{path}: {name} is {array.dtype} of shape {array.shape}, not float32 of {shapes[name]}"
            )
        if not np.isfinite(array).all():
            raise CheckpointError(f"{path}: {name} holds NaN or infinity; train and save it again")
        if name in (_STD, "target_std") and (array < np.finfo(np.float32).tiny).any():
            raise CheckpointError(f"{path}: {name} is not positive; train and save it again")
    return state


def _network(model: str, reading: Reading, state: dict[str, np.ndarray]) -> Module:
    """Return a network for this state, which is then loaded."""
    inside = "net." if reading.task == "regression" else ""
    hidden = len(state[f"{inside}fc1.weight"])
    net = RECIPES[model].net(hidden, 0, reading.shape, reading.outputs)
    return Regressor(net, state["target_mean"], state["target_std"]) if inside else net


def _foreign(path: str | Path, state: dict[str, Any]) -> CheckpointError:
    held = some_of(map(repr, sorted(state)), _NAMED) or "nothing"
    return CheckpointError(
        f"{path}: is not a model of scratchnet train; it holds {held}; save one with: "
        "scratchnet train --save FILE"
    )
