"""Give many inputs to a reader, in a new process each time that one dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from typing import Any, NamedTuple

from benchmarks.fuzz.inputs import draw
from benchmarks.fuzz.watch import GOOD

TARGETS = "benchmarks.fuzz.targets"


class Fault(NamedTuple):
    """A fault with an input, which `draw(reader, seed, number)` makes again."""

    reader: str
    number: int
    outcome: str
    how: str
    told: str


def fuzz(
    reader: str, seed: int, first: int, last: int, targets: str = TARGETS
) -> tuple[Counter[str], list[Fault]]:
    """The number of inputs for each outcome, and the faults."""
    outcomes: Counter[str] = Counter()
    faults = []
    while first < last:
        lines, code = _batch(targets, reader, seed, first, last)
        for number, outcome, how, told in lines:
            outcomes[outcome] += 1
            if outcome not in GOOD:
                faults.append(Fault(reader, number, outcome, how, told))
        first += len(lines)
        if code == 1:
            raise RuntimeError(
                f"the worker on {reader} failed at input {first}; see its traceback above"
            )
        if first < last:  # the process ended with this input
            outcome = "hang" if code == -signal.SIGALRM else "crash"
            outcomes[outcome] += 1
            faults.append(
                Fault(reader, first, outcome, draw(reader, seed, first).how, f"exit code {code}")
            )
            first += 1
    return outcomes, faults


def _batch(targets: str, reader: str, seed: int, first: int, last: int) -> tuple[list[Any], int]:
    """Return what a process printed before it ended, and its exit code."""
    command = [sys.executable, "-m", "benchmarks.fuzz.worker", targets, reader, seed, first, last]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        list(map(str, command)), env=env, stdout=subprocess.PIPE, text=True, check=False
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode
