"""Start the ranks of a test: real processes of mpiexec.

The variable SCRATCHNET_TEST_MPI names the folder of another mpiexec than the one beside Python. If that
folder has a Python, this runs the ranks, as mpi4py is installed for one MPI library.
"""

import os
import re
import shutil
import signal
import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import processes
import pytest
from processes import PIPE, started

ROOT = Path(__file__).parents[2]
GONE = 15
"""Seconds after which no process of a failed job may be left."""

_ALLOWED = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OPENBLAS_NUM_THREADS": "1",
}


def _programs():
    """Return mpiexec, Python, and the environment; or skip."""
    folder = os.environ.get("SCRATCHNET_TEST_MPI")
    beside = folder or str(Path(sys.executable).parent)
    mpiexec = shutil.which("mpiexec", path=beside if folder else f"{beside}{os.pathsep}{os.defpath}")
    if mpiexec is None or (not folder and find_spec("mpi4py") is None):
        pytest.skip('there is no mpiexec with mpi4py; pip install "scratchnet[mpi]"')
    other = shutil.which("python", path=folder) if folder else None
    if other is None:
        return mpiexec, sys.executable, _ALLOWED
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "support")))
    return mpiexec, other, _ALLOWED | {"PYTHONPATH": path}


def _command(ranks, command):
    mpiexec, program, environment = _programs()
    return (mpiexec, "-n", str(ranks), program, *map(str, command)), environment


@contextmanager
def job(ranks, *command):
    """Start Python with this command in several ranks."""
    command, environment = _command(ranks, command)
    pipes = {"stdout": PIPE, "stderr": PIPE}
    with started(*command, environment=environment, text=True, **pipes) as process:
        yield process


def run(ranks, *command):
    """Run Python with this command in several ranks. Return the exit code and the output."""
    command, environment = _command(ranks, command)
    return processes.run(*command, environment=environment)


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
