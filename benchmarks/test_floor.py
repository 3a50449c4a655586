"""The bounds: an epoch over its five matrix products, and over the same epoch written by hand in NumPy.

Both ways to train are checked: `Learner`, and the user's own loop. Each bound is on a ratio of times
that were measured in turn in one process. No time itself is compared with a number.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from threadpoolctl import threadpool_info, threadpool_limits

import scratchnet as sn
from benchmarks.conftest import check_accuracy, make_recipe
from benchmarks.figures import figure
from benchmarks.floor import matrix_products
from benchmarks.hand_written import training_step
from benchmarks.recipe import accuracy, loop_on
from scratchnet.machine import cores

GOAL = 1.12
"""The goal over the products, at any number of threads. It is shown, and does not fail the test."""

PRODUCTS, BY_HAND = "its matrix products", "written by hand"
LEARNER, LOOP = "scratchnet, Learner", "scratchnet, a loop of one's own"
AVX_512 = "SkylakeX", "Cooperlake", "SapphireRapids"
"""The processors for which OpenBLAS has products of 512 bits, in OpenBLAS's words."""
BOUNDS = {
    ("AVX-512", "one"): {
        LEARNER: {PRODUCTS: 1.56, BY_HAND: 1.28},
        LOOP: {PRODUCTS: 1.56, BY_HAND: 1.28},
    },
    ("AVX-512", "all"): {LEARNER: {BY_HAND: 1.29}, LOOP: {BY_HAND: 1.29}},
    ("others", "one"): {LEARNER: {PRODUCTS: 1.56, BY_HAND: 1.28}, LOOP: {PRODUCTS: 1.56, BY_HAND: 1.28}},
    ("others", "all"): {LEARNER: {BY_HAND: 1.29}, LOOP: {BY_HAND: 1.29}},
}
"""The largest ratios of an epoch to each, with one BLAS thread and with one for each core.

Those of AVX-512 are at least 5% above the largest median measured for today's code on two cores. With
one thread, that was 1.35 of the products and 1.14 of the epoch by hand for `Learner`, 1.32 and 1.15 for
the loop, on an AMD EPYC; and 1.49 and 1.21, 1.48 and 1.22 on an Intel Xeon. With two, it was 1.12 of the
epoch by hand for `Learner`, and 1.22 for the loop; and 1.22 for `Learner` on the Xeon. The bounds for
others are not below these, and at least 5% above what was reported from a machine with AVX2; we have
none. With two threads there is no bound over the products. One core must fetch what the other has
written, and the cost depends on where the machine has put the two: the same code was measured at 1.3 to
2.0. The epoch by hand pays this too.
"""


@pytest.mark.parametrize("threads", ["one", "all"])
def test_an_epoch_over_its_products(
    benchmark: BenchmarkFixture, folder: str | None, quick: bool, threads: str
) -> None:
    """Measure both ways to train, the products of an epoch alone, and the epoch by hand, in turn."""
    learner, train, _ = make_recipe(folder, 20_000 if quick else None)
    epochs, accuracies = _epochs(learner, train)
    seconds: dict[str, list[float]] = {what: [] for what in epochs}
    rng = np.random.default_rng(0)

    def rounds(number: int) -> None:
        for _ in range(number):
            for what in sorted(epochs, key=lambda _: rng.random()):
                seconds[what].append(epochs[what]())

    with threadpool_limits(1 if threads == "one" else None, "blas"):
        rounds(3)
        for taken in seconds.values():
            taken.clear()
        benchmark.pedantic(lambda: rounds(40), rounds=1)
    for each in accuracies:
        check_accuracy(each(), quick)
    told: dict[str, Any] = {"threads": 1 if threads == "one" else cores(), "data": train.source}
    told |= {"samples": train.num_samples, "goal": GOAL}
    bounds, figures, faults = BOUNDS[_kind(), threads], [], []
    for what, taken in seconds.items():
        over = {name: _quartiles(taken, seconds[name]) for name in (PRODUCTS, BY_HAND)}
        ratios = {"over_products": over[PRODUCTS], "over_hand": over[BY_HAND]}
        figures.append(figure("floor", what, taken, **ratios, **told))
        for name, bound in bounds.get(what, {}).items():
            if over[name][1] > bound:
                faults.append(f"{what}: {over[name][1]:.3f} times {name}, at most {bound}")
    benchmark.extra_info["figures"] = figures
    assert not faults, "; ".join(faults)


def _kind() -> str:
    """Return the kind of processor for which NumPy's BLAS computes here."""
    pools = threadpool_info()
    return "AVX-512" if any(pool.get("architecture") in AVX_512 for pool in pools) else "others"


def _quartiles(taken: list[float], others: list[float]) -> list[float]:
    """Return lower quartile, median and upper quartile of the ratios, round by round."""
    found: list[float] = np.percentile(np.divide(taken, others), [25, 50, 75]).tolist()
    return found


def _epochs(
    learner: sn.Learner, train: sn.FashionMnistDataLoader
) -> tuple[dict[str, Callable[[], float]], list[Callable[[], float]]]:
    """Return functions that do an epoch and return its seconds, and that return an accuracy."""
    products, (step, predict) = matrix_products(), training_step()
    net, loop = loop_on(train)

    def fit() -> float:
        learner.fit(1, None)
        return learner.history["duration"][-1]

    def timed(work: Callable[[np.ndarray, np.ndarray], object]) -> Callable[[], float]:
        def epoch() -> float:
            start = perf_counter()
            for x, y in train:
                work(x.data, y.data)
            return perf_counter() - start

        return epoch

    def by_hand() -> float:
        return float((predict(train.inputs[:5000]) == train.labels[:5000]).mean())

    epochs = {PRODUCTS: timed(lambda x, _: products(x)), BY_HAND: timed(step), LEARNER: fit, LOOP: loop}
    return epochs, [by_hand, lambda: accuracy(learner.net, train), lambda: accuracy(net, train)]
