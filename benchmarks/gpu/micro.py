"""What a launch costs, and where the microseconds of a step go."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from backends import Setting, active, synchronize, to_device
from backends.cuda_kernels import Kernels


def now() -> float:
    """The clock, when the device has done all its work."""
    synchronize()
    return perf_counter()


def timed(work: Callable[[], object], repeats: int) -> float:
    """Seconds of one piece of work, handed over without waiting: the median of five times `repeats`."""
    work()
    found = []
    for _ in range(5):
        start = now()
        for _ in range(repeats):
            work()
        found.append((now() - start) / repeats)
    return median(found)


def measure(quick: bool) -> dict[str, Any]:
    """All of it, in microseconds unless the name says otherwise."""
    few = 2 if quick else 20
    found = {**_launches(few), **_kernels(few), **_memory(few), "products": _products(quick)}
    for name, value in found.items():
        print(f"{name}: {value}", flush=True)
    return {"outcome": "done", "micro": found}


def _launches(few: int) -> dict[str, float]:
    backend: Any = active()
    kernels = Kernels(backend.xp, 1)
    passed = backend.xp.zeros(128, np.int32)

    def launch(launches: int, barriers: int = 0, cluster: int = 1) -> None:
        kernel = kernels.function("barriers", "barriers", f"CLUSTER={cluster}")
        for _ in range(launches):
            kernel((128,), (256,), (np.int32(barriers), passed))

    def node(launches: int, **told: int) -> float:
        launch(1, **told)
        return 1e6 * timed(backend.capture(lambda: launch(launches, **told)), few) / launches

    thousand = 1000 if few == 20 else 10
    clusters = node(thousand, cluster=8), node(thousand, cluster=8, barriers=100)
    return {
        "an empty kernel, launched": 1e6 * timed(lambda: launch(100), few) / 100,
        "an empty kernel, as a node of a graph": node(thousand),
        "an empty kernel of clusters, as a node of a graph": clusters[0],
        "a barrier of a cluster": (clusters[1] - clusters[0]) / 100,
        "a graph of one node, launched": 1e6 * timed(backend.capture(lambda: launch(1)), 10 * few),
    }


def _kernels(few: int) -> dict[str, float]:
    """Each of the two kernels of a step, alone in a graph of as many as an epoch has."""
    backend: Any = active()
    steps = few if few < 20 else 235
    rng = np.random.default_rng(0)
    x = to_device(rng.standard_normal((256 * steps, 784)).astype(np.float32))
    labels = to_device(rng.integers(0, 10, len(x)))
    shapes = (100, 784), (1, 100), (10, 100), (1, 10)
    parameters = tuple(to_device(0.05 * rng.standard_normal(s).astype(np.float32)) for s in shapes)
    rate, kernels = Setting(1e-9), backend.two_layer_kernels(labels, parameters)

    def epoch() -> object:
        return kernels.epoch(x, labels, 256, parameters, rate)

    def microseconds() -> float:
        epoch()
        return 1e6 * timed(backend.capture(epoch), few) / steps

    found = {"a step of both kernels": microseconds()}
    for name in ("forward_backward", "update"):
        launch = getattr(kernels, name)
        setattr(kernels, name, lambda *_, **__: None)
        found[f"a step without {name}"] = microseconds()
        setattr(kernels, name, launch)
    return found


def _memory(few: int) -> dict[str, float]:
    xp = active().xp
    rng = np.random.default_rng(0)
    images = to_device(rng.standard_normal((60_000, 784)).astype(np.float32))
    target, order = images.copy(), rng.permutation(234)
    full = 234 * 256
    batches, room = (each[:full].reshape(234, 256, 784) for each in (images, target))
    chosen = to_device(order)
    copy = timed(lambda: xp.copyto(target, images), few)
    return {
        "an order of 234 batches to the device": 1e6 * timed(lambda: to_device(order), few),
        "gathering 234 batches": 1e6 * timed(lambda: active().take_rows(batches, chosen, room), few),
        "copying the images": 1e6 * copy,
        "copying, bytes read and written, TB/s": 2 * images.size * images.itemsize / copy / 1e12,
    }


def _products(quick: bool) -> list[dict[str, Any]]:
    """Our products and cuBLAS's, handed over one after the other, without waiting."""
    rng = np.random.default_rng(0)
    found = []
    for rows, depth, columns in (
        [(64, 33, 20)] if quick else [(256, 784, 100), (100, 256, 784), (2048,) * 3, (4096,) * 3]
    ):
        a, b = (
            to_device(rng.standard_normal(shape).astype(np.float32))
            for shape in ((rows, depth), (depth, columns))
        )
        ours, cublas = (
            timed(work, 10) for work in (lambda a=a, b=b: active().matmul(a, b), lambda a=a, b=b: a @ b)
        )
        found.append({"shape": [rows, depth, columns], "ours": 1e6 * ours, "cublas": 1e6 * cublas})
    return found
