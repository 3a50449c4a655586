"""`python -m benchmarks.learning` trains networks on real data, and records how they learn.

The record is written again after each part of a training run. A run that was interrupted keeps what it
has, and its `complete` is false. Networks that are not trained keep their earlier record. With PyTorch
installed, its losses from the same weights are recorded beside those of the LSTM and the Transformer.
At the end the chart of the whole record is drawn next to it, as a .png.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import backends
import scratchnet as sn
from benchmarks.charts import draw_learning
from benchmarks.compare import save
from benchmarks.learning import characters, cnn
from benchmarks.machine import describe
from benchmarks.report import LEARNING, RESULTS

NETWORKS: dict[str, Callable[[bool], Iterator[dict[str, Any]]]] = {
    "cnn": cnn.learn,
    "lstm": partial(characters.learn, "lstm"),
    "transformer": partial(characters.learn, "transformer"),
}
"""For each network, a function that trains it and yields its record so far again and again."""


def main(arguments: list[str]) -> int:
    """Train, and write the record. Return 2 if there are no data."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NETWORK",
        help=f"one or more of {', '.join(NETWORKS)}; by default all",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="the file for the record")
    parser.add_argument("--quick", action="store_true", help="a few steps, recorded only with --out")
    parser.add_argument("--draw", action="store_true", help="train nothing, draw the chart again")
    asked = parser.parse_args(arguments)
    out = asked.out or (None if asked.quick else RESULTS / LEARNING)
    record = json.loads(out.read_text()) if out and out.exists() else {}
    run = {"date": date.today().isoformat(), **describe(), "scratchnet": sn.__version__}
    run |= {"backend": backends.active().name, "quick": asked.quick}
    try:
        for name in () if asked.draw else asked.only:
            print(f"{name}, on {run['machine']}", flush=True)
            for found in NETWORKS[name](asked.quick):
                record[name] = run | found
                if out:
                    save(out, record)
    except sn.ScratchnetError as error:
        print(f"benchmarks.learning: {error}", file=sys.stderr)
        return 2
    if out and record:
        draw_learning(record, out.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
