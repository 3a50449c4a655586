"""The recipe's epoch in several libraries. Each runs in its own process and trains one epoch at a time.

They need their own processes, because the threads of two BLAS libraries in one process disturb each
other. They train in turn, one epoch at a time, so that other load on the machine affects all alike.
`python -m benchmarks.contenders NAME [FOLDER]` is such a process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from time import perf_counter
from typing import IO, Any

import numpy as np

import backends
import scratchnet as sn
from benchmarks import peers
from benchmarks.hand_written import training_step
from benchmarks.peers import BATCH, Epoch, Pass
from benchmarks.recipe import accuracy, learner_on, loop_on


class Contender:
    """One contender, as the parent process sees it.

    Args:
        name: one of `known()`.
        folder: the folder of the data; None searches as training does.
        threads: the number of threads that its libraries may use.

    Attributes:
        what: its name and version, known after `start`.
        data: the data that it trains on.
        passes: the measured epochs; the caller adds them.
        error: why it could not start, if it could not.
    """

    def __init__(self, name: str, folder: str | None, threads: int) -> None:
        self.name, self.folder, self.threads = name, folder, threads
        self.what, self.data = name, ""
        self.passes: list[Pass] = []
        self.error = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> bool:
        """Start it and wait until it is ready. Return whether it is."""
        names = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.contenders", self.name, self.folder or ""],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | dict.fromkeys(names, str(self.threads)),
        )  # fmt: skip
        try:
            self.what, self.data = self._answer()
        except RuntimeError as error:
            self.error = str(error)
        return not self.error

    def epoch(self) -> Pass:
        """Let it train for one epoch."""
        assert self._process is not None
        pipe = self._process.stdin
        assert pipe is not None
        pipe.write("\n")
        pipe.flush()
        return Pass(*self._answer())

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def _answer(self) -> list[Any]:
        assert self._process is not None
        pipe = self._process.stdout
        assert pipe is not None
        line = pipe.readline()
        if not line:
            raise RuntimeError(f"the contender {self.name} ended with {self._process.wait()}")
        answer: list[Any] = json.loads(line)
        return answer


def known() -> list[str]:
    """Return all contenders: both ways on each usable backend, by hand, and installed libraries."""
    ours = [f"{way} {name}" for name in backends.available() for way in ("scratchnet", "loop")]
    return [*ours, "hand-written NumPy", *(name for name in peers.PEERS if find_spec(name.split()[0]))]


def _learner(train: sn.FashionMnistDataLoader) -> tuple[str, Epoch]:
    backend = backends.active()
    learner = learner_on(train)

    def epoch() -> Pass:
        learner.fit(1, None)
        return Pass(learner.history["duration"][-1], accuracy(learner.net, train))

    return f"scratchnet, Learner, {backend.describe()}", epoch


def _loop(train: sn.FashionMnistDataLoader) -> tuple[str, Epoch]:
    net, train_once = loop_on(train)

    def epoch() -> Pass:
        return Pass(train_once(), accuracy(net, train))

    return f"scratchnet, a loop of one's own, {backends.active().describe()}", epoch


def _by_hand(train: sn.FashionMnistDataLoader) -> tuple[str, Epoch]:
    x, y = train.inputs, train.labels
    step, predict = training_step()
    rng = np.random.default_rng(0)
    full = len(x) // BATCH

    def epoch() -> Pass:
        order = np.append(rng.permutation(full), [full] * (full * BATCH < len(x)))
        start = perf_counter()
        for i in order.tolist():
            step(x[i * BATCH : (i + 1) * BATCH], y[i * BATCH : (i + 1) * BATCH])
        seconds = perf_counter() - start
        return Pass(seconds, float((predict(x[:5000]) == y[:5000]).mean()))

    return f"a plain NumPy loop written by hand, numpy {np.__version__}", epoch


def _make(name: str, folder: str | None) -> tuple[str, str, Epoch]:
    """Return its name, its data, and its epoch."""
    library, _, backend = name.partition(" ")
    backends.use(backend if library in ("scratchnet", "loop") else "numpy")
    train = sn.FashionMnistDataLoader("train", BATCH, folder=folder)
    makers: dict[str, Callable[[], tuple[str, Epoch]]] = {
        "scratchnet": lambda: _learner(train),
        "loop": lambda: _loop(train),
        "hand-written": lambda: _by_hand(train),
    }
    make = makers.get(library, lambda: peers.PEERS[name](train.inputs, train.labels))
    what, epoch = make()
    return what, train.source, epoch


def _serve(name: str, folder: str | None, answers: IO[str]) -> None:
    what, data, epoch = _make(name, folder)
    print(json.dumps([what, data]), file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps(epoch()), file=answers, flush=True)


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr  # text that a library prints is not an answer
    _serve(sys.argv[1], sys.argv[2] or None, answers)
