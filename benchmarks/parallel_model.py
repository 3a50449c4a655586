"""Predict what data-parallel training gains on up to 1,000 devices: python -m benchmarks.parallel_model.

The model, of a step on R devices that add up n bytes of gradients:

    ring = 2 (R - 1) (a + n / (R b))      each device sends n / R bytes, 2 (R - 1) times
    tree = 2 log2(R) a + 2 n / b          up a binary tree and down again, in pieces
    sum = the smaller of both
    efficiency = c / (c + sum)            c is the time of forward, backward and update
    with overlap = c / (c + max(0, sum - 2/3 c))   backward is two thirds of c, and hides the sum

a is the time until the first byte arrives, and b the bytes that a device sends in a second. It assumes
that all devices are equally fast, that nothing else uses the network, and that data are always there.
Nothing of this was measured.
"""

from __future__ import annotations

import math
from typing import NamedTuple

LATENCY, BANDWIDTH = 5e-6, 50e9
DEVICES = 2, 8, 64, 1000


class Work(NamedTuple):
    """A network: the bytes of its gradients, and the time of a step on one device."""

    name: str
    gradients: float
    seconds: float


WORKS = (
    Work("784-100-10, 256 images a device", 318e3, 8e-6),
    Work("ResNet-50, 32 images a device", 102e6, 32 / 3000),
    Work("ResNet-50, 256 images a device", 102e6, 256 / 3000),
)


def seconds_of_sum(devices: int, gradients: float) -> float:
    """Return the time in which devices add up gradients."""
    ring = 2 * (devices - 1) * (LATENCY + gradients / devices / BANDWIDTH)
    tree = 2 * math.log2(devices) * LATENCY + 2 * gradients / BANDWIDTH
    return min(ring, tree)


def efficiency(work: Work, devices: int, overlap: bool) -> float:
    """Return the part of the time in which devices compute, with batches that grow with their number."""
    waited = seconds_of_sum(devices, work.gradients)
    if overlap:
        waited = max(0.0, waited - 2 / 3 * work.seconds)
    return work.seconds / (work.seconds + waited)


def table() -> str:
    """Return the predictions as a table in Markdown."""
    lines = [
        "| | " + " | ".join(f"{each} devices" for each in DEVICES) + " |",
        "| --- |" + " ---: |" * len(DEVICES),
    ]
    for work in WORKS:
        for overlap in False, True:
            found = [f"{efficiency(work, each, overlap):.0%}" for each in DEVICES]
            words = f"{work.name}{', overlapped' if overlap else ''}"
            lines.append(f"| {words} | " + " | ".join(found) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
