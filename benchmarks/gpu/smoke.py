"""The first minute on a GPU: does it work, and are the results right?

It describes the device, launches each kernel once and compares it with float64, takes ten captured
steps, and runs the parity table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

import backends
import scratchnet as sn
from backends import Backend, PlainBackend, Setting, active, to_device, to_host
from benchmarks.gpu.telling import Telling
from scratchnet.verify.parity import Parity

_CLOSE = 1e-5
"""The tolerance of a float32 kernel: the norm of the difference from float64, over the norm."""
_STEPS = 10


def smoke(tell: Telling, quick: bool) -> None:
    """Run all checks. A wrong result does not end the run."""
    device_facts(tell)
    for name, arguments in _launches(quick):
        sizes = ", ".join(str(each.shape) for each in arguments if isinstance(each, np.ndarray))
        what = f"{name} {sizes}".rstrip()
        with tell.attempt(what):
            error = _error(name, arguments)
            tell.fact(f"{what}: error of float32", error, "of the norm")
            tell.check(error <= _CLOSE, f"{what} is off by {error:.1e} of its norm")
    for make, how in ((_three_layers, "one launch"), (_two_layers, "one launch of fused kernels")):
        with tell.attempt(f"{_STEPS} captured steps, {how}"):
            _captured_steps(tell, make, how)
    with tell.attempt("parity"):
        _parity(tell, 5 if quick else None)


def device_facts(tell: Telling) -> None:
    """Describe the device with the driver's words."""
    runtime = active().xp.cuda.runtime
    device = runtime.getDeviceProperties(runtime.getDevice())
    tell.fact("device", active().device_name)
    tell.fact("library", active().describe())
    for name, field, scale, unit in (
        ("compute capability, major", "major", 1, ""),
        ("compute capability, minor", "minor", 1, ""),
        ("multiprocessors", "multiProcessorCount", 1, ""),
        ("shared memory of a block", "sharedMemPerBlockOptin", 1, "bytes"),
        ("memory", "totalGlobalMem", 1e-9, "GB"),
        ("L2 cache", "l2CacheSize", 1e-6, "MB"),
        ("clock", "clockRate", 1e-3, "MHz"),
        ("memory clock", "memoryClockRate", 1e-3, "MHz"),
    ):
        if field in device:  # newer drivers do not have all of them
            tell.fact(name, scale * device[field], unit)


def _launches(quick: bool) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Return each kernel of the backend, and arguments for it on the host."""
    rng = np.random.default_rng()  # new numbers in each run
    n, inputs, hidden, classes = (70, 33, 21, 7) if quick else (256, 784, 100, 10)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape)

    x, labels = normal(n, inputs), rng.integers(0, classes, n)
    first, second = normal(hidden, inputs) / inputs**0.5, normal(classes, hidden) / hidden**0.5
    parameters = [first, normal(hidden), second, normal(classes)]
    gradients = [normal(*each.shape) for each in parameters]
    yield "matmul", (normal(n, inputs), normal(inputs, hidden))
    yield "matmul", (normal(3, n, inputs), normal(3, inputs, hidden))
    if not quick:  # the large tiles
        yield "matmul", (normal(2048, 512), normal(512, 2048))
    yield "threshold", (x, 0.0)
    for name in ("erf", "erfc", "gelu"):
        yield name, (x,)
    yield "affine", (x, first, parameters[1], True)
    yield "affine_backward", (normal(n, hidden), x, first, np.maximum(normal(n, hidden), 0), (1, 1, 1))
    yield "softmax_cross_entropy", (5 * normal(n, classes), labels)
    yield "sgd_update", (parameters, gradients, Setting(0.1))
    yield "take_rows", (normal(9, n, inputs), rng.permutation(9), np.zeros((9, n, inputs)))
    yield "scatter_add", (normal(50, 7), rng.integers(-50, 50, 3000), normal(3000, 7))
    yield "two_layer_epoch", (x, labels, n // 3, parameters, Setting(0.1))
    yield "two_layer_evaluation", (x, labels, n // 3, parameters)


def _error(kernel: str, arguments: tuple[Any, ...]) -> float:
    """Return how far the kernel's float32 results and changes are from its twin in float64."""
    ours = [_each(to_device, each, "float32") for each in arguments]
    found = getattr(active(), kernel)(*ours)
    backends.synchronize()
    with backends.use(PlainBackend()) as plain:
        exact = [_each(_exactly, each, "float32") for each in arguments]
        expected = getattr(Backend, kernel)(plain, *exact)
    pairs = zip(_arrays([found, *ours]), _arrays([expected, *exact]), strict=True)
    errors = [
        float(np.linalg.norm(to_host(a) - b) / max(float(np.linalg.norm(b)), 1e-30))
        for a, b in pairs
        if b.dtype.kind == "f"
    ]
    return float(np.max(errors))  # NaN, if one of them is: Python's max would lose it


def _exactly(array: np.ndarray) -> np.ndarray:
    """Return the same numbers in float64; integers as they are."""
    return array.astype("float64") if array.dtype.kind == "f" else array.copy()


def _each(make: Any, thing: Any, dtype: str) -> Any:
    if isinstance(thing, (tuple, list)):
        return [_each(make, each, dtype) for each in thing]
    if isinstance(thing, np.ndarray):
        return make(thing.astype(dtype) if thing.dtype.kind == "f" else thing)
    return thing


def _arrays(things: Any) -> Iterator[Any]:
    for thing in things:
        if isinstance(thing, (tuple, list)):
            yield from _arrays(thing)
        elif hasattr(thing, "shape"):
            yield thing


def _two_layers() -> sn.Module:
    return sn.Sequential(sn.Linear(36, 21, 0), sn.relu, sn.Linear(21, 7, 1))


def _three_layers() -> sn.Module:
    return sn.Sequential(_two_layers(), sn.tanh, sn.Linear(7, 7, 2))


def _captured_steps(tell: Telling, make: Callable[[], sn.Module], how: str) -> None:
    """Train four epochs of ten steps, the last two as one launch, and compare with NumPy."""
    rng = np.random.default_rng()
    x = rng.standard_normal((_STEPS * 16, 36)).astype("float32")
    labels = rng.integers(0, 7, _STEPS * 16)

    def train() -> sn.Learner:
        data, net = sn.ArrayDataLoader(to_device(x), to_device(labels), 16, seed=0), make()
        metrics = sn.MetricsCollector(data, data, sn.softmax_loss)
        optimizer = sn.SGD(net.parameters(), 0.1)
        learner = sn.Learner(data, net, optimizer, sn.softmax_loss, metrics, capture=True)
        learner.fit(4, None)
        return learner

    ours = train()
    with backends.use("numpy"):
        theirs = train()
    apart = np.subtract(ours.history["train_loss"], theirs.history["train_loss"])
    difference = float(np.abs(apart).max())
    tell.fact(f"{how}: largest difference of a loss from NumPy's", difference)
    tell.check(ours.replay.how == how, f"{_STEPS} steps were not {how} but {ours.replay.how}")
    tell.check(difference < 1e-4, f"{how}: a loss differs from NumPy's by {difference:.1e}")


def _parity(tell: Telling, most: int | None) -> None:
    """Compare every Function, layer and kernel, a step and three epochs with NumPy, or a few."""
    table = {}
    for row in islice(Parity("numpy").rows(), most):
        back = row.backward.ulp if row.backward else None
        table[row.case.name] = {"forward": row.forward.ulp, "backward": back, "allowed": row.allowed}
        if row.fault:
            tell.check(
                False, f"parity of {row.case.name}: {row.fault.ulp:.3g} ULP, {row.allowed:.3g} allowed"
            )
    tell.result("parity", {"against": "numpy", "ulp": table})
