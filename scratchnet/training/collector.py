"""Python's collector of cycles, paused while a network is trained."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_pauses = 0
_enabled = True  # before the first of these pauses


@contextmanager
def collector_paused() -> Iterator[None]:
    """The sweep frees the graph as it goes: the collector would search it in vain.

    It costs a step about a twentieth of its time on the CPU. Where several train at once, the first
    switches it off and the last switches it on again.
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
    """In a forked child, where those who were training are no more."""
    global _lock, _pauses
    _lock = threading.Lock()
    if _pauses and _enabled:
        gc.enable()
    _pauses = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
