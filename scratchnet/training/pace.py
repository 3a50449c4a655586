"""Notice that training is slow because other programs use the cores that BLAS's threads need."""

from __future__ import annotations

import os
from contextlib import suppress
from time import perf_counter, process_time

from scratchnet.errors import CrowdedWarning, warn_the_user
from scratchnet.machine import BLAS_THREADS, blas_threads, cores

_TASKS = "/proc/self/task"  # of this process
_SECONDS = 2.0  # a shorter time says little, and is measured together with the next epoch
_WAITED = 0.5  # of the time: all threads together have waited for a core as long as that
_OURS = 0.97  # of all cores: if this process has had more, its threads wait for each other only


class Pace:
    """Measures how long the threads of this process wait for a core.

    The threads of a BLAS library wait for each other in a loop that keeps their core busy. If one of
    them has to wait for its core, all others lose time too: an epoch can take 30 times as long as with
    one thread. Linux reports the waiting time; elsewhere nothing is noticed.
    """

    def __init__(self) -> None:
        self._told = False
        self._begin()

    def note(self) -> None:
        """Look at the time since the last look, if it is long enough. Called after each epoch.

        Warns:
            CrowdedWarning: other programs use the cores. It is issued once.
        """
        seconds = perf_counter() - self._since
        if self._told or seconds < _SECONDS:
            return
        waited, used, available = waiting() - self._waited, process_time() - self._used, cores()
        self._begin()
        if waited < _WAITED * seconds or used > _OURS * available * seconds:
            return
        threads = blas_threads()
        if threads > 1:
            self._told = True
            warn_the_user(
                f"other programs use the {available} cores of this machine: in {seconds:.1f} s, threads "
                f"have waited {waited:.1f} s for a core, and the {threads} threads of BLAS wait for each "
                f"other; set {BLAS_THREADS[0]}=1, or end the other programs",
                CrowdedWarning,
            )

    def _begin(self) -> None:
        self._since, self._waited, self._used = perf_counter(), waiting(), process_time()


def waiting() -> float:
    """Return the seconds that the threads of this process have waited for a core, as Linux reports it.

    A thread that has ended does not count. 0 on other systems.
    """
    seconds = 0.0
    for task in os.listdir(_TASKS) if os.path.isdir(_TASKS) else ():
        # The thread may have ended, or this Linux does not report the time.
        with suppress(OSError, IndexError, ValueError), open(f"{_TASKS}/{task}/schedstat") as file:
            seconds += int(file.read().split()[1]) / 1e9
    return seconds
