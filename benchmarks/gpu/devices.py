"""Sums over devices, as data-parallel training needs them: are they right, and how long do they take?

One process checks the sum over one device, with everything around it: streams, events, a graph. If the
machine has more devices, `mpiexec` starts this module once for each, and the first process reports.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import backends
from backends import Communicator, active, synchronize, to_device, to_host, xp
from benchmarks.gpu import micro
from benchmarks.gpu.telling import Telling

_SIZES = {"318 kB": 79_510, "25 MB": 6_250_000}
"""Numbers in float32: the gradients of the recipe's network, and a bucket of a large one."""


def devices(tell: Telling, quick: bool) -> None:
    """Check and measure sums over one device, and over all of them."""
    try:
        alone = active().communicator(0, 1, lambda identifier: identifier or b"")
    except backends.BackendUnavailableError as error:
        tell.end("skipped", str(error))
        return
    assert alone is not None
    sums(tell, alone, quick)
    alone.close()
    count = xp.cuda.runtime.getDeviceCount()
    count = min(count, 2) if quick else count
    if count > 1:
        with tell.attempt(f"sums over {count} devices"):
            _over(count, tell, quick)


def sums(tell: Telling | None, communicator: Communicator, quick: bool) -> None:
    """Check and measure the sums of a communicator. Only the process with `tell` reports."""
    scale = micro.QUICK if quick else micro.WHOLE
    many = min(scale.nodes, 20)
    over = f"over {communicator.size} device{'s' if communicator.size > 1 else ''}"
    backend: Any = active()
    for size, numbers in _SIZES.items():
        numbers = numbers // 100 if quick else numbers
        x = to_device(np.random.default_rng(communicator.rank).random(numbers, np.float32))

        def here(x: Any = x) -> None:
            communicator.sum([x])

        def beside(x: Any = x) -> None:
            communicator.begin([x])
            communicator.finish()

        for how, work in (("", here), (" beside other work", beside)):
            what = f"a sum of {size} {over}{how}"
            first = x.copy()
            launch = backend.capture(work)
            launch()
            found, mine = to_host(x), to_host(first)
            expected = _expected(communicator, mine)
            x *= 0  # the timed sums stay finite
            launched = micro.timed(work, scale)
            node = micro.timed(backend.capture(lambda w=work: [w() for _ in range(many)]), scale, many)
            x += first
            if tell is not None:
                with tell.attempt(what):
                    apart = float(np.abs(found - expected).max())
                    tell.check(apart <= 1e-6 * communicator.size, f"{what} is off by {apart:.1e}")
                    tell.figure("gpu", f"{what}, launched", launched)
                    tell.figure("gpu", f"{what}, as a node", node)
    synchronize()


def _expected(communicator: Communicator, mine: np.ndarray) -> np.ndarray:
    """Return the sum of what each process draws."""
    others = (each for each in range(communicator.size) if each != communicator.rank)
    drawn = (np.random.default_rng(each).random(mine.size, np.float32) for each in others)
    return sum(drawn, start=mine)


def _over(count: int, tell: Telling, quick: bool) -> None:
    """Start a process for each device, and wait for them."""
    mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}") or shutil.which("mpiexec")
    if mpiexec is None or find_spec("mpi4py") is None:
        tell.check(False, 'there is no mpiexec, or no mpi4py; fix: pip install "scratchnet[mpi]"')
        return
    module = [sys.executable, "-m", "benchmarks.gpu.devices", active().name, str(int(quick))]
    done = subprocess.run([mpiexec, "-n", str(count), *module, str(tell.path)], check=False)
    tell.check(done.returncode == 0, f"the processes ended with exit code {done.returncode}")


def _main(backend: str, quick: str, messages: str) -> int:
    """Be one of several processes."""
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    tell = None if world.rank else Telling(Path(messages))
    with backends.use(backend) as used:
        communicator = used.communicator(world.rank, world.size, lambda given: world.bcast(given))
        assert communicator is not None
        sums(tell, communicator, quick == "1")
    world.Barrier()
    return int(bool(tell and tell.failures))


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
