"""Measure an epoch while other programs use the cores, with the usual threads of BLAS and with one.

    python -m benchmarks.crowded [--rounds 5] [--epochs 8] [--out FILE]

Each run is a process of its own, so that BLAS starts its threads as it does for a user. It trains the
recipe, 784-100-10 on images of noise, in batches of 256, beside busy loops that use a core each. The
rounds go through all figures in turn; a figure is the median of their epochs. It also tells in how many
rounds a CrowdedWarning came.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import scratchnet as sn
from benchmarks.machine import describe
from benchmarks.parallel import LEARNERS
from scratchnet.machine import BLAS_THREADS, cores


def train(epochs: int) -> dict[str, Any]:
    """Train the recipe. Return its seconds per epoch, and whether it warned."""
    learner = LEARNERS["recipe"](1)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        learner.fit(epochs, None)
    told = any(issubclass(each.category, sn.CrowdedWarning) for each in given)
    return {"seconds": learner.history["duration"], "warned": told}


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Let processes use a core each."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for each in others:
            each.kill()
            each.wait()


def measure(rounds: int, epochs: int) -> list[dict[str, Any]]:
    """Return a record for each number of busy loops, and of threads."""
    pairs = [(loops, threads) for loops in range(cores() + 1) for threads in (cores(), 1)]
    found: dict[tuple[int, int], list[dict[str, Any]]] = {pair: [] for pair in pairs}
    for _ in range(rounds):
        for loops, threads in pairs:
            variables = os.environ | {BLAS_THREADS[0]: str(threads)}
            command = [sys.executable, "-m", "benchmarks.crowded", "--train", str(epochs)]
            with busy(loops):
                done = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
            found[loops, threads].append(json.loads(done.stdout))
    return [
        {
            "busy": loops, "threads": threads,
            "seconds": median(second for each in runs for second in each["seconds"]),
            "slowest": max(second for each in runs for second in each["seconds"]),
            "warned": sum(each["warned"] for each in runs), "rounds": rounds,
        }
        for (loops, threads), runs in found.items()
    ]  # fmt: skip


def main(arguments: list[str]) -> None:
    """Measure, and print the record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crowded", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=8, help="of each process")
    parser.add_argument("--out", type=Path, help="a file for the record")
    parser.add_argument("--train", type=int, help=argparse.SUPPRESS)
    told = parser.parse_args(arguments)
    if told.train:
        print(json.dumps(train(told.train)))
        return
    figures = measure(told.rounds, told.epochs)
    record = {"date": date.today().isoformat(), **describe(), "figures": figures}
    text = json.dumps(record, indent=1)
    print(text)
    if told.out:
        told.out.write_text(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
