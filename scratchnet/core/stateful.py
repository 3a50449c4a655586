"""What a part of a training keeps, for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scratchnet.errors import CheckpointError


class Stateful:
    """Base of loaders, optimisers and evaluators: a subclass says what it keeps, or is not saved."""

    def state_dict(self) -> dict[str, Any]:
        """What it goes on from: arrays on the host, numbers and text, by name.

        Raises:
            CheckpointError: a subclass does not say it.
        """
        raise CheckpointError(
            f"{type(self).__name__} does not say state_dict(): what it keeps would be lost"
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; raises `CheckpointError` where the state is another's."""
        raise NotImplementedError(f"{type(self).__name__} does not say load_state_dict(state)")
