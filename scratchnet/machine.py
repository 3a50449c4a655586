"""The machine: how many cores a process may use, and which BLAS library multiplies matrices."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

BLAS_THREADS = "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"
"""Environment variables that set how many threads a BLAS library starts."""


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(own_cores())


def own_cores() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def limited_blas(threads: int) -> AbstractContextManager[Any]:
    """Let the BLAS libraries of this process use so many threads at most.

    If one of `BLAS_THREADS` is set, it changes nothing.

    Returns:
        A context manager that gives them back the former number at its end.
    """
    if any(os.environ.get(name) for name in BLAS_THREADS):
        return nullcontext()
    from threadpoolctl import threadpool_info, threadpool_limits

    pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    limits: AbstractContextManager[Any] = threadpool_limits(min([threads, *pools]), user_api="blas")
    return limits


def blas_threads() -> int:
    """Return the number of threads that the BLAS libraries of this process use."""
    from threadpoolctl import threadpool_info

    pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    return max(pools, default=1)


def blas() -> str:
    """Describe the BLAS libraries in this process, with the processor and the number of threads.

    Both decide the order in which a library adds, and so the last digits of a result.
    """
    try:
        threadpoolctl = import_module("threadpoolctl")
    except ModuleNotFoundError:
        return "BLAS threads unknown: pip install threadpoolctl"
    pools = [
        f"{pool['internal_api']} {pool['version']} for {pool.get('architecture', 'any processor')} "
        f"with {pool['num_threads']} thread{'' if pool['num_threads'] == 1 else 's'}"
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas"
    ]
    return ", ".join(pools) or "no BLAS of a known kind"
