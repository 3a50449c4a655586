"""`python -m benchmarks.soak` trains a thousand epochs, and checks that they leave nothing behind.

From the tenth epoch on, when everything has been created once, memory must stay constant. Only the
history and the metrics grow, by one number for each batch of each epoch and a few more. Their size is
reported separately, and is not a leak. Linux only, because it reads Linux's own account of the process.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import os
import sys
import tracemalloc
import warnings
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import backends
import scratchnet as sn
from backends import synchronize
from benchmarks.machine import describe
from benchmarks.memory import memory
from benchmarks.report import IN_REPOSITORY, RESULTS, SOAK

WARM_UP = 10
MOST_GROWTH = 1_000_000
_IMAGES = 1_000


class Held(NamedTuple):
    """What the process holds."""

    memory: int
    """Bytes: those that Python knows if tracemalloc is on. Otherwise the resident set, which is inexact,
    because it includes the allocators' rounding and gaps."""
    history: int
    """Bytes of the history and the metrics."""
    files: int
    threads: int


def soak(learner: sn.Learner, epochs: int) -> dict[str, Any]:
    """Train, and report the seconds, and what the epochs after the tenth left. Warnings are errors.

    Args:
        learner: not yet trained, with a `MetricsCollector`.
        epochs: more than ten.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learner.fit(WARM_UP, None)
        before, start = _held(learner), perf_counter()
        learner.fit(epochs - WARM_UP, None)
        seconds, after = perf_counter() - start, _held(learner)
    grown = Held(*(now - then for now, then in zip(after, before, strict=True)))
    return {
        "epochs": epochs,
        "seconds": seconds,
        "growth": grown.memory,
        "of_the_history": grown.history,
        "growth_beside": grown.memory - grown.history,
        "open_files": grown.files,
        "threads": grown.threads,
    }


def faults(left: dict[str, Any], most_growth: int = MOST_GROWTH) -> list[str]:
    """Return in words what is wrong."""
    found = []
    if left["growth_beside"] > most_growth:
        found.append(f"memory grows: {left['growth_beside']:,} bytes that are not the history's")
    for what in ("open_files", "threads"):
        if left[what] > 0:
            found.append(f"{left[what]} {what.replace('_', ' ')} are left")
    return found


def _held(learner: sn.Learner) -> Held:
    synchronize()
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else memory("VmRSS")
    files, threads = (len(os.listdir(f"/proc/self/{each}")) for each in ("fd", "task"))
    kept: list[list[Any]] = [*learner.history.values()]
    if isinstance(learner.evaluator, sn.MetricsCollector):
        kept += [*learner.evaluator.metrics, learner.evaluator.epochs]
    sizes = {id(each): sys.getsizeof(each) for series in kept for each in (series, *series)}
    return Held(held, sum(sizes.values()), files, threads)


def main(arguments: list[str]) -> int:
    """Run it and write the record. Return 0 if nothing was left behind."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--epochs", type=int, default=1_000, help="more than ten")
    parser.add_argument("--out", type=Path, help="a file for the record, which a whole run keeps anyhow")
    told = parser.parse_args(arguments)
    train, valid = (
        sn.FashionMnistDataLoader(mode, 256, _IMAGES, folder="synthetic") for mode in ("train", "valid")
    )
    valid.zero_center(train.mean_image)
    net = sn.Classifier(rng=0)
    metrics = sn.MetricsCollector(train, valid, sn.softmax_loss)
    left = soak(
        sn.Learner(train, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, metrics), told.epochs
    )
    found = faults(left)
    record = {
        "date": datetime.date.today().isoformat(), **describe(), "backend": backends.active().name,
        "data": train.source, "images": _IMAGES, "bound": MOST_GROWTH, **left, "faults": found,
    }  # fmt: skip
    print(json.dumps(record, indent=1))
    whole = IN_REPOSITORY and told.epochs >= 1_000 and not found
    out = told.out or (RESULTS / SOAK if whole else None)
    if out:
        out.write_text(json.dumps(record, indent=1) + "\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
