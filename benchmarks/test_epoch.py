"""An epoch of the recipe: its time on each backend, and how far it is from the floor.

Run it with `make bench`. Times are those of the training pass alone, the device synchronised at
both ends; a run counts only if the network has learnt.
"""

from collections.abc import Callable
from itertools import islice
from statistics import median
from time import perf_counter

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from threadpoolctl import threadpool_limits

import backends
import scratchnet as sn
from backends import to_host
from benchmarks.floor import matrix_products

ORIGINAL_SECONDS = 4.3
"""An epoch of the original, as its text tells; on unknown hardware."""

ROUNDS = 10
BOUND = 1.4


def run(benchmark: BenchmarkFixture, epoch: Callable[[], object]) -> None:
    """Ten epochs after two to warm up."""
    benchmark.pedantic(epoch, rounds=ROUNDS, warmup_rounds=2)  # type: ignore[no-untyped-call]


def accuracy(learner: sn.Learner) -> float:
    """On the first training batches."""
    right = total = 0
    with sn.no_grad():
        for x, y in list(learner.train.in_order())[:20]:
            right += int((to_host(learner.net(x).data).argmax(axis=1) == to_host(y.data)).sum())
            total += len(x)
    return right / total


@pytest.mark.benchmark(group="epoch")
def test_epoch(benchmark: BenchmarkFixture, learner: sn.Learner, backend: str) -> None:
    """`Learner.fit`, an epoch a round, without evaluation."""
    run(benchmark, lambda: learner.fit(1, None))
    durations = learner.history["duration"][-ROUNDS:]
    benchmark.extra_info.update(
        backend=backends.active().describe(),
        data=learner.train.source,
        epoch_seconds=median(durations),
        speedup_vs_original=ORIGINAL_SECONDS / median(durations),
        accuracy=accuracy(learner),
    )
    assert benchmark.extra_info["accuracy"] > 0.8


@pytest.mark.benchmark(group="floor")
@pytest.mark.parametrize("threads", [1, None], ids=["one BLAS thread", "all BLAS threads"])
@pytest.mark.parametrize("backend", ["numpy"], indirect=True)
def test_an_epoch_over_its_matrix_products(
    benchmark: BenchmarkFixture, learner: sn.Learner, threads: int | None
) -> None:
    """The epoch over the five matrix products of its steps, on the same images, in turn.

    Both go a few steps at a time, so that a neighbour's load falls on both alike. The bound is held
    with one BLAS thread. With more, the figure is recorded and not judged: an idle BLAS thread
    spins, and where it shares a core with Python it slows what lies between the products.
    """
    floor = matrix_products()
    batches_at_once = 5
    floors: list[float] = []
    ratios: list[float] = []

    def epoch() -> None:
        batches = iter(learner.train)
        while part := list(islice(batches, batches_at_once)):
            start = perf_counter()
            for x, _ in part:
                floor(x.data)
            middle = perf_counter()
            learner.train_on(part)
            end = perf_counter()
            floors.append((middle - start) / len(part))
            ratios.append((end - middle) / (middle - start))

    with threadpool_limits(threads, "blas"):
        run(benchmark, epoch)
    low, high = np.percentile(ratios, [25, 75])
    benchmark.extra_info.update(
        blas_threads=threads or "all",
        floor_microseconds_a_step=median(floors) * 1e6,
        epoch_over_floor=median(ratios),
        quartiles=[float(low), float(high)],
    )
    if threads == 1:
        assert median(ratios) <= BOUND
