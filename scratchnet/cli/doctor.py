"""`scratchnet doctor`: what this machine has, what works, and how to fix the rest."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import backends
from scratchnet import machine
from scratchnet.cli.output import say
from scratchnet.version import __version__

_LIBRARIES = ("numpy", "safetensors", "requests", "matplotlib", "jinja2", "rich", "typer", "uniplot")


def doctor() -> None:
    """Show versions, backends, BLAS and threads, what bits depend on, and where the data set is."""
    say(f"scratchnet  {__version__}, Python {platform.python_version()}, {platform.platform()}")
    say(f"libraries   {', '.join(f'{name} {_version(name)}' for name in _LIBRARIES)}")
    causes, gpu = backends.diagnose(), "none is usable here"
    for name, cause in causes.items():
        with_use = f"{name:12}" if len(name) < 12 else f"{name} "
        if cause is None:
            with backends.use(name) as backend:
                described = backend.describe()
            say(f"{with_use}works: {described}")
            gpu = described if name == "cupy" else gpu
        else:
            say(f"{with_use}cannot be used: {cause}")
    selected = os.environ.get("SCRATCHNET_BACKEND") or "numpy"
    known = "" if selected in (*causes, "auto") else f", unknown; known are {', '.join(causes)} and auto"
    say(f"selected    {selected} (SCRATCHNET_BACKEND){known}")
    blas = machine.blas()
    say(f"threads     {machine.cores()} cores; {blas}")
    say(f"bits        the same for a seed while these stay: {_numpy()}, {blas}")
    say(f"            and on a GPU: {gpu}, and whether an epoch is captured (Learner's capture)")
    say(f"data        {_data()}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return f"missing: pip install {name}"


def _numpy() -> str:
    """Return the processor features that NumPy uses: its exp and log round according to them."""
    import numpy as np

    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found")  # missing where there are none
    return f"numpy {np.__version__}" + (f" with {' '.join(found)}" if found else "")


def _data() -> str:
    """Say where training would find its data, by the rule of `locate`, without a download."""
    from scratchnet.data.sources import MODES, SYNTHETIC, files_in, places

    asked = os.environ.get("SCRATCHNET_DATA")
    if asked == SYNTHETIC:
        return "synthetic garments (SCRATCHNET_DATA)"
    for place in [Path(asked)] if asked else places():
        if all(files_in(place, mode) for mode in MODES):
            return f"files named as those of Fashion-MNIST in {place.resolve()}"
    where = asked or " or ".join(map(str, places()))
    return f"not found in {where}; fetch it with: scratchnet data fetch"
