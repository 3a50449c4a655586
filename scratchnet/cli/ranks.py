"""What `scratchnet train` does as one of several processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import backends.errors
from backends import BackendError
from scratchnet import errors
from scratchnet.errors import ScratchnetError, SettingError
from scratchnet.machine import cores
from scratchnet.training.parallel.data_parallel import data_parallel
from scratchnet.training.parallel.launch import (
    Launched,
    check_mpi4py,
    launched,
    note_presence,
)
from scratchnet.training.parallel.shards import MOST_SHARDS, is_shards, shards_for

T = TypeVar("T")

_MOST_OF_A_CORE = 16  # ranks for each core


def place_of_this(ranks: int | None, shards: int | None, timeout: float) -> Launched | None:
    """Return the place of this process among the ranks; None if it is alone.

    Args:
        ranks: the number of processes that are to be started, if any are.
        shards: the number of parts of a batch, if it is given.
        timeout: seconds after which a rank that does not come ends all.

    Raises:
        SettingError: the ranks were started already, or they cannot join; or an argument is outside its
            range.
    """
    note_presence()
    found = launched()
    if found:
        check_mpi4py(found)
    if found and ranks is not None:
        raise SettingError(
            f"--ranks {ranks}: {found.launcher} has started {found.size} processes already; leave the "
            "option out"
        )
    if ranks is not None and (ranks < 1 or ranks & (ranks - 1)):
        raise SettingError(f"--ranks {ranks}: it must be a power of two, such as 2 or 4")
    if ranks is not None and ranks > (most := _MOST_OF_A_CORE * cores()):
        raise SettingError(
            f"--ranks {ranks}: with the {cores()} cores of this machine it can be {most} at most; more "
            "ranks only wait for each other"
        )
    if shards is not None and not is_shards(shards):
        raise SettingError(f"--shards {shards}: it must be a power of two up to {MOST_SHARDS}")
    if not 0 < timeout < math.inf:
        raise SettingError(f"--timeout {timeout:g}: it must be a positive number of seconds")
    if ranks is not None:
        shards_for(ranks, shards, None)
    return found


def by_some(group: data_parallel, doing: bool, what: str, work: Callable[[], T]) -> T | None:
    """Do something on some ranks, while the others wait. An error there is raised on every rank.

    Args:
        group: the ranks.
        doing: whether this rank does it.
        what: what they do, for messages.
        work: what is to be done.

    Returns:
        Its result; None on the ranks that have waited.
    """
    result, error = None, None
    watch = group.group.watch
    with watch.busy(what) if watch and doing else nullcontext():
        try:
            result = work() if doing else None
        except (ScratchnetError, BackendError, OSError) as raised:
            error = raised
    if error is not None and group.size == 1:
        raise error
    for rank, given in enumerate(group.group.gather_json(_sent(error), what)):
        if given:
            raise _received(given, f"rank {rank}: " if rank else "")
    return result


def _sent(error: BaseException | None) -> tuple[Any, ...]:
    """Return what the other ranks need to raise the same error; nothing if there is none."""
    if error is None:
        return ()
    if isinstance(error, OSError) and not isinstance(error, ScratchnetError):
        return "OSError", error.errno, error.strerror, error.filename and str(error.filename)
    return type(error).__name__, str(error)


def _received(given: list[Any], rank: str) -> Exception:
    """Return the error that a rank has sent. Its message begins with the rank, unless that is empty."""
    if given[0] == "OSError":
        _, number, why, place = given
        return OSError(number, why, f"{rank}{place or 'output'}")
    name, told = given
    kind: type[Exception] = getattr(errors, name, getattr(backends.errors, name, ScratchnetError))
    try:
        return kind(f"{rank}{told}")
    except TypeError:  # it has more than a message
        return ScratchnetError(f"{rank}{told}")
