"""Measure how the epoch grows with batch, hidden layer and number of samples, on each backend.

On the CPU each point has its floor, the matrix products of the same steps. The crossover lies between
two points: from there on, one backend is faster than the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

import backends
import scratchnet as sn
from backends import to_host
from benchmarks.figures import Figure, figure
from benchmarks.floor import matrix_products

AXES: dict[str, tuple[int, ...]] = {
    "batch size": (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192),
    "hidden units": (32, 64, 128, 256, 512, 1024, 2048, 4096),
    "samples": (1000, 2000, 5000, 10_000, 20_000, 40_000, 60_000),
}
QUICK: dict[str, tuple[int, ...]] = {
    "batch size": (64, 1024), "hidden units": (32, 256), "samples": (1000, 4000),
}  # fmt: skip
_LONG = 0.7
"""An epoch of more seconds is measured only twice."""

RECIPE = {"batch size": 256, "hidden units": 100, "samples": 60_000}


class Data(NamedTuple):
    """Images (n, 784) and labels on the host, and their name."""

    images: np.ndarray
    labels: np.ndarray
    source: str


def load(folder: str | None, take: int | None) -> Data:
    """Load the training set once for all points."""
    with backends.use("numpy"):
        train = sn.FashionMnistDataLoader("train", 256, take, folder=folder)
        return Data(train.inputs, train.labels, train.source)


def points(data: Data, axes: dict[str, tuple[int, ...]], rounds: int) -> Iterator[Figure]:
    """Measure the points on the active backend, one at a time."""
    for axis, values in axes.items():
        for value in values:
            told = RECIPE | {"samples": len(data.labels)} | {axis: value}
            if told["samples"] <= len(data.labels):
                yield _point(data, axis, told, rounds)


def _point(data: Data, axis: str, told: dict[str, int], rounds: int) -> Figure:
    """Measure an epoch, and on the CPU the products of its steps, in turn."""
    size, hidden, samples = (told[name] for name in RECIPE)
    x, y = (backends.to_device(each[:samples]) for each in (data.images, data.labels))
    train = sn.ArrayDataLoader(x, y, size)
    net = sn.Classifier(hidden, 231)
    learner = sn.Learner(train, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss)
    on_cpu = backends.active().device_name == "the CPU"
    products = matrix_products(size, hidden) if on_cpu else None
    before = _loss(net, train)
    floors = []
    learner.fit(2, None)
    if products:
        for inputs, _ in train:  # to warm up
            products(inputs.data)
    if learner.history["duration"][-1] > _LONG:
        rounds = min(rounds, 2)
    for _ in range(rounds):
        learner.fit(1, None)
        if products:
            start = perf_counter()
            for inputs, _ in train:
                products(inputs.data)
            floors.append(perf_counter() - start)
    assert _loss(net, train) < before, f"{axis} {told[axis]}: the network has not learnt"
    seconds = learner.history["duration"][-rounds:]
    facts: dict[str, Any] = {"axis": axis, "at": told[axis], "backend": backends.active().name}
    facts |= {"samples": samples, "data": data.source}
    if floors:
        facts["floor"] = median(floors)
    return figure("scaling", f"an epoch at {axis} {told[axis]:,}", seconds, **facts)


def _loss(net: sn.Module, train: sn.ArrayDataLoader) -> float:
    x, y = next(train.in_order())
    with sn.no_grad():
        return float(to_host(sn.softmax_loss(net(x), y).data))


def crossovers(figures: Sequence[Figure], one: str = "numpy", other: str = "cupy") -> dict[str, str]:
    """Say for each axis from where on the other backend's epoch is shorter.

    Say nothing if only one of them was measured.
    """
    if not {one, other} <= {each["backend"] for each in figures}:
        return {}
    told, crossings = {}, crossings_of(figures, one, other)
    for axis, (first, second) in _times(figures, one, other).items():
        both, at = sorted(first.keys() & second.keys()), crossings[axis]
        if not both:
            told[axis] = "not measured on both"
        elif at is not None:
            told[axis] = f"{other} wins from about {at:,.0f} on"
        elif second[both[-1]] < first[both[-1]]:
            told[axis] = f"{other} wins from the smallest on, {both[0]:,}"
        elif any(second[each] < first[each] for each in both):
            told[axis] = f"{one} wins at the largest, {both[-1]:,}"
        else:
            told[axis] = f"{one} wins up to the largest, {both[-1]:,}"
    return told


def crossings_of(
    figures: Sequence[Figure], one: str = "numpy", other: str = "cupy"
) -> dict[str, float | None]:
    """Return for each axis where the other backend is faster from then on; None if always or never.

    It lies between two points, where the ratio of the times passes 1 on logarithmic scales.
    """
    found: dict[str, float | None] = {}
    for axis, (first, second) in _times(figures, one, other).items():
        both = sorted(first.keys() & second.keys())
        lost = [i for i, at in enumerate(both) if second[at] >= first[at]]
        found[axis] = None
        if lost and lost[-1] < len(both) - 1:
            low, high = both[lost[-1]], both[lost[-1] + 1]
            a, b = (math.log(second[at] / first[at]) for at in (low, high))
            found[axis] = low * (high / low) ** (a / (a - b))
    return found


def _times(
    figures: Sequence[Figure], one: str, other: str
) -> dict[str, tuple[dict[int, float], dict[int, float]]]:
    """Return for each axis the times of the two backends at each point."""
    times: dict[str, tuple[dict[int, float], dict[int, float]]] = {}
    for each in figures:
        pair = times.setdefault(each["axis"], ({}, {}))
        if each["backend"] in (one, other):
            pair[each["backend"] == other][each["at"]] = each["median"]
    return times


def growth(figures: Sequence[Figure]) -> list[str]:
    """Return how the cost grows along each axis, next to that of the products."""
    lines = []
    groups: dict[tuple[str, str], list[Figure]] = {}
    for each in figures:
        groups.setdefault((each["backend"], each["axis"]), []).append(each)
    for (backend, axis), points in groups.items():
        points.sort(key=lambda each: each["at"])
        first, last = points[0], points[-1]
        line = (
            f"{axis} {first['at']:,} to {last['at']:,}, {backend}: an epoch costs "
            f"{last['median'] / first['median']:.2f} times as much"
        )
        if "floor" in first:
            line += f", its products {last['floor'] / first['floor']:.2f} times"
        lines.append(line)
    return lines
