"""The modes of the running code: the pauses of recording, the calling modules, and the observer.

Each mode is a context variable (`contextvars`), so that threads and tasks have their own.
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
"""The objects that have paused recording, such as an active `no_grad`; if empty, graphs are recorded."""


class Scope(tuple[Any, Any]):
    """A module call and the call around it: `Scope((module, around))`, which costs no Python frame."""

    __slots__ = ()
    module = property(itemgetter(0))
    around = property(itemgetter(1))


scopes: ContextVar[Scope | None] = ContextVar("scratchnet_scopes", default=None)
"""The innermost module call that is running."""


class Observer(Protocol):
    """An object that is called when Functions are applied and when gradients pass back through them."""

    def applied(self, function: Any, arrays: Sequence[Any], results: Sequence[Any]) -> None:
        """Receive a Function that was just applied, with its operands and results."""

    def arriving(self, function: Any, grads: Sequence[Any]) -> None:
        """Receive the complete gradients of a Function's results, just before its `backward`."""

    def passed(self, function: Any, gradients: Sequence[Any]) -> None:
        """Receive the gradients that its `backward` returned, one for each operand."""


observer: ContextVar[Observer | None] = ContextVar("scratchnet_observer", default=None)
"""The active observer, or None."""


class no_grad(ContextDecorator):  # noqa: N801 - the field's name for it
    """A context manager and decorator: no graph is recorded inside it.

        with sn.no_grad():
            logits = net(x)

    It applies to the context (`contextvars`) that enters it. An asyncio task and `asyncio.to_thread`
    start with a copy of the current context, so it applies there too. A new thread or a worker of a pool
    starts with a new context, which records; to take `no_grad` along, use
    `contextvars.copy_context().run`. A generator shares the context of its caller. So if a generator
    yields inside `no_grad`, its caller does not record either.
    """

    def __call__(self, function: _F) -> _F:
        """Decorate a function so that it records no graph.

        Raises:
            OperandError: the function is a generator or a coroutine. Its body runs only after the
                decorator has finished.
        """
        import inspect  # it costs as much as all of scratchnet's own modules

        later = inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction
        if any(runs_later(function) for runs_later in later):
            raise OperandError(
                f"no_grad: the body of {getattr(function, '__name__', function)} runs later, after the "
                "decorator has finished; write `with no_grad():` inside it"
            )
        return super().__call__(function)

    def __enter__(self) -> None:
        """Stop recording."""
        pauses.set((*pauses.get(), self))

    def __exit__(self, *error: object) -> None:
        """Record again, unless another pause is active.

        Generators may exit in any order. If a generator is deleted, it exits in whatever context the
        garbage collector runs. That context may never have entered; then there is nothing to do.
        """
        within = list(pauses.get())
        if self in within:
            within.remove(self)
            pauses.set(tuple(within))
