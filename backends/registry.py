"""Which backends are known, which is active, and the switch between them.

The active backend belongs to the context (`contextvars`): two threads can train on two backends.
Where a context has made no choice, `SCRATCHNET_BACKEND` decides, read at first use.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, partial
from types import TracebackType
from typing import TYPE_CHECKING, cast

from backends.backend import Array, Backend
from backends.cuda.backend import CuPyBackend
from backends.errors import BackendUnavailableError, UnknownBackendError, WrongArrayError
from backends.numpy.backend import NumPyBackend

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "scratchnet.backends"

_builtin: dict[str, Callable[[], Backend]] = {"numpy": NumPyBackend, "cupy": CuPyBackend}
_loaded: dict[str, Backend] = {}
_within: ContextVar[tuple[tuple[use, Backend | None], ...]] = ContextVar("scratchnet_within", default=())
"""The `with use(...)` that the running code is within, and what comes back at the end of each."""


def available() -> list[str]:
    """The names of the backends that work on this machine."""
    return [name for name, cause in diagnose().items() if cause is None]


def diagnose() -> dict[str, BackendUnavailableError | None]:
    """Every known backend's name with None, or with why it cannot be used and the mend."""
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
    """Switch the backend: `use("cupy")`. In a `with`, the former one comes back at the end.

    The switch holds in the context (`contextvars`) that makes it. An asyncio task, and
    `asyncio.to_thread`, begin with a copy of their maker's. A thread, and the worker of a pool, begin
    with a new one, as does a process that is spawned or comes from a fork server: there
    `SCRATCHNET_BACKEND` decides until they switch themselves, and a worker keeps what it has chosen from
    task to task; `contextvars.copy_context().run` takes a choice along. A forked process goes on with
    its parent's choice, but CUDA does not survive a fork: spawn instead. A generator runs in its
    caller's context: while it waits within `with use(...)`, its caller has that backend too.

    Args:
        name: a known backend, or "auto": CuPy where a GPU really works, else NumPy; it says on
            standard error which it took. Or a backend itself.

    Raises:
        UnknownBackendError: nobody registered that name.
        BackendUnavailableError: it cannot be used here; nothing was switched.
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
        """The backend now active."""
        _within.set((*_within.get(), (self, self._former)))
        return active()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Back to the former one.

        Generators leave in any order: where another `with` was entered since, it holds on, and what was
        to come back here comes back at its end. One that is thrown away leaves wherever the collector
        runs: in a context that never entered, nothing comes back.
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
    """The backend of that name, started at its first use; of two threads at once, the first's."""
    if name not in _loaded:
        known = _builtin if name in _builtin else _known()
        if name not in known:
            raise UnknownBackendError(f"unknown backend {name!r}; known are {', '.join(known)} and auto")
        _loaded.setdefault(name, known[name]())
    return _loaded[name]


def owner(array: Array) -> Backend | None:
    """The started backend whose array this is, or None."""
    for backend in list(_loaded.values()):  # another thread may start one
        if isinstance(array, backend.array_type):
            return backend
    return None


def check(function: str, operand: str, array: Array) -> None:
    """Raise `WrongArrayError` unless the array is the active backend's."""
    backend = active()
    if not isinstance(array, backend.array_type):
        kind = f"{type(array).__module__.partition('.')[0]} {type(array).__name__}"
        shape = f" of shape {array.shape}" if hasattr(array, "shape") else ""
        raise WrongArrayError(
            f"{function}: {operand} is a {kind}{shape}, but the active backend is {backend.name}; "
            "move it with backends.to_device(...)"
        )


def _known() -> dict[str, Callable[[], Backend]]:
    """Built in, then registered by other distributions under `scratchnet.backends`."""
    return _builtin | {name: point for name, point in _registered().items() if name not in _builtin}


@cache
def _registered() -> dict[str, Callable[[], Backend]]:
    # importlib.metadata costs as much as a third of NumPy's import: only where it is needed.
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
    print(f"scratchnet: backend auto took {backend.name}{why}", file=sys.stderr)
    return backend


_active: ContextVar[Backend | None]
_chosen = os.environ.get("SCRATCHNET_BACKEND") or "numpy"

if _chosen == "numpy":
    # A C function: each kernel asks which backend is active, and this costs no Python frame.
    _active = ContextVar("scratchnet_backend", default=load(_chosen))  # noqa: B039 - it never changes
    active: Callable[[], Backend] = cast("Callable[[], Backend]", _active.get)
else:  # it may not work here: that is said where a backend is needed, and not on import
    _active = ContextVar("scratchnet_backend", default=None)

    @cache
    def _from_environment() -> Backend:
        return _automatic() if _chosen == "auto" else load(_chosen)

    def active() -> Backend:
        """The backend in use: `active().name`, and its kernels."""
        return _active.get() or _from_environment()
