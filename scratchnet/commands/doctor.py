"""`scratchnet doctor`: what this machine has, what works, and what would mend the rest."""

import importlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import backends
from scratchnet import __version__
from scratchnet.commands.output import say
from scratchnet.data.sources import MODES, SYNTHETIC, files_in, places

_LIBRARIES = ("numpy", "safetensors", "requests", "matplotlib", "rich", "typer")


def doctor() -> None:
    """Versions, backends, BLAS and threads, and where the data set was found."""
    say(f"scratchnet  {__version__}, Python {platform.python_version()}, {platform.platform()}")
    say(f"libraries   {', '.join(f'{name} {_version(name)}' for name in _LIBRARIES)}")
    causes = backends.diagnose()
    for name, cause in causes.items():
        with_use = f"{name:12}" if len(name) < 12 else f"{name} "
        if cause is None:
            with backends.use(name) as backend:
                say(f"{with_use}works: {backend.describe()}")
        else:
            say(f"{with_use}cannot be used: {cause}")
    selected = os.environ.get("SCRATCHNET_BACKEND") or "numpy"
    known = "" if selected in (*causes, "auto") else f", unknown; known are {', '.join(causes)} and auto"
    say(f"selected    {selected} (SCRATCHNET_BACKEND){known}")
    say(f"threads     {_threads()}")
    say(f"data        {_data()}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return f"missing: pip install {name}"


def _threads() -> str:
    """The BLAS libraries in the process and their threads."""
    cores = f"{len(os.sched_getaffinity(0))} cores" if hasattr(os, "sched_getaffinity") else (
        f"{os.cpu_count()} cores"
    )  # fmt: skip
    try:
        threadpoolctl = importlib.import_module("threadpoolctl")
    except ModuleNotFoundError:
        return f"{cores}; BLAS threads unknown: pip install threadpoolctl"
    pools = [
        f"{pool['internal_api']} {pool['version']} with {pool['num_threads']} threads"
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas"
    ]
    return f"{cores}; {', '.join(pools) or 'no BLAS of a known kind'}"


def _data() -> str:
    """Where training would take its data from, by the rule of `locate`, without fetching."""
    asked = os.environ.get("SCRATCHNET_DATA")
    if asked == SYNTHETIC:
        return "synthetic garments (SCRATCHNET_DATA)"
    for place in [Path(asked)] if asked else places():
        if all(files_in(place, mode) for mode in MODES):
            return f"files named as those of Fashion-MNIST in {place.resolve()}"
    where = asked or " or ".join(map(str, places()))
    return f"not found in {where}; fetch it with: scratchnet data fetch"
