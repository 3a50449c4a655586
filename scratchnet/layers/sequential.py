"""Sequential: stages, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backends.errors import kind_of
from scratchnet.errors import OperandError
from scratchnet.layers.module import Module


class Sequential(Module):
    """Stages, one after the other: modules and plain functions alike. Paths are `0.weight`, `2.bias`.

    Args:
        stages: each takes what the one before it gave.

    Raises:
        OperandError: a stage cannot be called.
    """

    def __init__(self, *stages: Callable[..., Any]) -> None:
        """See the class."""
        for position, stage in enumerate(stages):
            if not callable(stage):
                raise OperandError(
                    f"Sequential: stage {position} is {kind_of(stage)}, which cannot be "
                    "called; give modules and functions"
                )
        self.stages = stages

    def forward(self, x: Any) -> Any:
        """Through all stages."""
        for stage in self.stages:
            x = stage(x)
        return x

    def _held(self) -> dict[Any, Any]:
        """The stages by their numbers, and what else it holds."""
        held = super()._held()
        return dict(enumerate(held.pop("stages", ()))) | held

    def __rshift__(self, stage: Callable[..., Any]) -> Any:
        """One stage more."""
        return Sequential(*self.stages, stage) if callable(stage) else NotImplemented

    def __getitem__(self, position: int) -> Callable[..., Any]:
        """The stage at that position."""
        return self.stages[position]

    def __len__(self) -> int:
        """The number of stages."""
        return len(self.stages)

    def _shown(self) -> dict[Any, Any]:
        """All stages, functions too."""
        return dict(enumerate(self.stages))


Module.sequential = Sequential
