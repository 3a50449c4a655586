"""The cost of a launch, and where the microseconds of a step go, to compare with the model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from backends import Setting, active, synchronize, to_device
from backends.cuda.compiled import Kernels
from benchmarks.gpu.telling import Telling


class Scale(NamedTuple):
    """How much is measured: calls between two readings of the clock, readings, and pieces in a graph."""

    repeats: int
    rounds: int
    nodes: int
    steps: int


WHOLE, QUICK = Scale(20, 15, 1000, 235), Scale(1, 1, 2, 2)


def now() -> float:
    """Read the clock after the device has finished all work."""
    synchronize()
    return perf_counter()


def timed(work: Callable[[], object], scale: Scale, pieces: int = 1) -> list[float]:
    """Return the seconds of one piece of some work, which is launched repeatedly without waiting."""
    work()
    found = []
    for _ in range(scale.rounds):
        start = now()
        for _ in range(scale.repeats):
            work()
        found.append((now() - start) / (scale.repeats * pieces))
    return found


def measure(tell: Telling, quick: bool) -> None:
    """Measure everything."""
    for part in (_launches, _step, _kernels, _memory, _products):
        with tell.attempt(part.__name__.strip("_")):
            part(tell, QUICK if quick else WHOLE)


def _launches(tell: Telling, scale: Scale) -> None:
    """Measure empty kernels: the cost of a launch, a node of a graph, a barrier."""
    backend: Any = active()
    kernels = Kernels(backend.xp, 1)
    passed = backend.xp.zeros(128, np.int32)

    def launch(launches: int, barriers: int = 0, cluster: int = 1) -> None:
        kernel = kernels.function("barriers", "barriers", f"CLUSTER={cluster}")
        for _ in range(launches):
            kernel((128,), (256,), (np.int32(barriers), passed))

    def node(nodes: int, **told: int) -> list[float]:
        launch(1, **told)
        return timed(backend.capture(lambda: launch(nodes, **told)), scale, nodes)

    launched = timed(lambda: launch(scale.nodes), scale, scale.nodes)
    tell.figure("gpu", "an empty kernel, launched", launched)
    tell.figure("gpu", "an empty kernel, as a node of a graph", node(scale.nodes))
    tell.figure("gpu", "a graph of one node, launched", timed(backend.capture(lambda: launch(1)), scale))
    empty, barriers = node(scale.nodes, cluster=8), min(scale.nodes, 100)
    tell.figure("gpu", "an empty kernel of clusters, as a node of a graph", empty)
    full = node(barriers, cluster=8, barriers=barriers)
    tell.fact("a barrier of a cluster", 1e6 * (median(full) - median(empty)) / barriers, "µs")


def _step(tell: Telling, scale: Scale) -> None:
    """Measure the two kernels of a step, together and alone, in a graph of as many as an epoch has."""
    backend: Any = active()
    rng = np.random.default_rng()
    x = to_device(rng.standard_normal((256 * scale.steps, 784)).astype(np.float32))
    labels = to_device(rng.integers(0, 10, len(x)))
    shapes = (100, 784), (100,), (10, 100), (10,)
    parameters = tuple(to_device(0.05 * rng.standard_normal(s).astype(np.float32)) for s in shapes)
    rate, kernels = Setting(1e-9), backend.two_layer_kernels(labels, parameters)

    def epoch() -> object:
        return kernels.epoch(x, labels, 256, parameters, rate)

    def seconds() -> list[float]:
        epoch()
        return timed(backend.capture(epoch), scale, scale.steps)

    tell.figure("gpu", "forward_backward and update, a step", seconds())
    for name, other in (("forward_backward", "update"), ("update", "forward_backward")):
        launch = getattr(kernels, other)
        setattr(kernels, other, lambda *_, **__: None)
        tell.figure("gpu", f"{name} alone, a step", seconds())
        setattr(kernels, other, launch)
    evaluation = backend.capture(lambda: kernels.evaluation(x, labels, 256, parameters))
    tell.figure("gpu", f"evaluate and batch_means, {len(x):,} images", timed(evaluation, scale))
    clusters = _clusters_at_once(kernels)
    if clusters is not None:
        tell.fact("clusters of forward_backward at once", clusters)


def _clusters_at_once(kernels: Any) -> int | None:
    """Return how many clusters the device can hold; None for a kernel that runs on the CPU."""
    function = getattr(kernels.forward_backward, "kernel", None)
    if function is None:
        return None
    from cuda.bindings import driver

    config = driver.CUlaunchConfig()
    config.gridDimX, config.gridDimY, config.gridDimZ = 16 * kernels.cluster, 1, 1
    config.blockDimX, config.blockDimY, config.blockDimZ = 256, 1, 1
    config.sharedMemBytes = kernels.shared
    fault, clusters = driver.cuOccupancyMaxActiveClusters(driver.CUfunction(function.ptr), config)
    if fault != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"cuOccupancyMaxActiveClusters: {fault.name}")
    return int(clusters)


def _kernels(tell: Telling, scale: Scale) -> None:
    """Measure the kernels of a step of any network, each alone in a graph of many."""
    backend: Any = active()
    rng = np.random.default_rng()

    def normal(*shape: int) -> Any:
        return to_device(rng.standard_normal(shape).astype(np.float32))

    x, first, bias, second = normal(256, 784), normal(100, 784), normal(100), normal(10, 100)
    hidden, logits, labels = normal(256, 100), normal(256, 10), to_device(rng.integers(0, 10, 256))
    words, places, rows = (
        normal(50_000, 300),
        to_device(rng.integers(0, 50_000, 10_000)),
        normal(10_000, 300),
    )
    parameters, gradients = ([normal(*s) for s in ((100, 784), (100,), (10, 100), (10,))] for _ in "12")
    rate = Setting(1e-9)
    rate.on_device(backend.xp)
    works: dict[str, Callable[[], object]] = {
        "affine with ReLU, 256 × 784 × 100": lambda: backend.affine(x, first, bias, True),
        "affine_backward to weight and bias, 100 × 256 × 784": lambda: backend.affine_backward(
            hidden, x, first, hidden, (False, True, True)
        ),
        "affine_backward, 256 × 10 × 100": lambda: backend.affine_backward(
            logits, hidden, second, None, (True, True, True)
        ),
        "softmax_cross_entropy, 256 × 10": lambda: backend.softmax_cross_entropy(logits, labels),
        "gelu, 256 × 784": lambda: backend.gelu(x),
        "scatter_add of 10,000 rows of 300 to 50,000": lambda: backend.scatter_add(words, places, rows),
        "sgd_update of the four parameters": lambda: backend.sgd_update(parameters, gradients, rate),
    }
    many = min(scale.nodes, 100)
    for what, work in works.items():
        work()
        captured = backend.capture(lambda work=work: [work() for _ in range(many)])
        tell.figure("gpu", f"{what}, as a node", timed(captured, scale, many))
        tell.figure("gpu", f"{what}, launched", timed(work, scale))


def _memory(tell: Telling, scale: Scale) -> None:
    """Measure how long it takes to gather the images of an epoch in a new order, and to copy them."""
    backend: Any = active()
    rng = np.random.default_rng()
    batches = scale.steps - 1
    images = to_device(rng.standard_normal((batches, 256, 784)).astype(np.float32))
    target, order = images.copy(), rng.permutation(batches)
    chosen = to_device(order)
    gather = partial(backend.take_rows, images, chosen, target)
    tell.figure("gpu", "an order of batches to the device", timed(lambda: to_device(order), scale))
    tell.figure("gpu", "gathering the images of an epoch", timed(gather, scale))
    rows, one_by_one = (each.reshape(-1, 784) for each in (images, target))
    samples = to_device(rng.permutation(len(rows)))
    by_sample = partial(backend.take_rows, rows, samples, one_by_one)
    tell.figure("gpu", "gathering them sample by sample", timed(by_sample, scale))
    copies = timed(lambda: backend.xp.copyto(target, images), scale)
    tell.figure("gpu", "copying the images", copies)
    moved = 2 * images.size * images.itemsize
    tell.fact("copying on the device", moved / float(np.median(copies)) / 1e12, "TB/s, read and written")


def _products(tell: Telling, scale: Scale) -> None:
    """Measure our products and cuBLAS's, launched one after the other without waiting."""
    rng = np.random.default_rng()
    for shape in (
        [(64, 33, 20)]
        if scale is QUICK
        else [(256, 784, 100), (100, 256, 784), (2048,) * 3, (4096,) * 3]
    ):
        rows, depth, columns = shape
        a, b = (
            to_device(rng.standard_normal(each).astype(np.float32))
            for each in ((rows, depth), (depth, columns))
        )
        named = " × ".join(map(str, shape))
        for name, work in (("ours", partial(active().matmul, a, b)), ("cuBLAS", lambda a=a, b=b: a @ b)):
            tell.figure("gpu", f"a product {named}, {name}", timed(work, scale))
