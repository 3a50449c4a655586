"""Measure what a second process gains, and what it costs.

    python -m benchmarks.parallel [NAME …] [--ranks 2] [--rounds 7] [--out FILE]

recipe: an epoch of the recipe, 784-100-10 on images of noise, in batches of 256.
cnn: steps of a convolutional network on images of 28x28, in batches of 128.
large: steps of a network of 50 MB, in batches of 256.
overlap: the same, with gradients that are added up while backward runs, and without.

It starts mpiexec. For each of the first three it measures in turn, in one job: one process with one
thread, one process with as many threads as there are ranks, and all ranks with one thread each, on the
same batches (strong scaling) and on batches of that size for each rank (weak scaling). Numbers are
samples in a second, relative to one process with one thread: medians over all rounds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import threadpoolctl

import scratchnet as sn
from benchmarks.compare import save
from benchmarks.machine import describe
from scratchnet.training.parallel import buckets

_PATIENCE = 600.0


def _noise(samples: int, *shape: int, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((samples, *shape), np.float32)
    return x, rng.integers(0, classes, samples)


def _recipe(ranks: int) -> sn.Learner:
    net = sn.Classifier(100, 0)
    train = sn.ArrayDataLoader(*_noise(60_000, 784), 256 * ranks, shuffle="batches")
    return sn.Learner(train, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss)


def _cnn(ranks: int) -> sn.Learner:
    net = sn.Sequential(
        sn.Conv2d(1, 32, 3, rng=0), sn.relu, sn.Conv2d(32, 64, 3, rng=1), sn.relu, sn.MaxPool2d(2),
        sn.Flatten(), sn.Linear(64 * 12 * 12, 128, rng=2), sn.relu, sn.Linear(128, 10, rng=3),
    )  # fmt: skip
    train = sn.ArrayDataLoader(*_noise(1024, 1, 28, 28), 128 * ranks, shuffle="batches")
    return sn.Learner(train, net, sn.Adam(net.parameters(), 1e-3), sn.softmax_loss)


def _large(ranks: int) -> sn.Learner:
    net = sn.Sequential(
        sn.Linear(2048, 2048, rng=0), sn.relu, sn.Linear(2048, 2048, rng=1), sn.relu,
        sn.Linear(2048, 2048, rng=2), sn.relu, sn.Linear(2048, 10, rng=3),
    )  # fmt: skip
    train = sn.ArrayDataLoader(*_noise(1024, 2048), 256 * ranks, shuffle="batches")
    return sn.Learner(train, net, sn.SGD(net.parameters(), 0.01), sn.softmax_loss)


LEARNERS: dict[str, Callable[[int], sn.Learner]] = {"recipe": _recipe, "cnn": _cnn, "large": _large}


def _seconds(learner: sn.Learner) -> float:
    learner.fit(1, report=None)
    return learner.history["duration"][-1] / learner.train.num_samples


def scaling(name: str, rounds: int) -> dict[str, Any]:
    """Measure one network. Call it in all processes; the result counts in rank 0."""
    place = sn.data_parallel()
    make = LEARNERS[name]
    alone, strong, weak = make(1), make(1), make(place.size)
    times: dict[str, list[float]] = {each: [] for each in ("one", "threads", "strong", "weak")}
    for _ in range(rounds + 1):
        if place.rank == 0:
            times["one"].append(_seconds(alone))
            with threadpoolctl.threadpool_limits(place.size):
                times["threads"].append(_seconds(alone))
        with sn.data_parallel(timeout=_PATIENCE):
            times["strong"].append(_seconds(strong))
            times["weak"].append(_seconds(weak))
    found = {
        each: median(a / b for a, b in zip(times["one"][1:], several[1:], strict=True))
        for each, several in times.items() if each != "one" and times["one"]
    }  # fmt: skip
    return {"what": name, "ranks": place.size, "rounds": rounds, **found}


def overlap(rounds: int) -> dict[str, Any]:
    """Measure buckets that are added up while backward runs, beside one bucket after it."""
    usual, ratios = buckets.BUCKET, []
    learner = _large(1)
    with sn.data_parallel(timeout=_PATIENCE) as ranks:
        for number in range(rounds + 1):
            times = []
            for size in (usual, sys.maxsize) if number % 2 else (sys.maxsize, usual):
                buckets.BUCKET = size
                times.append(_seconds(learner))
            ratios.append(times[0] / times[1] if number % 2 else times[1] / times[0])
    return {"what": "overlap", "ranks": ranks.size, "rounds": rounds, "ratio": median(ratios[1:])}


def main(arguments: list[str]) -> None:
    """Start the ranks, or be one of them."""
    told = _options(arguments)
    if sn.data_parallel().size == 1:
        mpiexec = Path(sys.executable).with_name("mpiexec")
        command = [str(mpiexec) if mpiexec.exists() else "mpiexec", "-n", str(told.ranks)]
        sys.exit(subprocess.call([*command, sys.executable, "-m", "benchmarks.parallel", *arguments]))
    rank = sn.data_parallel().rank
    warnings.simplefilter("ignore", sn.AloneWarning)  # for comparison, rank 0 trains alone too
    record: dict[str, Any] = {"date": date.today().isoformat(), **describe(), "parallel": []}
    if rank == 0:
        print(f"{'samples in a second':20}{'threads':>9}{'strong':>8}{'weak':>8}")
    with threadpoolctl.threadpool_limits(1):
        for name in told.names or [*LEARNERS, "overlap"]:
            found = overlap(told.rounds) if name == "overlap" else scaling(name, told.rounds)
            record["parallel"].append(found)
            if rank == 0:
                shown = [found[each] for each in ("threads", "strong", "weak", "ratio") if each in found]
                print(f"{name:20}" + "".join(f"{each:8.2f}" for each in shown), flush=True)
    if told.out is not None and rank == 0:
        save(told.out, record)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.parallel", description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )  # fmt: skip
    names = [*LEARNERS, "overlap"]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names)}. By default all")
    parser.add_argument("--ranks", type=int, default=2, help="processes (2)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds for each (7)")
    parser.add_argument("--out", type=Path, help="a JSON file for the record")
    told = parser.parse_args(arguments)
    if unknown := set(told.names) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: not one of {', '.join(names)}")
    if told.rounds < 1 or told.ranks < 2:
        parser.error("--rounds must be a positive integer, and --ranks at least 2")
    return told


if __name__ == "__main__":
    main(sys.argv[1:])
