"""detect_anomaly: check every array, to find the Function where a number went wrong."""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from contextlib import ContextDecorator
from contextvars import Token
from copy import copy
from types import NoneType
from typing import Any
from weakref import finalize

from backends import xp
from scratchnet.core.function import Function, array_of
from scratchnet.core.modes import Observer, observer
from scratchnet.errors import AnomalyError, StaleGraphError, users_frame


class detect_anomaly(ContextDecorator):  # noqa: N801 - the field's name for it
    """A context in which errors name the faulty Function and the line of your code that called it.

    Use it to debug; it makes a step several times slower. Run both forward and backward inside it.

        with sn.detect_anomaly():
            sn.softmax_loss(net(x), y).backward()

    Raises:
        AnomalyError: a Function computed NaN or infinity from finite operands, or its backward did so
            from a finite gradient.
        StaleGraphError: an array that a Function kept changed before backward read it. Without
            `detect_anomaly` the library cannot notice a change through a view, through `variable.data`,
            or through a NumPy array such as the buffer of a loader. Arrays that a Function stores in its
            own attributes are not checked.
    """

    def __init__(self) -> None:
        """Start with no records."""
        self._tokens: list[Token[Observer | None]] = []
        self._known: dict[int, tuple[str, list[Any]]] = {}  # by identity: see `functions_behind`

    def __enter__(self) -> None:
        """Start to check the Functions."""
        self._tokens.append(observer.set(self))

    def __exit__(self, *error: object) -> None:
        """Stop checking."""
        observer.reset(self._tokens.pop())

    def applied(self, function: Function, arrays: Sequence[Any], results: Sequence[Any]) -> None:
        """Copy what the Function kept, and check that its results are finite."""
        line = _line()
        if function.edges is not None:
            self._known[id(function)] = line, [copy(each) for each in function.kept]
            finalize(function, self._known.pop, id(function), None)
        if _finite(arrays) and not _finite(results):
            raise AnomalyError(
                f"{type(function).__name__} made NaN or infinity from finite operands; it was {line}"
            )

    def arriving(self, function: Function, grads: Sequence[Any]) -> None:
        """Check that the arrays that the Function kept are unchanged."""
        if id(function) not in self._known:
            return
        line, copies = self._known[id(function)]
        for position, (array, former) in enumerate(zip(function.kept, copies, strict=True)):
            if array is not former and not xp.array_equal(array, former, equal_nan=True):
                raise StaleGraphError(
                    f"backward: array {position} of shape {former.shape} that {type(function).__name__} "
                    f"kept was changed in place; the Function was {line}; change the array after "
                    "backward, or give the Function a copy"
                )
        self._arrived_finite = _finite(grads)

    def passed(self, function: Function, gradients: Sequence[Any]) -> None:
        """Check that the gradients that the Function returned are finite."""
        if id(function) in self._known and self._arrived_finite and not _finite(gradients):
            line, _ = self._known[id(function)]
            raise AnomalyError(
                f"backward: {type(function).__name__} made a gradient with NaN or infinity; it was "
                f"{line}"
            )


def _line() -> str:
    """Return the place in the user's code: the innermost frame outside the library."""
    _, frame = users_frame()
    code = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    return f"applied at {frame.f_code.co_filename}:{frame.f_lineno}" + (f": {code}" if code else "")


def _finite(things: Sequence[Any]) -> bool:
    """Return whether all elements of these arrays, Variables and numbers are finite."""
    numbers = (array_of(each) for each in things if not isinstance(each, (int, NoneType)))
    return all(bool(xp.isfinite(each).all()) for each in numbers)
