"""Which launcher has started this process, and as which of how many."""

from __future__ import annotations

import atexit
import os
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from scratchnet.errors import AloneWarning, SettingError, warn_the_user

LAUNCHER = "SCRATCHNET_LAUNCHER"
"""Set by `scratchnet train --ranks` for the ranks: its process number, a colon, a folder for notes."""


class Launched(NamedTuple):
    """The place of this process among those that a launcher has started.

    Attributes:
        launcher: the name of the launcher, for messages.
        rank: the number of this process, from 0.
        size: the number of processes, at least 2.
        local_rank: the number of this process on its machine, from 0. If the launcher does not say it,
            the rank.
    """

    launcher: str
    rank: int
    size: int
    local_rank: int


def launched() -> Launched | None:
    """Return how a launcher has started this process; None if it is the only one.

    The variables of the launcher that started last come first: in a Slurm job, `mpiexec` runs in a step
    whose variables its processes inherit. SLURM_NTASKS alone says nothing, because a batch script has it
    too.

    Raises:
        SettingError: the launcher does not say how many processes it has started.
    """
    pmi = "MPICH"
    if "I_MPI_HYDRA_UUID" in os.environ:
        pmi = "Intel MPI"
    elif "MPI_LOCALNRANKS" not in os.environ and "SLURM_STEP_NUM_TASKS" in os.environ:
        pmi = "Slurm"  # srun --mpi=pmi2
    for launcher, rank, size, local_rank in (
        ("Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
        (pmi, "PMI_RANK", "PMI_SIZE", "SLURM_LOCALID" if pmi == "Slurm" else "MPI_LOCALRANKID"),
        ("Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
    ):
        number, of = _number(rank), _number(size)
        if number is not None and of is not None:
            local = _number(local_rank)
            return Launched(launcher, number, of, number if local is None else local) if of > 1 else None
    if _number("PMIX_RANK") is not None:
        raise SettingError(
            "started by a launcher that does not say how many processes there are; use mpiexec or srun"
        )
    return None


def check_mpi4py(found: Launched) -> None:
    """Raise `SettingError` if mpi4py is not there, without which the processes cannot join."""
    if find_spec("mpi4py") is None:
        raise SettingError(
            f"started by {found.launcher} as one of {found.size} processes, but mpi4py is not "
            'installed: pip install "scratchnet[mpi]"'
        )


def is_first() -> bool:
    """Whether this process is the only one, or rank 0 of those that a launcher has started."""
    try:
        found = launched()
    except SettingError:
        return _number("PMIX_RANK") == 0
    return found is None or found.rank == 0


def is_far_from_user() -> bool:
    """Whether a launcher other than `scratchnet train --ranks` passes on what this process prints."""
    try:
        return launched() is not None and LAUNCHER not in os.environ
    except SettingError:
        return True


def note_presence() -> None:
    """Note for `scratchnet train --ranks` that this rank runs, and at exit that it left in order.

    A process that is killed, or calls `os._exit`, leaves no second note. Without `--ranks`, do nothing.
    """
    found, (_, _, folder) = launched(), os.environ.get(LAUNCHER, "").partition(":")
    if found and folder:
        process = os.getpid()
        _note(folder, f"process-{found.rank}-{process}", process)
        atexit.register(_note, folder, f"left-{found.rank}", process)


def _note(folder: str, name: str, process: int) -> None:
    """Make an empty file, unless this is a copy of the process."""
    if os.getpid() == process:
        with suppress(OSError):  # the parent is gone, and its folder with it
            Path(folder, name).touch()


def _number(name: str) -> int | None:
    text = os.environ.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() else None


def warn_if_alone() -> None:
    """Warn on rank 0 that all processes of a launcher train the same, each for itself.

    Warns:
        AloneWarning: a launcher has started several processes, and they have not joined.
    """
    try:
        found = launched()
    except SettingError:  # data_parallel says it
        return
    if found and found.rank == 0:
        warn_the_user(
            f"{found.launcher} has started {found.size} processes, and each trains alone; write `with "
            "sn.data_parallel():` around fit to train together",
            AloneWarning,
        )
