"""How many threads BLAS gets while several processes train, or one that divides its batches."""

from __future__ import annotations

from collections import defaultdict
from contextlib import AbstractContextManager
from platform import node
from typing import Any

from scratchnet.machine import limited_blas, own_cores
from scratchnet.training.parallel.group import Group


def threads_divided(group: Group, shards: int) -> AbstractContextManager[Any]:
    """Give BLAS one shard's part of the cores of all machines, from now on.

    It does not depend on the number of processes, because other threads add up in another order, and so
    change the bits. Nor do the threads of all processes together exceed the cores: waiting for a core
    can make a step a hundred times as slow. A variable of `BLAS_THREADS` takes precedence.

    Args:
        group: the processes.
        shards: the number of leaves of a batch, at least that of the processes.

    Returns:
        A context manager that gives BLAS back its former number of threads at its end.
    """
    machines: dict[str, set[int]] = defaultdict(set)
    for machine, cores in group.gather_json([node(), own_cores()], "the cores of all processes"):
        machines[machine] |= set(cores)
    return limited_blas(max(sum(map(len, machines.values())) // shards, 1))
