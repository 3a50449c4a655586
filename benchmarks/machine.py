"""Describe the machine of a run: the hardware, the libraries, the threads."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import backends
from scratchnet.machine import cores

_LIBRARIES = (
    "numpy", "torch", "jax", "jaxlib", "cupy-cuda12x", "cupy-cuda13x", "pytest-benchmark",
)  # fmt: skip
_SETTINGS = "OPENBLAS_", "OMP_", "MKL_"


def describe() -> dict[str, Any]:
    """Return the machine's name, and everything that a reader of its figures should know."""
    import cpuinfo  # here, because `make gpu` and merging need neither of the two
    import threadpoolctl

    brand = cpuinfo.get_cpu_info().get("brand_raw") or platform.processor() or platform.machine()
    usable = {name: _backend(name) for name in backends.available()}
    devices = sorted({each["device"] for each in usable.values()} - {"the CPU"})
    return {
        "machine": ", ".join([f"{brand}, {cores()} core{'s' if cores() > 1 else ''}", *devices]),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "backends": usable,
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name))},
        "blas": [
            f"{pool['internal_api']} {pool['version']}, {pool.get('architecture', 'any')}, "
            f"{pool['num_threads']} threads"
            for pool in threadpoolctl.threadpool_info()
            if pool["user_api"] == "blas"
        ],
        "settings": {name: each for name, each in os.environ.items() if name.startswith(_SETTINGS)},
        "load_at_start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }  # fmt: skip


def file_name(machine: str) -> str:
    """Return the machine's name as a file name."""
    return re.sub("[^a-z0-9]+", "-", machine.lower()).strip("-")


def _backend(name: str) -> dict[str, str]:
    with backends.use(name) as backend:
        return {"library": backend.describe(), "device": backend.device_name}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
