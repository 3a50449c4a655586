"""Compare the training steps of layers and optimizers with PyTorch's: forward, backward and update.

    python -m benchmarks.layers [NAME …] [--threads 1] [--rounds 30] [--out FILE]

Both libraries run in this process, in turn, with the same threads, so that other load on the machine
affects both alike. A ratio is the median of the ratios of all rounds; below 1, scratchnet is faster.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from datetime import date
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import threadpoolctl

import scratchnet as sn
from backends import to_device
from benchmarks.compare import save
from benchmarks.machine import describe
from scratchnet.results.words import duration

Step = Callable[[], Any]


class Case(NamedTuple):
    """A layer in both libraries.

    Attributes:
        goal: the ratio that it should not exceed; None if there is no goal.
        ours: makes the layer, or a network.
        theirs: makes the same of torch.
        shape: of the input.
        indices: the input is integers below this number; 0 means normal numbers.
        channels_last: the input lies in memory with its channels last, as our convolutions return it.
    """

    goal: float | None
    ours: Callable[[], Any]
    theirs: Callable[[Any], Any]
    shape: tuple[int, ...]
    indices: int = 0
    channels_last: bool = False


def _recurrent(name: str, goal: float | None) -> Case:
    ours = getattr(sn, name)
    return Case(
        goal, lambda: ours(64, 128, rng=0),
        lambda torch: getattr(torch.nn, name)(64, 128, batch_first=True), (32, 64, 64),
    )  # fmt: skip


def _our_cnn() -> Any:
    return sn.Sequential(
        sn.Conv2d(1, 32, 3, rng=0), sn.relu, sn.Conv2d(32, 64, 3, rng=0), sn.relu, sn.MaxPool2d(2),
        sn.Flatten(), sn.Linear(9216, 128, 0, activation=sn.relu), sn.Linear(128, 10, 0),
    )  # fmt: skip


def _their_cnn(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


_IMAGES = 64, 32, 26, 26
_RATE = 1e-6
"""So small that the parameters hardly change: the gradients are random, and do not lead anywhere."""
CASES = {
    "CNN": Case(1.5, _our_cnn, _their_cnn, (64, 1, 28, 28)),
    "RNN": _recurrent("RNN", None),
    "LSTM": _recurrent("LSTM", 1.0),
    "GRU": _recurrent("GRU", None),
    "BatchNorm1d": Case(1.5, lambda: sn.BatchNorm1d(512), lambda t: t.nn.BatchNorm1d(512), (256, 512)),
    "BatchNorm2d": Case(1.5, lambda: sn.BatchNorm2d(32), lambda t: t.nn.BatchNorm2d(32), _IMAGES),
    "BatchNorm2d, channels last": Case(
        1.5, lambda: sn.BatchNorm2d(32), lambda t: t.nn.BatchNorm2d(32), _IMAGES, channels_last=True
    ),
    "LayerNorm": Case(1.5, lambda: sn.LayerNorm(256), lambda t: t.nn.LayerNorm(256), (32, 64, 256)),
    "GroupNorm": Case(None, lambda: sn.GroupNorm(8, 32), lambda t: t.nn.GroupNorm(8, 32), _IMAGES),
    "RMSNorm": Case(None, lambda: sn.RMSNorm(256), lambda t: t.nn.RMSNorm(256), (32, 64, 256)),
    "MaxPool2d": Case(1.0, lambda: sn.MaxPool2d(2), lambda t: t.nn.MaxPool2d(2), _IMAGES),
    "MaxPool2d, channels last": Case(
        1.0, lambda: sn.MaxPool2d(2), lambda t: t.nn.MaxPool2d(2), _IMAGES, channels_last=True
    ),
    "Embedding, 10,000 rows": Case(
        1.5, lambda: sn.Embedding(10_000, 128, rng=0), lambda t: t.nn.Embedding(10_000, 128), (32, 64),
        indices=10_000,
    ),
    "Embedding, 100 rows": Case(
        1.5, lambda: sn.Embedding(100, 128, rng=0), lambda t: t.nn.Embedding(100, 128), (32, 64),
        indices=100,
    ),
    "TransformerEncoderLayer": Case(
        None, lambda: sn.TransformerEncoderLayer(64, 4, 128, 0.0, rng=0),
        lambda t: t.nn.TransformerEncoderLayer(64, 4, 128, 0.0, batch_first=True), (32, 64, 64),
    ),
}  # fmt: skip


def input_of(case: Case) -> np.ndarray:
    """Return the input, on the host, with its channels first in memory."""
    rng = np.random.default_rng(0)
    if case.indices:
        return rng.integers(0, case.indices, case.shape)
    return rng.standard_normal(case.shape).astype(np.float32)


def our_step(case: Case) -> Step:
    """Return a training step of our layer. It returns the result of forward."""
    x, layer = input_of(case), case.ours()
    if case.channels_last:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    given: Any = to_device(x) if case.indices else sn.Variable(to_device(x))
    grad = to_device(_gradient(_first(layer(given)).shape))
    sgd = sn.SGD(layer.parameters(), _RATE) if layer.parameters() else None

    def step() -> Any:
        if not case.indices:
            given.grad = None
        layer.zero_grad()
        y = _first(layer(given))
        y.backward(grad)
        if sgd is not None:
            sgd.step()
        return y

    return step


def their_step(case: Case, torch: Any) -> Step:
    """Return the same step of PyTorch, with the channels first, the faster layout for it."""
    x, layer = torch.tensor(input_of(case)), case.theirs(torch)
    if not case.indices:
        x.requires_grad_()
    grad = torch.tensor(_gradient(_first(layer(x)).shape))
    parameters = list(layer.parameters())
    sgd = torch.optim.SGD(parameters, _RATE) if parameters else None

    def step() -> Any:
        x.grad = None
        layer.zero_grad()
        y = _first(layer(x))
        y.backward(grad)
        if sgd is not None:
            sgd.step()
        return y

    return step


def _gradient(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def _first(result: Any) -> Any:
    return result[0] if isinstance(result, tuple) else result


def _adam(torch: Any) -> tuple[Step, Step]:
    """Return steps of Adam on a million parameters in ten arrays. PyTorch's is the one of `foreach`."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((1000, 100)).astype(np.float32) for _ in range(10)]
    ours = [sn.Variable(to_device(each.copy())) for each in arrays]
    theirs = [torch.tensor(each, requires_grad=True) for each in arrays]
    for one, two in zip(ours, theirs, strict=True):
        one.grad, two.grad = to_device(one.data * 0.1), two.detach() * 0.1
    return sn.Adam(ours).step, torch.optim.Adam(theirs, foreach=True).step


def measured(names: list[str], rounds: int) -> Iterator[dict[str, Any]]:
    """Measure some cases, one at a time."""
    torch: Any = import_module("torch")
    for name in names:
        goal = 1.0 if name == "Adam" else CASES[name].goal
        if name == "Adam":
            pair = _adam(torch)
        else:
            pair = our_step(CASES[name]), their_step(CASES[name], torch)
        times: list[tuple[float, float]] = []
        for _ in range(rounds + 5):
            start = perf_counter()
            pair[0]()
            middle = perf_counter()
            pair[1]()
            times.append((middle - start, perf_counter() - middle))
        ours, theirs = (list(each) for each in zip(*times[5:], strict=True))
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        low, ratio, high = (float(each) for each in np.percentile(ratios, [25, 50, 75]))
        yield {
            "what": name, "ratio": ratio, "quartiles": [low, high], "goal": goal, "rounds": rounds,
            "ours": median(ours), "theirs": median(theirs),
        }  # fmt: skip


def main(arguments: list[str]) -> None:
    """Measure and print; write a record with `--out`."""
    known = [*CASES, "Adam"]
    parser = argparse.ArgumentParser("python -m benchmarks.layers", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one of: {'; '.join(known)}. By default all"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of both libraries (1)")
    parser.add_argument("--rounds", type=int, default=30, help="rounds for each (30)")
    parser.add_argument("--out", type=Path, help="a JSON file for the record")
    told = parser.parse_args(arguments)
    if unknown := set(told.names) - set(known):
        parser.error(f"{'; '.join(sorted(unknown))}: not one of {'; '.join(known)}")
    if min(told.threads, told.rounds) < 1:
        parser.error("--threads and --rounds must be positive integers")
    if find_spec("torch") is None:
        parser.error('PyTorch is not installed; pip install "scratchnet[bench]"')
    import_module("torch").set_num_threads(told.threads)
    record: dict[str, Any] = {"date": date.today().isoformat(), **describe(), "threads": told.threads}
    record["layers"] = []
    print(f"{'':28}{'ratio':>7}{'goal':>6}{'scratchnet':>13}{'PyTorch':>12}")
    with threadpoolctl.threadpool_limits(told.threads):
        for found in measured(told.names or known, told.rounds):
            record["layers"].append(found)
            goal = "" if found["goal"] is None else f"{found['goal']:.1f}"
            both = f"{duration(found['ours']):>13}{duration(found['theirs']):>12}"
            print(f"{found['what']:28}{found['ratio']:7.2f}{goal:>6}{both}", flush=True)
    if told.out is not None:
        save(told.out, record)


if __name__ == "__main__":
    main(sys.argv[1:])
