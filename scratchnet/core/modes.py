"""What holds for the running code: whether a graph is recorded, within which module, and who looks on.

Each is a switch of the context (`contextvars`), so that threads and tasks have their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar
from operator import itemgetter
from typing import Any, Protocol, TypeVar

from scratchnet.errors import OperandError

_F = TypeVar("_F", bound=Callable[..., Any])

pauses: ContextVar[tuple[object, ...]] = ContextVar("scratchnet_pauses", default=())
"""What has stopped the recording, such as each `no_grad` that the running code is within."""


class Scope(tuple[Any, Any]):
    """A module's call, and the one around it: `Scope((module, around))` costs no Python frame."""

    __slots__ = ()
    module = property(itemgetter(0))
    around = property(itemgetter(1))


scopes: ContextVar[Scope | None] = ContextVar("scratchnet_scopes", default=None)
"""The innermost module call that the running code is within."""


class Observer(Protocol):
    """Something that looks on while Functions are applied and gradients are passed back."""

    def applied(self, function: Any, arrays: Sequence[Any], results: Sequence[Any]) -> None:
        """A Function was applied to these arrays and numbers."""

    def arriving(self, function: Any, grads: Sequence[Any]) -> None:
        """The gradients of its results are complete, and its `backward` is about to be called."""

    def passed(self, function: Any, gradients: Sequence[Any]) -> None:
        """Its `backward` gave these, one for each operand."""


observer: ContextVar[Observer | None] = ContextVar("scratchnet_observer", default=None)
"""The one that looks on, if any."""


class no_grad(ContextDecorator):  # noqa: N801 - the field's name for it
    """Within it, or within a function it decorates, no graph is recorded.

    It holds in the context (`contextvars`) that enters it. An asyncio task, and `asyncio.to_thread`,
    begin with a copy of their maker's; a thread, and the worker of a pool, begin with a new one, where a
    graph is recorded: `contextvars.copy_context().run` takes it along. A generator runs in its caller's:
    while it waits within `no_grad`, its caller is within it too.
    """

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
        pauses.set((*pauses.get(), self))

    def __exit__(self, *error: object) -> None:
        """Record again, unless within another.

        Generators leave in any order, and one that is thrown away leaves wherever the collector runs:
        in a context that never entered, there is nothing to leave.
        """
        within = list(pauses.get())
        if self in within:
            within.remove(self)
            pauses.set(tuple(within))
