"""Sequential: a network of stages that are applied one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backends.errors import kind_of
from scratchnet.errors import OperandError
from scratchnet.layers.module import Module


class Sequential(Module):
    """A network of stages: it applies modules and plain functions one after the other.

        net = sn.Sequential(sn.Linear(784, 100), sn.relu, sn.Linear(100, 10))

    The paths of its parameters begin with the position of the stage: `0.weight`, `2.bias`.

    Args:
        stages: modules or functions. Each takes the result of the stage before it.

    Raises:
        OperandError: a stage cannot be called.
    """

    def __init__(self, *stages: Callable[..., Any]) -> None:
        for position, stage in enumerate(stages):
            if not callable(stage) or isinstance(stage, type):
                raise OperandError(
                    f"Sequential: stage {position} is {kind_of(stage)}, which cannot be applied; give "
                    "modules, such as Linear(3, 2), and functions"
                )
        self.stages = stages

    def forward(self, x: Any) -> Any:
        """Apply all stages to x and return the last result."""
        for stage in self.stages:
            x = stage(x)
        return x

    def _held(self) -> dict[Any, Any]:
        """Return the stages by position, and the other attributes by name."""
        held = super()._held()
        return dict(enumerate(held.pop("stages", ()))) | held

    def __rshift__(self, stage: Callable[..., Any]) -> Any:
        """Return a new Sequential with one more stage."""
        return Sequential(*self.stages, stage) if callable(stage) else NotImplemented

    def __getitem__(self, position: int) -> Callable[..., Any]:
        """Return the stage at a position."""
        return self.stages[position]

    def __len__(self) -> int:
        """Return the number of stages."""
        return len(self.stages)

    def _shown(self) -> dict[Any, Any]:
        """Return all stages by position, including plain functions."""
        return dict(enumerate(self.stages))


Module._sequential = Sequential
