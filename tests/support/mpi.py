"""Real MPI processes for tests.

SCRATCHNET_TEST_MPI names a folder with mpiexec and python; by default that of this Python.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("SCRATCHNET_TEST_MPI") or Path(sys.executable).parent).absolute()
MPIEXEC, PYTHON = str(FOLDER / "mpiexec"), str(FOLDER / "python")
_ROOT = Path(__file__).parents[2]

needs_mpi = pytest.mark.skipif(
    not Path(MPIEXEC).exists() or find_spec("mpi4py") is None,
    reason='there is no MPI: pip install "scratchnet[mpi]"',
)


def environment(**more: str) -> dict[str, str]:
    """Return the variables for processes: this repository's code, and Open MPI as any user."""
    allowed = dict.fromkeys(("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"), "1")
    slots = {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe", "OPENBLAS_NUM_THREADS": "1"}
    return {**os.environ, "PYTHONPATH": str(_ROOT), **allowed, **slots, **more}


def run(command: list[str], **options) -> subprocess.CompletedProcess:
    """Run a command that starts Python, and return what it printed."""
    options = {"env": environment(), "timeout": 60, **options}
    return subprocess.run(command, capture_output=True, text=True, **options)
