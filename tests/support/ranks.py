"""Start programs on several ranks, by the mpiexec of the environment, or of SCRATCHNET_TEST_MPI."""

import os
import re
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from processes import PIPE, run, started

SUPPORT = Path(__file__).parent
GONE = 15
"""Seconds after which no process of a failed job may be left."""

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


@contextmanager
def job(ranks, *command, **options):
    """Start Python with this command on several ranks."""
    pipes = {"stdout": PIPE, "stderr": PIPE, "text": True}
    start = [launcher(), "-n", str(ranks), python(), *map(str, command)]
    with started(*start, environment=ENVIRONMENT, **pipes, **options) as process:
        yield process


def end_of(process, seconds=GONE):
    """Wait for the processes of a job of `failing_ranks`. Return their numbers, and what they wrote."""
    out, err = process.communicate(timeout=seconds)
    numbers = numbers_in(out)
    wait_until_gone(numbers)
    return numbers, out, err


def numbers_in(out):
    return [int(number) for number in re.findall(r"^process (\d+)", out, re.MULTILINE)]


def wait_until_gone(numbers, seconds=GONE):
    """Wait until none of these processes is there. Kill those that are left, and fail."""
    begin = time.monotonic()
    while left := [each for each in numbers if _is_there(each)]:
        if time.monotonic() - begin > seconds:
            for each in left:
                os.kill(each, signal.SIGKILL)
            pytest.fail(f"processes {left} were left")
        time.sleep(0.02)


def parent_of(number):
    return int(_status(number)[1])


def _is_there(number):
    try:
        return _status(number)[0] != "Z"
    except OSError:
        return False


def _status(number):
    """Return the state of a process, the number of its parent, and more."""
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
