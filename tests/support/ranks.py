"""Start programs on several ranks, by the mpiexec of the environment, or of SCRATCHNET_TEST_MPI."""

import os
import shutil
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from processes import run

SUPPORT = Path(__file__).parent
FOLDER = os.path.abspath(os.environ.get("SCRATCHNET_TEST_MPI") or Path(sys.executable).parent)
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


def launcher():
    """Return the path of mpiexec; skip the test if there is none, or no mpi4py."""
    found = shutil.which("mpiexec", path=FOLDER)
    if found is None or find_spec("mpi4py") is None:
        pytest.skip('there is no MPI; pip install "scratchnet[mpi]"')
    return found


def on_ranks(ranks, program, *arguments, **options):
    """Run a program of tests/support on several ranks. Return its exit code and its output."""
    command = [launcher(), "-n", str(ranks), python(), str(SUPPORT / program), *map(str, arguments)]
    environment = ENVIRONMENT | options.pop("environment", {})
    return run(*command, environment=environment, **{"limit": 60} | options)


@cache
def python():
    """Return the Python of that folder, whose mpi4py finds the MPI library beside it."""
    beside = shutil.which("python", path=FOLDER)
    if beside is None or run(beside, "-c", "import mpi4py").returncode:
        return sys.executable
    return beside
