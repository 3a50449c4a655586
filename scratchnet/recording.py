"""Whether a graph is recorded: a switch for each context, so that threads have their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import Any, TypeVar

from scratchnet.errors import OperandError

_F = TypeVar("_F", bound=Callable[..., Any])

recording: ContextVar[bool] = ContextVar("scratchnet_recording", default=True)


class no_grad(ContextDecorator):  # noqa: N801 - the field's name for it
    """Within it, or within a function it decorates, no graph is recorded."""

    def __enter__(self) -> None:
        """Stop recording; what was before is kept, so these nest."""
        self._former = [*getattr(self, "_former", ()), recording.get()]
        recording.set(False)

    def _recreate_cm(self) -> no_grad:
        """A decorated function may run in several threads at once: each call has its own."""
        return no_grad()

    def __call__(self, function: _F) -> _F:
        """The function, recording nothing.

        Raises:
            OperandError: it is a generator, whose body runs when all this is over.
        """
        if inspect.isgeneratorfunction(function):
            raise OperandError(
                f"no_grad: {function.__name__} is a generator; write `with no_grad():` within it"
            )
        return super().__call__(function)

    def __exit__(self, *error: object) -> None:
        """Record again if it was so before."""
        recording.set(self._former.pop())
