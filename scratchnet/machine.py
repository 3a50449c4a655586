"""The machine: how many cores a process may use, and which BLAS library multiplies matrices."""

from __future__ import annotations

import os
from importlib import import_module


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
