"""The known backends, the active one, and the switch between them.

The active backend belongs to the context (`contextvars`), so two threads can train on two backends. If a
context has made no choice, `SCRATCHNET_BACKEND` decides. It is read at first use.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, partial
from types import TracebackType
from typing import TYPE_CHECKING, cast

from backends.backend import Backend
from backends.errors import BackendUnavailableError, UnknownBackendError, WrongArrayError
from backends.numpy.backend import NumPyBackend
from backends.plain.library import Array

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "scratchnet.backends"


def _cupy() -> Backend:
    # Its modules are imported only if a GPU is asked for.
    from backends.cuda.backend import CuPyBackend

    return CuPyBackend()


_builtin: dict[str, Callable[[], Backend]] = {"numpy": NumPyBackend, "cupy": _cupy}
_loaded: dict[str, Backend] = {}
announces = True
"""Whether this process says which backend auto took. Of several that train together, one does."""

_within: ContextVar[tuple[tuple[use, Backend | None], ...]] = ContextVar("scratchnet_within", default=())
"""Each `with use(...)` around the running code, and the backend that is active again at its end."""


def available() -> list[str]:
    """Return the names of the backends that work on this machine."""
    return [name for name, cause in diagnose().items() if cause is None]


def diagnose() -> dict[str, BackendUnavailableError | None]:
    """Return every known backend's name with None, or with the error that says why it cannot be used."""
    causes: dict[str, BackendUnavailableError | None] = {}
    for name in _known():
        try:
            load(name)
        except BackendUnavailableError as error:
            causes[name] = error
        else:
            causes[name] = None
    return causes


class use:  # noqa: N801 - reads as a verb, like contextlib's own
    """Switch the backend: `use("cupy")`. In a `with`, the earlier one returns at the end.

    The choice belongs to the context (`contextvars`):

    - An asyncio task, and `asyncio.to_thread`, start with a copy of their creator's choice.
    - A thread, a pool's worker, and a process that is spawned or made by a fork server start with
      `SCRATCHNET_BACKEND`. `contextvars.copy_context().run` takes a choice along.
    - A forked process keeps its parent's choice. But CUDA does not work after a fork: spawn instead.
    - A generator runs in its caller's context. While it waits within `with use(...)`, its caller has
      that backend too.

    Args:
        name: a known backend; or "auto": CuPy if a GPU works, otherwise NumPy, and a line on standard
            error says which; or a Backend object.

    Raises:
        UnknownBackendError: no backend is registered under that name.
        BackendUnavailableError: it cannot be used here. Nothing was switched.
    """

    def __init__(self, name: str | Backend) -> None:
        """Switch now."""
        if isinstance(name, Backend):
            backend = name
        else:
            backend = _automatic() if name == "auto" else load(name)
        self._former = _active.get()
        _active.set(backend)

    def __enter__(self) -> Backend:
        """Return the active backend."""
        _within.set((*_within.get(), (self, self._former)))
        return active()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Return to the earlier backend.

        Generators may end in any order. If another `with` was entered since then, it stays active, and
        the earlier backend returns at its end. A generator that is dropped ends wherever the garbage
        collector runs. In a context that it never entered, nothing changes.
        """
        within = _within.get()
        place = next((i for i, (each, _) in enumerate(within) if each is self), None)
        if place is None:
            return
        former, later = within[place][1], within[place + 1 :]
        if later:
            later = ((later[0][0], former), *later[1:])
        else:
            _active.set(former)
        _within.set(within[:place] + later)


def load(name: str) -> Backend:
    """Return the backend of that name. Its first use starts it; if two threads do, the first wins."""
    if name not in _loaded:
        known = _builtin if name in _builtin else _known()
        if name not in known:
            raise UnknownBackendError(f"unknown backend {name!r}; known are {', '.join(known)} and auto")
        _loaded.setdefault(name, known[name]())
    return _loaded[name]


def owner(array: Array) -> Backend | None:
    """Return the started backend whose array this is, or None."""
    for backend in list(_loaded.values()):  # another thread may start one
        if isinstance(array, backend.array_type):
            return backend
    return None


def check(function: str, operand: str, array: Array) -> None:
    """Raise `WrongArrayError` unless the array belongs to the active backend."""
    backend = active()
    if not isinstance(array, backend.array_type):
        kind = f"{type(array).__module__.partition('.')[0]} {type(array).__name__}"
        shape = f" of shape {array.shape}" if hasattr(array, "shape") else ""
        raise WrongArrayError(
            f"{function}: {operand} is a {kind}{shape}, but the active backend is {backend.name}; "
            "move it with backends.to_device(...)"
        )


def _known() -> dict[str, Callable[[], Backend]]:
    """Return the built-in backends, and those of other packages in `scratchnet.backends`."""
    return _builtin | {name: point for name, point in _registered().items() if name not in _builtin}


@cache
def _registered() -> dict[str, Callable[[], Backend]]:
    # Import importlib.metadata only when needed: it costs a third of NumPy's import.
    from importlib.metadata import entry_points

    return {point.name: partial(_start, point) for point in entry_points(group=ENTRY_POINTS)}


def _start(point: EntryPoint) -> Backend:
    backend: Backend = point.load()()
    return backend


def _automatic() -> Backend:
    try:
        backend, why = load("cupy"), ""
    except BackendUnavailableError as error:
        backend, why = load("numpy"), f" ({error})"
    if announces:
        print(f"scratchnet: backend auto took {backend.name}{why}", file=sys.stderr)
    return backend


_active: ContextVar[Backend | None]
_chosen = os.environ.get("SCRATCHNET_BACKEND") or "numpy"

if _chosen == "numpy":
    # A C function: each kernel asks for the active backend, and this costs no Python frame.
    _active = ContextVar("scratchnet_backend", default=load(_chosen))  # noqa: B039 - it never changes
    active: Callable[[], Backend] = cast("Callable[[], Backend]", _active.get)
else:  # the backend may not work here: the error comes when a backend is needed, not on import
    _active = ContextVar("scratchnet_backend", default=None)

    @cache
    def _from_environment() -> Backend:
        return _automatic() if _chosen == "auto" else load(_chosen)

    def active() -> Backend:
        """Return the active backend: `active().name`, and its kernels."""
        return _active.get() or _from_environment()
