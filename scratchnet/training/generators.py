"""The states of random generators as text: those of a network, and the global ones."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from scratchnet.core.random import Philox
from scratchnet.errors import CheckpointError

Generators = Mapping[str, np.random.Generator | Philox]
"""By the path of the attribute that holds each."""


def text_of(state: Any) -> str:
    """Return a state as text, to be compared: `repr` would shorten its arrays."""
    if isinstance(state, dict):
        return repr({name: text_of(each) for name, each in state.items()})
    return repr(state.tobytes() if isinstance(state, np.ndarray) else state)


def states_of(generators: Generators) -> dict[str, str]:
    """Return the state of each generator."""
    return {
        path: json.dumps(each.bit_generator.state, default=lambda array: array.tolist())
        for path, each in generators.items()
    }


def set_states(generators: Generators, states: Mapping[str, Any]) -> None:
    """Set each generator to its state.

    Raises:
        CheckpointError: there are other generators than states.
    """
    if generators.keys() != states.keys():
        theirs, mine = (", ".join(each) or "none" for each in (states, generators))
        raise CheckpointError(f"its network has the generators {theirs}, and this one {mine}")
    for path, generator in generators.items():
        generator.bit_generator.state = json.loads(states[path], object_hook=_with_arrays)


def _with_arrays(state: dict[str, Any]) -> dict[str, Any]:
    """Turn a generator's lists into arrays again."""
    return {
        name: np.array(each, np.uint64) if isinstance(each, list) else each
        for name, each in state.items()
    }


def global_states() -> dict[str, str]:
    """Return the state of the global random generators as text."""
    numpy_s = np.random.get_state(legacy=False)
    return {
        "python": json.dumps(random.getstate()),
        "numpy": json.dumps(numpy_s, default=lambda array: array.tolist()),
    }


def set_global_states(state: Mapping[str, str]) -> None:
    """Set both to a state that `global_states` returned.

    Raises:
        CheckpointError: it is not such a state.
    """
    try:
        version, numbers, gauss = json.loads(state["python"])
        random.setstate((version, tuple(numbers), gauss))
        np.random.set_state(json.loads(state["numpy"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"its global generators are not understood: {error}") from error
