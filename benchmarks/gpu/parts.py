"""The parts of `make gpu`: `python -m benchmarks.gpu.parts NAME BACKEND QUICK MESSAGES LOG` runs one.

It writes its results to the file MESSAGES, one JSON line for each; see `Telling`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import backends
import scratchnet as sn
from backends import Backend, active, to_host
from backends.cuda.compiled import Kernels
from benchmarks import peers, scaling
from benchmarks.gpu import micro
from benchmarks.gpu.devices import devices
from benchmarks.gpu.predictions import CAPTURED, FUSED, KERNELS, PLAIN
from benchmarks.gpu.smoke import device_facts, smoke
from benchmarks.gpu.telling import Telling
from benchmarks.recipe import LEAST_ACCURACY

_MOST_DIFFERENCE = 1e-3
_PROCESSES = 8
_TEST_SECONDS = 120


def loaders(quick: bool) -> tuple[sn.FashionMnistDataLoader, sn.FashionMnistDataLoader]:
    """The recipe's data and network, on the active backend."""
    take = 1500 if quick else None
    train = sn.FashionMnistDataLoader("train", 256, take)
    valid = sn.FashionMnistDataLoader("valid", 256, take)
    valid.zero_center(train.mean_image)
    return train, valid


def recipe(quick: bool, capture: bool | str = "auto") -> sn.Learner:
    """The recipe's learner, with an evaluation."""
    train, valid = loaders(quick)
    net = sn.Classifier(rng=np.random.default_rng(231))
    metrics = sn.MetricsCollector(train, valid, sn.softmax_loss, capture)
    optimizer = sn.SGD(net.parameters(), 0.1)
    return sn.Learner(train, net, optimizer, sn.softmax_loss, metrics, capture)


def plain_kernels() -> None:
    """Give the active backend the plain twins instead of its kernels."""
    for name in ("matmul", "affine", "affine_backward", "softmax_cross_entropy", "sgd_update"):
        setattr(active(), name, partial(getattr(Backend, name), active()))


def _no_fused_kernels() -> None:
    vars(active())["fuses"] = lambda *_: False


def epochs(tell: Telling, quick: bool) -> None:
    """Measure the epoch in each way. The times are `Learner`'s: gathering and all steps."""
    kernels = dict(vars(active()))
    for what, prepare, capture, rounds in (
        (FUSED, None, True, 300),
        (CAPTURED, _no_fused_kernels, True, 50),
        (KERNELS, None, False, 20),
        (PLAIN, plain_kernels, False, 5),
    ):
        vars(active()).clear()
        vars(active()).update(kernels)
        if prepare:
            prepare()
        with tell.attempt(what):
            learner = recipe(quick, capture)
            learner.fit(4, None)  # warm: compiled, loaded, captured
            evaluator, learner.evaluator = learner.evaluator, None
            learner.fit(3 if quick else rounds, None)
            assert evaluator is not None
            accuracy = evaluator.evaluate(learner.net)["train_accuracy"]
            facts: dict[str, Any] = {
                "backend": active().name,
                "library": active().describe(),
                "how": learner.replay.how,
            }
            seconds = learner.history["duration"][4:]
            if _has_learnt(tell, what, accuracy, quick):
                facts |= {"accuracy": accuracy, "data": learner.train.source}
                tell.figure("epoch", what, seconds, **facts)


def _has_learnt(tell: Telling, what: str, accuracy: float, quick: bool) -> bool:
    """Accept a time only if the network has learned."""
    learnt = quick or accuracy > LEAST_ACCURACY
    return tell.check(learnt, f"{what}: the network has not learnt, accuracy {accuracy:.3f}")


def curve(tell: Telling, quick: bool) -> None:
    """Train ten epochs twice and on NumPy, and compare losses, weights and times."""
    count = 3 if quick else 10
    losses, weights, seconds = [], [], []
    for _ in range(2):
        start = micro.now()
        learner = recipe(quick)
        learner.fit(count, None)
        seconds.append(micro.now() - start)
        losses.append(list(learner.history["train_loss"]))
        weights.append([to_host(p.data) for p in learner.net.parameters()])
    with backends.use("numpy"):
        on_numpy = recipe(quick)
        on_numpy.fit(count, None)
    difference = float(np.abs(np.subtract(losses[0], on_numpy.history["train_loss"])).max())
    same = losses[0] == losses[1] and all(map(np.array_equal, *weights))
    found = {
        "train_loss": losses[0], "train_loss_on_numpy": on_numpy.history["train_loss"],
        "largest_difference": difference, "repeats_identical": same, "epochs": count,
        "ten_epochs_seconds": seconds[1], "ten_epochs_seconds_first_time": seconds[0],
        "valid_accuracy": learner.history["valid_accuracy"],
    }  # fmt: skip
    tell.result("curve", found)
    tell.check(same, "the same training, repeated, does not give the same bits")
    tell.check(difference <= _MOST_DIFFERENCE, f"a loss differs from NumPy's by {difference:.1e}")


def peer(name: str, tell: Telling, quick: bool) -> None:
    """Measure that library on the same images in the same order."""
    if find_spec(name) is None:
        tell.end("skipped", f"{name} is not installed")
        return
    train, _ = loaders(quick)
    images, labels = to_host(train.inputs), to_host(train.labels)
    for each in peers.PEERS:
        if each.split()[0] != name:
            continue
        with tell.attempt(each):
            what, epoch = peers.PEERS[each](images, labels)
            for _ in range(3):
                epoch()
            passes = [epoch() for _ in range(2 if quick else 100 if each == "jax scan" else 10)]
            seconds, accuracy = [one.seconds for one in passes], passes[-1].accuracy
            if _has_learnt(tell, what, accuracy, quick):
                tell.figure("epoch", what, seconds, accuracy=accuracy, data=train.source)


def scaled(tell: Telling, quick: bool) -> None:
    """Measure the epoch by batch, hidden units and samples, here and on NumPy; find the crossover."""
    data = scaling.load(None, 4000 if quick else None)
    axes, rounds = (scaling.QUICK, 2) if quick else (scaling.AXES, 5)
    for name in (active().name, "numpy"):
        with backends.use(name), tell.attempt(f"scaling on {name}"):
            for found in scaling.points(data, axes, rounds):
                tell.keep(found)


def suite(log: Path, tell: Telling, quick: bool) -> None:
    """Run the test suite on the backend itself, in several processes, and record its counts."""
    chosen = ["tests/backends/test_kernels.py"] if quick else []
    selected = ["-m", "gpu"] if active().name == "cupy" else ["-k", active().name]
    timeout = [f"--timeout={_TEST_SECONDS}"] if find_spec("pytest_timeout") else []
    command = [
        sys.executable, "-m", "pytest", "-v", "-rfE", "-p", "no:cacheprovider", *selected, *timeout,
        f"--numprocesses={2 if quick else _PROCESSES}", "--dist=worksteal", *chosen,
    ]  # fmt: skip
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    counts = dict.fromkeys(("PASSED", "FAILED", "ERROR", "SKIPPED"), 0)
    failed: list[str] = []

    def tell_counts(whole: bool) -> None:
        told = {name.lower(): number for name, number in counts.items()}
        tell.result("suite", {**told, "failures": failed, "whole": whole})

    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        if found := re.match(r"\[gw\d+\].*?(PASSED|FAILED|ERROR|SKIPPED) (\S+)", line):
            counts[found[1]] += 1
            failed += [found[2]] if found[1] in ("FAILED", "ERROR") else []
            tell_counts(whole=False)
    code = process.wait()
    tell_counts(whole=code in (0, 1))
    passed, least = counts["PASSED"], 20 if quick else 200  # skips alone prove nothing
    tell.check(code == 0, f"pytest ended with {code}, {len(failed)} failed; see {log.name}")
    tell.check(passed >= least, f"{passed} tests passed, at least {least} should")


def sanitized(tell: Telling, quick: bool) -> None:
    """Run every kernel once, with short batches and odd sizes, and no pool that hides overruns."""
    active().without_pools()
    rng = np.random.default_rng(0)
    for inputs in (33, 36):  # copied 4 bytes at a time, and 16
        x = backends.to_device(rng.standard_normal((40, inputs)).astype(np.float32))
        data = sn.ArrayDataLoader(x, backends.to_device(rng.integers(0, 10, 40)), 16)
        for net in (
            sn.Linear(inputs, 21, 0, activation=sn.relu) >> sn.Linear(21, 10, 1),
            sn.Linear(inputs, 21, 0) >> sn.tanh >> sn.Linear(21, 10, 1),
        ):
            metrics = sn.MetricsCollector(data, data, sn.softmax_loss)
            learner = sn.Learner(data, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, metrics)
            learner.fit(4, None)  # its batches are gathered by take_rows
            tell.check("one launch" in learner.replay.how, f"not captured but {learner.replay.how}")
    for kind in ("float32", "float64"):
        a, b = (backends.to_device(rng.standard_normal(s).astype(kind)) for s in ((300, 9), (9, 260)))
        for shape in ((50, 7), (3000, 1)):
            table, index = (
                sn.Variable(backends.to_device(np.ones(shape, kind))),
                rng.integers(0, 50, 4500),
            )
            table[backends.to_device(index)].sum().backward()  # scatter_add, in one tile and in several
        for multiprocessors in (1, 1 << 30):  # large tiles, and small ones
            Kernels(active().xp, multiprocessors).product(a, b)
        for function in (sn.erf, sn.erfc, sn.gelu):
            function(a)
    backends.synchronize()


def device(tell: Telling, quick: bool) -> None:
    """Describe the device, which shows that there is one."""
    device_facts(tell)


def _main(part: str, backend: str, quick: str, messages: str, log: str) -> int:
    tell = Telling(Path(messages))
    parts: dict[str, Callable[[Telling, bool], None]] = {
        "device": device, "smoke": smoke, "epochs": epochs, "curve": curve,
        "torch": partial(peer, "torch"), "jax": partial(peer, "jax"), "micro": micro.measure,
        "devices": devices, "suite": partial(suite, Path(log)), "scaling": scaled,
        **dict.fromkeys(("memcheck", "racecheck", "synccheck", "initcheck"), sanitized),
    }  # fmt: skip
    try:
        with backends.use(backend):
            parts[part](tell, quick == "1")
    except backends.BackendError as error:
        tell.check(False, str(error))
    if tell.failures:
        tell.end("failed", "; ".join(tell.failures))
    return int(bool(tell.failures))


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
