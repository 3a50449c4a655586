"""Compare one reader with the judge, input by input, in a process that an input may kill."""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.fuzz.inputs import Input, draw
from benchmarks.fuzz.judge import Arrays, Verdict, judge
from benchmarks.fuzz.watch import GOOD, SECONDS, observed

ADDRESS_SPACE = 4 << 30
"""The memory that the process may map at all."""


def check(read: Callable[..., Arrays], given: Input, verdict: Verdict, folder: Path) -> tuple[str, str]:
    """Return the outcome, one of `GOOD` or the name of a fault, and a remark."""
    paths = [folder / f"file{number}" for number in range(len(given.files))]
    for path, content in zip(paths, given.files, strict=True):
        path.write_bytes(content)
    seen = observed(partial(read, *paths), paths, verdict.size)
    if seen.outcome == "refused":
        return ("good file refused", seen.told) if verdict.must else ("refused", "")
    if seen.outcome != "read":
        return seen.outcome, seen.told
    arrays: Arrays = seen.value
    if verdict.arrays is None:
        return "bad file read", ", ".join(f"{name} {each.shape}" for name, each in arrays.items())
    wrong = [name for name in verdict.arrays if not _same(arrays.get(name), verdict.arrays[name])]
    if wrong or arrays.keys() != verdict.arrays.keys():
        return "wrong arrays", ", ".join(wrong or arrays)
    return "read", ""


def _same(found: np.ndarray | None, right: np.ndarray) -> bool:
    """Whether they have the same shape, dtype and bytes, so that NaN equals NaN."""
    same = found is not None and found.shape == right.shape and found.dtype == right.dtype
    return same and found is not None and found.tobytes() == right.tobytes()


def main(targets: str, reader: str, seed: str, first: str, last: str) -> None:
    """Print a line of JSON per input: its number, the outcome, what was done, a remark."""
    read = importlib.import_module(targets).READERS[reader]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SCRATCHNET_CACHE"] = str(Path(folder, "cache"))
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        tracemalloc.start()
        for number in range(int(first), int(last)):
            given = draw(reader, int(seed), number)
            verdict = judge(reader, given.files)
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            outcome, told = check(read, given, verdict, Path(folder))
            signal.setitimer(signal.ITIMER_REAL, 0)
            how = "" if outcome in GOOD else given.how
            print(json.dumps([number, outcome, how, told[:300]]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
