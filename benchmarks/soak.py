"""`python -m benchmarks.soak` trains 20,000 epochs, then 64 threads at once. Both leave nothing.

The long run has a checkpoint after every tenth epoch, all callbacks, and a terminal. After its first
quarter, when everything has been created once and rich's caches are full, memory must stay constant.
Only the history and the metrics grow, by one number for each batch of each epoch and a few more. Their
size is reported separately, and is not a leak. Memory is what Python and NumPy have allocated
(tracemalloc). The resident set is reported too, but not judged: it includes the gaps that growing lists
leave behind. Linux only, because it reads Linux's own account of the process.
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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

import backends
import scratchnet as sn
from backends import synchronize, to_device
from benchmarks.machine import describe
from benchmarks.memory import memory
from benchmarks.report import IN_REPOSITORY, RESULTS, SOAK
from scratchnet.files import digest_of
from scratchnet.machine import blas_threads

WARM_UP = 10
MOST_GROWTH = 1_000_000
"""Has room for Python's table of interned text, 939 KiB here. It may be allocated anew in the run, and
the one before is not counted."""
_EPOCHS, _THREADS = 20_000, 64


class Held(NamedTuple):
    """What the process holds."""

    memory: int
    """Bytes that Python and NumPy have allocated."""
    resident: int
    """Bytes of the resident set."""
    history: int
    """Bytes of the history and the metrics."""
    files: int
    threads: int


def soak(learner: sn.Learner, epochs: int, warm_up: int = WARM_UP, **options: Any) -> dict[str, Any]:
    """Train, and report the seconds, and what the epochs after the first ones left. Warnings are errors.

    Args:
        learner: not yet trained, with a `MetricsCollector`.
        epochs: more than `warm_up`.
        warm_up: epochs after which everything has been created once.
        options: for `fit`, such as callbacks and a checkpoint.
    """
    with _counted(), warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", sn.CrowdedWarning)
        learner.fit(warm_up, None, **options)
        blas_threads()  # what a run loads to look at this, on a busy machine, is no leak
        before, start = _held(learner), perf_counter()
        learner.fit(epochs - warm_up, None, **options)
        seconds, after = perf_counter() - start, _held(learner)
    return {"epochs": epochs, "seconds": seconds, **_left(before, after)}


def crowd(threads: int, epochs: int) -> dict[str, Any]:
    """Let many threads train at the same time, each its own network, twice.

    Report what the second time left, and how many networks differ from one that was trained alone.

    Args:
        threads: their number.
        epochs: of each of them.
    """
    alone = _trained(epochs)
    with _counted(), ThreadPoolExecutor(threads) as pool:
        list(pool.map(_trained, [epochs] * threads))
        before, start = _held(), perf_counter()
        found = list(pool.map(_trained, [epochs] * threads))
        seconds, after = perf_counter() - start, _held()
    others = sum(each != alone for each in found)
    return {
        "crowd": threads, "epochs": epochs * threads, "seconds": seconds, "other_bits": others,
        **_left(before, after),
    }  # fmt: skip


@contextmanager
def _counted() -> Iterator[None]:
    """Let Python count what it allocates."""
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def _trained(epochs: int) -> str:
    learner = tiny()
    learner.fit(epochs, None)
    return digest_of(learner.net.state_dict())


def tiny() -> sn.Learner:
    """Return a Learner with a small convolutional network and 64 images of noise."""
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((64, 1, 8, 8)).astype(np.float32), rng.integers(0, 3, 64)
    loader = sn.ArrayDataLoader(to_device(images), to_device(labels), 32)
    net = sn.Sequential(
        sn.Conv2d(1, 4, 3, rng=0), sn.relu, sn.MaxPool2d(2), sn.Flatten(), sn.Linear(36, 3, 0)
    )
    metrics = sn.MetricsCollector(loader, loader, sn.softmax_loss)
    return sn.Learner(loader, net, sn.Adam(net.parameters(), 1e-4), sn.softmax_loss, metrics)


def with_all(folder: Path) -> dict[str, Any]:
    """Return options of `fit`: checkpoints, which hold the whole history, and every callback."""
    never = 10**9
    return {
        "checkpoint": folder / "run.safetensors", "every": 10,
        "callbacks": [
            sn.LiveCurves(), sn.EarlyStopping(patience=never, restore_best_weights=True),
            sn.ReduceLROnPlateau(patience=never), sn.CSVLogger(folder / "log.csv"),
            sn.TensorBoard(folder / "events"), sn.ModelCheckpoint(folder / "net.safetensors"),
        ],
    }  # fmt: skip


@contextmanager
def on_a_terminal() -> Iterator[None]:
    """Let standard output be a terminal of 80 columns that somebody reads, so that callbacks draw."""
    import fcntl
    import pty
    import struct
    import termios
    from threading import Thread

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def read() -> None:
        with suppress(OSError):
            while os.read(ours, 65536):
                pass

    reader = Thread(target=read)
    reader.start()
    former = sys.stdout
    try:
        with open(theirs, "w", encoding="utf-8") as sys.stdout:
            yield
    finally:
        sys.stdout = former
        reader.join()
        os.close(ours)


def faults(left: dict[str, Any], most_growth: int = MOST_GROWTH) -> list[str]:
    """Return in words what is wrong."""
    found = []
    if left["growth_beside"] > most_growth:
        found.append(f"memory grows: {left['growth_beside']:,} bytes that are not the history's")
    if left.get("other_bits"):
        found.append(f"{left['other_bits']} of {left['crowd']} threads have other bits than one alone")
    for what in ("open_files", "threads"):
        if left[what] > 0:
            found.append(f"{left[what]} {what.replace('_', ' ')} are left")
    return found


def _left(before: Held, after: Held) -> dict[str, Any]:
    grown = Held(*(now - then for now, then in zip(after, before, strict=True)))
    return {
        "growth_resident": grown.resident,
        "growth": grown.memory,
        "of_the_history": grown.history,
        "growth_beside": grown.memory - grown.history,
        "open_files": grown.files,
        "threads": grown.threads,
    }


def _held(learner: sn.Learner | None = None) -> Held:
    synchronize()
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    files, threads = (len(os.listdir(f"/proc/self/{each}")) for each in ("fd", "task"))
    kept: list[list[Any]] = [*learner.history.values()] if learner else []
    if learner and isinstance(learner.evaluator, sn.MetricsCollector):
        kept += [*learner.evaluator.metrics, learner.evaluator.epochs]
    sizes = {id(each): sys.getsizeof(each) for series in kept for each in (series, *series)}
    return Held(held, memory("VmRSS"), sum(sizes.values()), files, threads)


def main(arguments: list[str]) -> int:
    """Run both and write the record. Return 0 if nothing was left behind."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--epochs", type=int, default=_EPOCHS, help="more than ten")
    parser.add_argument("--threads", type=int, default=_THREADS, help="of the crowd")
    parser.add_argument("--out", type=Path, help="a file for the record, which a whole run keeps anyhow")
    told = parser.parse_args(arguments)
    with TemporaryDirectory() as folder, on_a_terminal():
        alone = soak(tiny(), told.epochs, max(told.epochs // 4, WARM_UP), **with_all(Path(folder)))
    together = crowd(told.threads, max(told.epochs // told.threads // 2, 1))
    found = faults(alone) + faults(together)
    record = {
        "date": datetime.date.today().isoformat(), **describe(), "backend": backends.active().name,
        "bound": MOST_GROWTH, "alone": alone, "together": together, "faults": found,
    }  # fmt: skip
    print(json.dumps(record, indent=1))
    whole = (told.epochs, told.threads) >= (_EPOCHS, _THREADS) and IN_REPOSITORY and not found
    out = told.out or (RESULTS / SOAK if whole else None)
    if out:
        out.write_text(json.dumps(record, indent=1) + "\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
