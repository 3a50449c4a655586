"""Whether a graph is recorded: a switch for each context, so that threads have their own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import Any, TypeVar

from scratchnet.errors import OperandError

_F = TypeVar("_F", bound=Callable[..., Any])

pauses: ContextVar[int] = ContextVar("scratchnet_pauses", default=0)
"""How many `no_grad` the running code is within; a graph is recorded at 0."""


class no_grad(ContextDecorator):  # noqa: N801 - the field's name for it
    """Within it, or within a function it decorates, no graph is recorded."""

    def __call__(self, function: _F) -> _F:
        """The function, recording nothing.

        Raises:
            OperandError: it is a generator or coroutine, whose body runs when this is over.
        """
        import inspect  # it costs as much as all of scratchnet's own modules

        later = inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction
        if any(runs_later(function) for runs_later in later):
            raise OperandError(
                f"no_grad: the body of {getattr(function, '__name__', function)} runs later; write "
                "`with no_grad():` within it"
            )
        return super().__call__(function)

    def __enter__(self) -> None:
        """Stop recording."""
        pauses.set(pauses.get() + 1)

    def __exit__(self, *error: object) -> None:
        """Record again, unless within another."""
        pauses.set(pauses.get() - 1)
