"""The parts of `make gpu`: `python -m benchmarks.gpu.parts NAME BACKEND QUICK` runs one.

Its last line is a JSON object: what it found, and `outcome`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

import backends
import scratchnet as sn
from backends import Backend, active, to_host
from backends.cuda_kernels import Kernels
from benchmarks import peers, scaling
from benchmarks.figures import figure
from benchmarks.gpu import micro
from benchmarks.recipe import LEAST_ACCURACY

Found = dict[str, Any]

_MOST_DIFFERENCE = 1e-3


def loaders(quick: bool) -> tuple[sn.FashionMnistDataLoader, sn.FashionMnistDataLoader]:
    """The recipe's, on the active backend."""
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
    """Give the active backend the plain twins in place of its kernels."""
    for name in ("matmul", "affine", "affine_backward", "softmax_cross_entropy", "sgd_update"):
        setattr(active(), name, partial(getattr(Backend, name), active()))


def epochs(quick: bool) -> Found:
    """The epoch of every stage. The times are `Learner`'s: gathering, and all steps."""
    runs: list[Found] = []
    kernels = dict(vars(active()))
    for what, prepare, capture, rounds in (
        ("scratchnet: this network, one launch an epoch", None, True, 300),
        ("scratchnet: any network, one launch an epoch", _no_fused, True, 50),
        ("scratchnet: kernels, step by step", None, False, 20),
        ("scratchnet: CuPy's own functions, step by step", plain_kernels, False, 5),
    ):
        vars(active()).clear()
        vars(active()).update(kernels)
        if prepare:
            prepare()
        with _told(what, runs):
            learner = recipe(quick, capture)
            learner.fit(4, None)  # warm: compiled, loaded, captured
            learner.evaluator = None
            learner.fit(3 if quick else rounds, None)
            seconds = learner.history["duration"][4:]
            accuracy, how = learner.history["train_accuracy"][-1], learner.replay.how
            facts = {"backend": active().describe(), "data": learner.train.source, "how": how}
            runs.append(figure("epoch", what, seconds, accuracy=accuracy, **facts))
    return _judged(runs, quick)


@contextmanager
def _told(what: str, runs: list[Found]) -> Iterator[None]:
    """One failure costs no other figure; what there is is told at once, should time run out."""
    try:
        yield
    except Exception as error:
        runs.append({"what": what, "error": f"{type(error).__name__}: {error}"[:500]})
    print(json.dumps({"outcome": "failed", "why": "unfinished", "runs": runs}), flush=True)


def _judged(runs: list[Found], quick: bool) -> Found:
    """A run counts only if the network has learnt."""
    learnt = all(quick or run.get("accuracy", 0) > LEAST_ACCURACY for run in runs)
    failed = [run["what"] for run in runs if "error" in run]
    why = f"failed: {', '.join(failed)}" if failed else "" if learnt else "a network has not learnt"
    return {"outcome": "failed" if why else "done", "why": why, "runs": runs}


def _no_fused() -> None:
    vars(active())["fuses"] = lambda *_: False


def curve(quick: bool) -> Found:
    """Ten epochs, again, and on NumPy: the loss of every epoch, the weights, the total time."""
    count = 3 if quick else 10
    losses, weights, seconds = [], [], []
    for _ in range(2):
        start = micro.now()
        learner = recipe(quick)
        learner.fit(count, None)
        seconds.append(micro.now() - start)
        losses.append(learner.history["train_loss"])
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
    met = same and difference <= _MOST_DIFFERENCE
    return {"outcome": "done" if met else "failed", "curve": found}


def peer(name: str, quick: bool) -> Found:
    """The peers of that library, on the same images in the same order."""
    train, _ = loaders(quick)
    images, labels = to_host(train.inputs), to_host(train.labels)
    runs: list[Found] = []
    for each in peers.PEERS:
        if each.split()[0] != name:
            continue
        with _told(each, runs):
            what, epoch = peers.PEERS[each](images, labels)
            for _ in range(3):
                epoch()
            passes = [epoch() for _ in range(2 if quick else 100 if each == "jax scan" else 10)]
            facts = {"data": train.source, "accuracy": passes[-1].accuracy}
            runs.append(figure("epoch", what, [one.seconds for one in passes], **facts))
    return _judged(runs, quick)


def scaled(quick: bool) -> Found:
    """The epoch by batch, hidden units and samples, here and on NumPy, with the crossover between."""
    data = scaling.load(None, 4000 if quick else None)
    axes, rounds = (scaling.QUICK, 2) if quick else (scaling.AXES, 5)
    runs: list[Found] = []
    for name in (active().name, "numpy"):
        with backends.use(name), _told(f"scaling on {name}", runs):
            runs += scaling.measure(data, axes, rounds)
    failed = any("error" in run for run in runs)
    return {"outcome": "failed" if failed else "done", "runs": runs}


def suite(quick: bool) -> Found:
    """The test suite on the backend itself."""
    chosen = ["tests/test_kernels.py"] if quick else []
    name = active().name
    command = [sys.executable, "-m", "pytest", "-q", "-k", name, "-p", "no:cacheprovider", *chosen]
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout[-3000:])
    summary = done.stdout.strip().rpartition("\n")[2]
    passed = int((re.search(r"(\d+) passed", summary) or [0, 0])[1])
    met = done.returncode == 0 and passed >= (20 if quick else 200)  # skips alone prove nothing
    return {"outcome": "done" if met else "failed", "summary": summary}


def sanitized(quick: bool) -> Found:
    """Every kernel once, with short batches and odd sizes, and no pool to hide what is out of bounds."""
    if hasattr(active().xp.cuda, "set_allocator"):
        active().xp.cuda.set_allocator(None)
    rng = np.random.default_rng(0)
    for inputs in (33, 36):  # copied 4 bytes at a time, and 16
        x = backends.to_device(rng.standard_normal((40, inputs)).astype(np.float32))
        data = sn.ArrayDataLoader(x, backends.to_device(rng.integers(0, 10, 40)), 16)
        for net in (
            sn.Linear(inputs, 21, 0, activation=sn.relu) >> sn.Linear(21, 10, 1),
            sn.Linear(inputs, 21, 0) >> sn.tanh >> sn.Linear(21, 10, 1),
        ):
            metrics = sn.MetricsCollector(data, data, sn.softmax_loss)
            sn.Learner(data, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, metrics).fit(4, None)
    for kind in ("float32", "float64"):
        a, b = (backends.to_device(rng.standard_normal(s).astype(kind)) for s in ((300, 9), (9, 260)))
        for multiprocessors in (1, 1 << 30):  # large tiles, and small ones
            Kernels(active().xp, multiprocessors).product(a, b)
    backends.synchronize()
    return {"outcome": "done"}


PARTS: dict[str, Callable[[bool], Found]] = {
    "epochs": epochs, "curve": curve, "torch": partial(peer, "torch"), "jax": partial(peer, "jax"),
    "micro": micro.measure, "scaling": scaled, "suite": suite, "memcheck": sanitized,
    "racecheck": sanitized, "synccheck": sanitized,
}  # fmt: skip

if __name__ == "__main__":
    part, backend, quick = sys.argv[1:]
    with backends.use(backend):
        print(json.dumps(PARTS[part](quick == "1")))
