"""`make gpu`: everything that needs a GPU, in one command, inside ten minutes.

Each part runs in a process of its own, with a limit of time: one that fails or hangs costs no other.
The record, benchmarks/results/<chip>.json, is written anew after each part; then the README's tables and
chart. Needs the repository, the data folder, and the packages; no network, and no install.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import backends
from benchmarks.report import RESULTS, records, write

ROOT = Path(__file__).parent.parent.parent
MINUTES = 9.5

PARTS = {
    "epochs": 100, "curve": 60, "torch": 120, "jax": 60, "micro": 40, "suite": 240, "scaling": 90,
    "memcheck": 60, "racecheck": 60, "synccheck": 40,
}  # fmt: skip
"""Seconds that each may take, the most precious first."""


def main(arguments: list[str]) -> int:
    """Run the parts; 0 if none failed, 2 if there is no GPU. The goals are told, not judged."""
    parser = argparse.ArgumentParser(prog="make gpu", description=__doc__)
    parser.add_argument("--backend", default="cupy")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="few samples: to try this very command")
    parser.add_argument("--out", type=Path, help="a file for the record; leaves the README alone")
    told = parser.parse_args(arguments)
    if (told.quick or told.only != list(PARTS)) and not told.out:
        parser.error(
            "--quick and --only need --out FILE: the record in benchmarks/results/ is a whole one"
        )
    try:
        with backends.use(told.backend) as backend:
            chip, library = backend.device_name, backend.describe()
    except backends.BackendError as error:
        print(f"make gpu: {error}", file=sys.stderr)
        return 2
    record: dict[str, Any] = {
        "machine": chip,
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "library": library,
        "date": datetime.date.today().isoformat(),
        "quick": told.quick,
        "figures": [],
        "parts": {},
    }
    path = told.out or RESULTS / f"{re.sub('[^a-z0-9]+', '-', chip.lower()).strip('-')}.json"
    begun = perf_counter()
    for part in told.only:
        left = 60 * MINUTES - (perf_counter() - begun)
        found = _run(part, told.backend, told.quick, min(PARTS[part], left))
        record["figures"] += found.pop("runs", [])
        for name in ("curve", "micro"):
            if name in found:
                record[name] = found.pop(name)
        record["parts"][part] = found
        record["seconds"] = round(perf_counter() - begun)
        record["goals"] = _goals(record["figures"])
        path.write_text(json.dumps(record, indent=2) + "\n")
    if not told.out:
        write(records())
    print(f"{record['goals']}\nrecorded in {path}")
    return int(any(part["outcome"] == "failed" for part in record["parts"].values()))


def _goals(runs: list[dict[str, Any]]) -> dict[str, float]:
    """What the GPU path is for: each is met from 1 on. Only what was measured is told."""
    ours, peers = (
        min(
            (
                run["median"]
                for run in runs
                if run.get("group") == "epoch" and run["what"].startswith("scratchnet") == own
            ),
            default=0,
        )
        for own in (True, False)
    )
    goals = {"2.15 ms over our epoch": 0.00215 / ours} if ours else {}
    if ours and peers:
        goals["the best peer's epoch over three of ours"] = peers / (3 * ours)
    return goals


def _run(part: str, backend: str, quick: bool, limit: float) -> dict[str, Any]:
    """One part, in a process of its own; its last line is what it found, as JSON."""
    print(f"--- {part}", flush=True)
    command = [sys.executable, "-m", "benchmarks.gpu.parts", part, backend, str(int(quick))]
    if part.endswith("check"):
        sanitizer = shutil.which("compute-sanitizer")
        if not sanitizer:
            return {"outcome": "skipped", "why": "compute-sanitizer is not installed"}
        options = ["--tool", part, "--error-exitcode", "9", "--report-api-errors", "no"]
        command = [sanitizer, *options, *command]
    if limit < 5:
        return {"outcome": "skipped", "why": f"the {MINUTES} minutes are over"}
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    start, why = perf_counter(), ""
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            if code := done.wait(limit):
                why = f"exit code {code}"
        except subprocess.TimeoutExpired:
            why = f"not done after {limit:.0f} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(done.pid, signal.SIGKILL)  # and whatever it has begun
        output.seek(0)
        text = output.read().strip()
    print(text[-3000:], flush=True)
    lines = [line for line in text.splitlines() if line.startswith('{"')]
    found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    if why or not found:
        found |= {"outcome": "failed", "why": why or "it told nothing"}
    return {**found, "seconds": round(perf_counter() - start, 1)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
