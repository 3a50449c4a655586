"""Stateful: the base class of everything that a checkpoint stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scratchnet.errors import CheckpointError


class Stateful:
    """Base class of loaders, optimizers and evaluators.

    A subclass defines what it keeps; otherwise it cannot be saved.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue from here: host arrays, numbers and text, by name.

        Raises:
            CheckpointError: the subclass does not define this method.
        """
        raise CheckpointError(
            f"{type(self).__name__} must define state_dict(); otherwise its state would be lost"
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            CheckpointError: the state belongs to an object of another kind.
            NotImplementedError: the subclass does not define this method.
        """
        raise NotImplementedError(f"{type(self).__name__} must define load_state_dict(state)")
