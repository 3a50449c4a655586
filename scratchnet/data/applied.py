"""The transforms of a loader, applied to its batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from backends import Array, xp
from scratchnet.core.function import is_ours
from scratchnet.data.batches import Batch, as_batch, each_array
from scratchnet.errors import OperandError

Transform: TypeAlias = Callable[[Any], Any]

_PASS, _BATCH = 1 << 32, 1 << 10
"""Draws between the beginnings of two passes, and of two batches."""


class Applied:
    """Applies the transforms of inputs and targets.

    The draws of a random transform depend on the seed, the pass and the batch. So a resumed pass has the
    same draws as one that never stopped.

    Args:
        transform: a function of the inputs: of one array, or of a tuple or dict as they come.
        target_transform: the same for the targets.
        seed: for random transforms.
    """

    def __init__(
        self, transform: Transform | None, target_transform: Transform | None, seed: int
    ) -> None:
        # A random transform may be given to several loaders. Each has a copy with a seed of its own.
        self._transforms = tuple(
            _copied(each) if is_random(each) else each for each in (transform, target_transform)
        )
        for place, each in enumerate(self._transforms):
            if each is not None and not callable(each):
                raise OperandError(
                    f"transform is a {type(each).__name__}; it must be a function of a batch's array"
                )
            if is_random(each):
                each.seed([seed, place])  # type: ignore[union-attr]
        self._pass: Array | None = None
        self._begun: int | None = None

    @property
    def anything(self) -> bool:
        """Whether there is any transform."""
        return any(self._transforms)

    @property
    def capturable(self) -> bool:
        """Whether a captured epoch may hold the transforms: they are the library's own, or say so."""
        parts = [part for each in self._transforms for part in getattr(each, "transforms", (each,))]
        return all(
            part is None
            or getattr(part, "capturable", False)
            or is_ours(part if hasattr(part, "__qualname__") else type(part))
            for part in parts
        )

    def begin(self, passes: int) -> None:
        """Begin a pass. A captured pass reads its number from the same address."""
        if not any(map(is_random, self._transforms)):
            return
        if self._pass is None:
            self._pass = xp.zeros((), xp.uint64)
        self._pass[...] = passes * _PASS
        self._begun = passes

    def in_pass(self, passes: int, batches: Iterable[Batch], done: int) -> Iterator[Batch]:
        """Yield the training batches of this pass after the first `done`, transformed."""
        if not self.anything:
            yield from batches
            return
        self.begin(passes)
        for number, batch in enumerate(batches, start=done):
            if self._begun not in (None, passes):  # another pass has begun in the meantime
                self.begin(passes)
            yield self(batch, number)

    def __call__(self, batch: Batch, number: int) -> Batch:
        """Return a training batch, transformed. `number` counts the batches of the pass."""
        for each in self._transforms:
            if is_random(each) and self._pass is not None:
                each.begin(self._pass + number * _BATCH)  # type: ignore[union-attr]
        return _transformed(batch, self._transforms)

    def in_evaluation(self, batch: Batch) -> Batch:
        """Return a batch for evaluation, without random transforms."""
        calm = tuple(e.for_evaluation() if is_random(e) else e for e in self._transforms)  # type: ignore[union-attr]
        return _transformed(batch, calm)


def _copied(transform: Any) -> Any:
    from copy import deepcopy  # few loaders need it

    return deepcopy(transform)


def is_random(transform: Transform | None) -> bool:
    """Whether a transform draws random numbers."""
    return bool(getattr(transform, "random", False))


def _transformed(batch: Batch, transforms: tuple[Transform | None, ...]) -> Batch:
    if not any(transforms):
        return batch
    parts = list(batch)
    for place, transform in enumerate(transforms):
        if transform is not None and parts[place] is not None:
            parts[place] = transform(each_array(lambda variable: variable.data, parts[place]))
    return as_batch(tuple(parts))
