"""Measure what loaders and evaluation cost, relative to the work that they serve.

    python -m benchmarks.data [NAME …] [--threads 1] [--rounds 15] [--data FOLDER] [--out FILE]

views: reading batches that are views, beside slicing the arrays in a loop of one's own.
shuffle: an epoch that draws every sample anew, beside one that draws the order of the batches.
evaluation: measuring loss and accuracy of 60,000 images, beside the products of their forward pass.
jpeg: the part of a CNN's training time in which it waits for images that workers decode.

All times of a case are taken in turn in this process. A ratio is the median of the ratios of all rounds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import threadpoolctl

import scratchnet as sn
from benchmarks.compare import save
from benchmarks.machine import describe

_SIDE, _IMAGES, _CLASSES = 64, 1024, 8
_WORKERS = 2


def ratios(work: Callable[[], Any], beside: Callable[[], Any], rounds: int) -> float:
    """Return the median ratio of the times of two pieces of work, taken in turn."""
    times = []
    for _ in range(rounds + 2):
        start = perf_counter()
        work()
        middle = perf_counter()
        beside()
        times.append((middle - start) / (perf_counter() - middle))
    return median(times[2:])


def views(folder: str | None, rounds: int) -> dict[str, Any]:
    """Compare a pass of an `ArrayDataLoader` with slices in a loop."""
    train = sn.FashionMnistDataLoader("train", 256, folder=folder)
    loader = sn.ArrayDataLoader(train.inputs, train.targets, 256, shuffle="batches")
    x, y = train.inputs, train.targets

    def sliced() -> None:
        for start in range(0, len(x), 256):
            part = slice(start, start + 256)
            sn.Variable(x[part], requires_grad=False), sn.Variable(y[part], requires_grad=False)

    def read() -> None:
        for _ in loader:
            pass

    return {"ratio": ratios(read, sliced, rounds), "goal": 1.0}


def shuffle(folder: str | None, rounds: int) -> dict[str, Any]:
    """Compare an epoch of the recipe that draws every sample with one that draws batches."""
    train = sn.FashionMnistDataLoader("train", 256, folder=folder)
    runs = []
    for order in (True, "batches"):
        loader, net = (
            sn.ArrayDataLoader(train.inputs, train.targets, 256, shuffle=order),
            sn.Classifier(),
        )
        runs.append(sn.Learner(loader, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss))
    one, other = runs
    ratio = ratios(lambda: one.fit(1, None), lambda: other.fit(1, None), rounds)
    threads = max(each["num_threads"] for each in threadpoolctl.threadpool_info())
    return {"ratio": ratio, "goal": 1.15 if threads == 1 else 1.25}


def evaluation(folder: str | None, rounds: int) -> dict[str, Any]:
    """Compare the evaluation of 60,000 images with the products of its forward pass."""
    train = sn.FashionMnistDataLoader("train", 256, folder=folder)
    net = sn.Classifier()
    learner = sn.Learner(train, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss)
    first, second = net.fc1.weight.data, net.fc2.weight.data

    def products() -> None:
        for x, _ in train.in_order():
            x.data @ first.T @ second.T

    return {"ratio": ratios(lambda: learner.evaluate(train), products, rounds), "goal": 1.2}


def jpeg(folder: str | None, rounds: int) -> dict[str, Any]:
    """Measure how long the steps of a CNN wait for JPEG files that two threads decode."""
    del folder  # it writes its own images
    with TemporaryDirectory() as place:
        _write_images(Path(place))
        data = sn.ImageFolder(place)
        loader = sn.DataLoader(data, 32, workers=_WORKERS)
        net = sn.Sequential(
            sn.Conv2d(3, 16, 3, rng=0), sn.relu, sn.MaxPool2d(2),
            sn.Conv2d(16, 32, 3, rng=1), sn.relu, sn.MaxPool2d(2),
            sn.Flatten(), sn.Linear(32 * 14 * 14, _CLASSES, 2),
        )  # fmt: skip
        optimizer, parts = sn.Adam(net.parameters(), 1e-3), []
        for _round in range(rounds):
            waited, start = 0.0, perf_counter()
            batches = iter(loader)
            x, y = next(batches)  # the first batch of a pass has nothing that could hide its time
            start = perf_counter()
            while True:
                optimizer.zero_grad()
                sn.softmax_loss(net(x), y).backward()
                optimizer.step()
                before = perf_counter()
                batch = next(batches, None)
                waited += perf_counter() - before
                if batch is None:
                    break
                x, y = batch
            parts.append(waited / (perf_counter() - start))
    return {"ratio": median(parts), "goal": 0.05}


CASES: dict[str, Callable[[str | None, int], dict[str, Any]]] = {
    "views": views, "shuffle": shuffle, "evaluation": evaluation, "jpeg": jpeg,
}  # fmt: skip


def measured(names: list[str], folder: str | None, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure some cases, one at a time."""
    for name in names:
        yield {"what": name, "rounds": rounds, **CASES[name](folder, rounds)}


def main(arguments: list[str]) -> None:
    """Measure and print; write a record with `--out`."""
    told = _options(arguments)
    record: dict[str, Any] = {"date": date.today().isoformat(), **describe(), "threads": told.threads}
    record["data"] = []
    print(f"{'':14}{'ratio':>7}{'goal':>7}")
    with threadpoolctl.threadpool_limits(told.threads):
        for found in measured(told.names or list(CASES), told.data, told.rounds):
            record["data"].append(found)
            print(f"{found['what']:14}{found['ratio']:7.3f}{found['goal']:7.2f}", flush=True)
    if told.out is not None:
        save(told.out, record)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.data", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(CASES)}. By default all")
    parser.add_argument("--threads", type=int, default=1, help="threads of BLAS (1)")
    parser.add_argument("--rounds", type=int, default=15, help="rounds for each (15)")
    parser.add_argument("--data", help="folder of Fashion-MNIST, or synthetic")
    parser.add_argument("--out", type=Path, help="a JSON file for the record")
    told = parser.parse_args(arguments)
    if unknown := set(told.names) - set(CASES):
        parser.error(f"{', '.join(sorted(unknown))}: not one of {', '.join(CASES)}")
    if min(told.threads, told.rounds) < 1:
        parser.error("--threads and --rounds must be positive integers")
    return told


def _write_images(folder: Path) -> None:
    """Write JPEG files of noise with a colored spot, in a folder for each class."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(_IMAGES):
        label = number % _CLASSES
        pixels = rng.integers(0, 128, (_SIDE, _SIDE, 3), dtype=np.uint8)
        row, column = divmod(label, 4)
        pixels[row * 32 : row * 32 + 16, column * 16 : column * 16 + 16] += 100
        place = folder / f"class {label}"
        place.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.jpg", quality=90)


if __name__ == "__main__":
    main(sys.argv[1:])
