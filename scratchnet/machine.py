"""The machine under a run: its cores, and the BLAS that multiplies on them."""

from __future__ import annotations

import os
from importlib import import_module


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def blas() -> str:
    """The BLAS libraries in the process: by the processor and the threads they add in another order."""
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
