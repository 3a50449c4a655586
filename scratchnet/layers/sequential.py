"""Sequential: a network of stages that are applied one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self, TypeAlias, overload

import numpy as np

from backends.errors import kind_of
from scratchnet.errors import IndexingError, OperandError
from scratchnet.layers.module import Module

Stage: TypeAlias = Callable[..., Any]


class Sequential(Module):
    """A network of stages: it applies modules and plain functions one after the other.

        net = sn.Sequential(sn.Linear(784, 100), sn.relu, sn.Linear(100, 10))
        net.append(sn.softmax)
        net[1] = sn.tanh
        first = net[:2]  # a Sequential that shares the modules

    It works like a list of its stages. The paths of its parameters begin with the position of the stage:
    `0.weight`, `2.bias`. So they change if you insert or delete a stage before it.

    Args:
        stages: modules or functions. Each takes the result of the stage before it.

    Raises:
        OperandError: a stage cannot be called.
    """

    def __init__(self, *stages: Stage) -> None:
        self.stages = _checked(stages)

    def forward(self, x: Any) -> Any:
        """Apply all stages to x and return the last result.

        Raises:
            OperandError: a stage does not take what the stage before it returned.
        """
        for position, stage in enumerate(self.stages):
            try:
                x = stage(x)
            except OperandError as error:
                if not position or kind_of(x) != "a tuple" or "a tuple" not in str(error):
                    raise
                former = type(self.stages[position - 1]).__name__
                raise OperandError(
                    f"Sequential: stage {position - 1} ({former}) returned a tuple, and stage "
                    f"{position} does not take one; create a recurrent layer with return_state=False, "
                    "or put `lambda y: y[0]` between the two"
                ) from error
        return x

    def append(self, stage: Stage) -> Self:
        """Add a stage at the end, and return this network."""
        return self.extend([stage])

    def extend(self, stages: Iterable[Stage]) -> Self:
        """Add stages at the end, and return this network."""
        self.stages += _checked(stages, len(self))
        return self

    def insert(self, position: int, stage: Stage) -> Self:
        """Add a stage before the stage at a position, and return this network."""
        stages = list(self.stages)
        stages.insert(position, *_checked([stage], position))
        self.stages = tuple(stages)
        return self

    def _held(self) -> dict[Any, Any]:
        """Return the stages by position, and the other attributes by name."""
        held = super()._held()
        return dict(enumerate(held.pop("stages", ()))) | held

    def __rshift__(self, stage: Stage) -> Any:
        """Return a new Sequential with one more stage."""
        return Sequential(*self.stages, stage) if callable(stage) else NotImplemented

    @overload
    def __getitem__(self, position: slice) -> Sequential: ...
    @overload
    def __getitem__(self, position: int) -> Stage: ...
    def __getitem__(self, position: int | slice) -> Stage:
        """Return the stage at a position, or a new Sequential that shares the stages of a slice."""
        if isinstance(position, slice):
            return Sequential(*self.stages[position])
        return self.stages[self._place(position)]

    def __setitem__(self, position: int | slice, stage: Any) -> None:
        """Replace the stage at a position, or the stages of a slice."""
        stages = list(self.stages)
        if isinstance(position, slice):
            stages[position] = _checked(stage, position.start or 0)
        else:
            place = self._place(position)
            stages[place : place + 1] = _checked([stage], place)
        self.stages = tuple(stages)

    def __delitem__(self, position: int | slice) -> None:
        """Remove the stage at a position, or the stages of a slice."""
        stages = list(self.stages)
        del stages[position if isinstance(position, slice) else self._place(position)]
        self.stages = tuple(stages)

    def _place(self, position: int) -> int:
        """Return a position counted from the front.

        Raises:
            IndexingError: there is no such position, or it is not an integer.
        """
        count = len(self)
        if not isinstance(position, (int, np.integer)) or not -count <= position < count:
            raise IndexingError(
                f"Sequential: there is no stage {position!r}; this network has {count} stages"
            )
        return int(position) % count

    def __iter__(self) -> Iterator[Stage]:
        """Go through the stages."""
        return iter(self.stages)

    def __contains__(self, stage: object) -> bool:
        """Return whether this very object is a stage."""
        return any(each is stage for each in self.stages)

    def __len__(self) -> int:
        """Return the number of stages."""
        return len(self.stages)

    def __bool__(self) -> bool:
        """Return True: a network without stages is a network, too."""
        return True

    def _shown(self) -> dict[Any, Any]:
        """Return all stages by position, including plain functions."""
        return dict(enumerate(self.stages))


def _checked(stages: Iterable[Any], first: int = 0) -> tuple[Stage, ...]:
    """Return stages as a tuple; `first` is the position of the first one, for the message.

    Raises:
        OperandError: a stage cannot be called.
    """
    if not isinstance(stages, Iterable):
        raise OperandError(f"Sequential: {kind_of(stages)} is not a list of stages; give several")
    found = tuple(stages)
    for position, stage in enumerate(found, first):
        if not callable(stage) or isinstance(stage, type):
            raise OperandError(
                f"Sequential: stage {position} is {kind_of(stage)}, which cannot be applied; give "
                "modules, such as Linear(3, 2), and functions"
            )
    return found


Module._sequential = Sequential
