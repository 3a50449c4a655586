"""Pause Python's garbage collector while a network trains."""

from __future__ import annotations

import gc
import os
from _thread import allocate_lock  # threading.Lock; see core/sweep.py
from collections.abc import Iterator
from contextlib import contextmanager

_lock = allocate_lock()
_pauses = 0
_enabled = True  # before the first pause


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector: the sweep frees the graph itself, so it would find nothing.

    On the CPU the collector costs about a twentieth of a step's time. If several networks train at once,
    the first switches it off and the last switches it on again.
    """
    global _pauses, _enabled
    with _lock:
        if not _pauses:
            _enabled = gc.isenabled()
            gc.disable()
        _pauses += 1
    try:
        yield
    finally:
        with _lock:
            _pauses -= 1
            if not _pauses and _enabled:
                gc.enable()


def _begin_anew() -> None:
    """Reset the count in a forked child, in which no training run is left."""
    global _lock, _pauses
    _lock = allocate_lock()
    if _pauses and _enabled:
        gc.enable()
    _pauses = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
