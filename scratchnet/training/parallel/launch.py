"""Which launcher has started this process, and as which of how many."""

from __future__ import annotations

import os
from typing import NamedTuple

LAUNCHER = "SCRATCHNET_LAUNCHER"
"""Set by `scratchnet train --ranks`: its process number, a colon, and a folder for notes."""


class Launched(NamedTuple):
    """The place of this process among those that a launcher has started."""

    launcher: str
    rank: int
    size: int
    local_rank: int


def launched() -> Launched | None:
    """Return how a launcher has started this process; None if it is the only one."""
    for launcher, *names in (
        ("Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
        ("MPICH", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
    ):
        rank, size, local = (int(os.environ.get(name, "-1")) for name in names)
        if rank >= 0 and size > 1:
            return Launched(launcher, rank, size, rank if local < 0 else local)
    return None
