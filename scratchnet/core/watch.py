"""Whether a leaf of a graph is still what it was when the graph was made."""

from __future__ import annotations

import itertools
import math
import sys
from typing import TYPE_CHECKING
from weakref import ref

from backends import Array, xp
from scratchnet.errors import StaleGraphError

if TYPE_CHECKING:
    from scratchnet.core.function import Function, Operand

ages = itertools.count()
"""What happens in a graph, in its order: a Function is applied, a leaf is changed."""


class Watch:
    """Of one leaf. The Functions of a graph hold it, so that it is known whether there are any.

    Attributes:
        changed: the age of the last change; infinite while it must be looked for.
        snapshot: where the array was taken out while a graph needed it: what it was then, and the age of
            the change before.
    """

    __slots__ = ("changed", "leaf", "snapshot")

    def __init__(self, leaf: Operand) -> None:
        """Not changed yet."""
        self.leaf = ref(leaf)
        self.changed: float = -1
        self.snapshot: tuple[Array, float] | None = None

    def taken_out(self, array: Array) -> None:
        """Somebody has the array now, and may change it, while a graph needs it as it is."""
        if self.snapshot is None:
            self.snapshot, self.changed = (array.copy(order="K"), self.changed), math.inf

    def touch(self) -> None:
        """Note that the array was changed: the graphs that have used it are no longer right."""
        self.changed, self.snapshot = next(ages), None

    def look(self, needed: bool) -> float:
        """The age of the last change, found by looking where the array was taken out.

        Who has taken it out may have it still: the watch goes on while it is needed.
        """
        leaf = self.leaf()
        if self.snapshot is None or leaf is None:
            return self.changed
        former, changed = self.snapshot
        if not _same(former, leaf.array):
            former, changed = leaf.array.copy(order="K"), next(ages)
        self.snapshot, self.changed = ((former, changed), math.inf) if needed else (None, changed)
        return changed

    def check(self, function: Function) -> None:
        """Raise `StaleGraphError` if the leaf was changed since the function was applied to it."""
        leaf = self.leaf()
        if self.look(needed=True) > function.age and leaf is not None:
            raise StaleGraphError(
                f"backward: {leaf.label()} was changed after {type(function).__name__} used it; "
                "its gradient would be wrong; run forward again, or change it after backward"
            )


def is_needed(leaf: Operand) -> bool:
    """Whether the Functions of some graph hold the leaf's watch."""
    return sys.getrefcount(leaf.watch) > _HELD_BY_NONE


class _Leaf:
    __slots__ = ("watch",)
    watch: object


_alone = _Leaf()
_alone.watch = object()
_HELD_BY_NONE = sys.getrefcount(_alone.watch)


def _same(a: Array, b: Array) -> bool:
    """Whether all elements are; NaN is NaN, which takes longer to see."""
    return bool(xp.array_equal(a, b)) or bool(xp.array_equal(a, b, equal_nan=True))
