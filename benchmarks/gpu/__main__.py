"""`make gpu`: measure and prove what needs a GPU, and record it. No network, no install.

All parts take 16 minutes at most. On a machine that allows ten minutes for a command, give
`--only smoke epochs curve torch jax micro`, then
`--only suite memcheck racecheck synccheck initcheck scaling`, each with an `--out` of its own, and then
`python -m benchmarks.report --merge FILES`.

Each part runs in a process of its own, with a time limit: one that fails or hangs costs no other. The
record is whole at every moment, and what a part prints lies beside it. Ctrl-C or SIGTERM ends the run,
kills all that it has started, and exits with 130 or 143.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any, TextIO

from benchmarks.gpu.processes import adopt_orphans, run
from benchmarks.gpu.record import Record
from benchmarks.report import keep

ROOT = Path(__file__).parent.parent.parent

DEVICE = "device"
DEVICE_SECONDS = 25
FIRST = {"smoke": 60, "epochs": 90, "curve": 50, "torch": 90, "jax": 50, "micro": 40}
SECOND = {
    "suite": 250, "memcheck": 70, "racecheck": 70, "synccheck": 45, "initcheck": 45, "scaling": 75,
}  # fmt: skip
_SIGNALS = signal.SIGTERM, signal.SIGHUP, signal.SIGINT
SANITIZERS = "memcheck", "racecheck", "synccheck", "initcheck"
PARTS = FIRST | SECOND
"""Seconds that each may take, the most precious first."""


def main(arguments: list[str]) -> int:
    """Run the parts.

    Returns:
        0 if none failed, 1 if one did, 2 if there is no GPU or the arguments are wrong. The goals are
        reported, not judged.
    """
    parser = argparse.ArgumentParser(
        prog="make gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backend", default="cupy", help="by default cupy")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART",
                        help=", ".join(PARTS))  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="few samples: to try this command")
    parser.add_argument("--limit", type=float, help="seconds for each part, instead of its own limit")
    parser.add_argument("--out", type=Path, help="a file for the record; leaves the README alone")
    chosen = parser.parse_args(arguments)
    if chosen.quick and not chosen.out:
        parser.error("--quick needs --out FILE: the records in benchmarks/results/ are of whole runs")
    path = chosen.out or Path(tempfile.mkdtemp(prefix="scratchnet-gpu-")) / "record.json"
    try:
        record = Record(path.resolve(), machine="", quick=chosen.quick, **_surroundings())
        adopt_orphans()
    except OSError as error:
        parser.error(f"--out {path}: {error}")
    for name in _SIGNALS:
        if signal.getsignal(name) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(name, _end)
    if not _part(record, DEVICE, chosen.backend, chosen.quick, DEVICE_SECONDS):
        print(f"make gpu: {record.content['parts'][DEVICE]['why']}", file=sys.stderr)
        return 2
    _introduce(record)
    for part in chosen.only:
        _part(record, part, chosen.backend, chosen.quick, chosen.limit or PARTS[part])
        record.content["goals"] = _goals(record.content["figures"])
        record.write()
    if not chosen.out:
        path = keep([record.content])
    print(f"{record.content['goals']}\nrecorded in {path}; the parts' logs are in {record.path.parent}")
    return int(any(part["outcome"] == "failed" for part in record.content["parts"].values()))


def _end(number: int, _: FrameType | None) -> None:
    """Leave by the usual way, through all that cleans up; a second signal changes nothing."""
    for name in _SIGNALS:
        signal.signal(name, signal.SIG_IGN)
    sys.exit(128 + number)


def _surroundings() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "date": datetime.date.today().isoformat(),
    }


def _introduce(record: Record) -> None:
    """Name the machine in the head of the record, now that it is known."""
    facts = record.content["facts"]
    record.content |= {"machine": facts["device"]["value"], "library": facts["library"]["value"]}
    record.write()


def _goals(figures: list[dict[str, Any]]) -> dict[str, float]:
    """What the GPU path is for: each goal is met from 1 on. Only what was measured is there."""
    ours, peers = (
        min(
            (
                each["median"]
                for each in figures
                if each.get("group") == "epoch"
                and "median" in each
                and each["what"].startswith("scratchnet") == own
            ),
            default=0,
        )
        for own in (True, False)
    )
    goals = {"2.15 ms over our epoch": 0.00215 / ours} if ours else {}
    if ours and peers:
        goals["the best peer's epoch over three of ours"] = peers / (3 * ours)
    return goals


def _part(record: Record, part: str, backend: str, quick: bool, limit: float) -> bool:
    """One part, in a process of its own; whether it was done."""
    print(f"--- {part}", flush=True)
    sanitizer = shutil.which("compute-sanitizer")
    if part in SANITIZERS and not sanitizer:
        record.part(part, "skipped", "compute-sanitizer is not installed")
        print("skipped: compute-sanitizer is not installed", flush=True)
        return False
    record.part(part, "running")
    log = record.path.with_name(f"{record.path.stem}-{part}.log")
    start, outcome, why = perf_counter(), "failed", "the run was ended before it was done"
    with tempfile.TemporaryDirectory() as folder:
        messages = Path(folder) / "messages"
        messages.touch()
        command = [sys.executable, "-m", "benchmarks.gpu.parts", part, backend, str(int(quick))]
        command += [str(messages), str(log)]
        if part in SANITIZERS:
            options = ["--tool", part, "--error-exitcode", "9", "--report-api-errors", "no"]
            command = [str(sanitizer), *options, *command]
        news, ends = messages.open(encoding="utf-8"), list[dict[str, str]]()

        def listen() -> None:
            for line in _whole_lines(news):
                message = json.loads(line)
                if "outcome" in message:
                    ends.append(message)
                else:
                    record.take(message)

        try:
            why = run(command, limit, log, _environment(), listen)
            outcome = "failed" if why else "done"
            if ends:
                outcome, why = ends[-1]["outcome"], ends[-1]["why"]
        finally:
            listen()
            news.close()
            record.part(part, outcome, why, perf_counter() - start)
            print(f"{_tail(log)}\n{outcome}{': ' if why else ''}{why}", flush=True)
    return outcome == "done"


def _environment() -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        "PYTHONUNBUFFERED": "1",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }


def _whole_lines(file: TextIO) -> Iterator[str]:
    """The lines that have come since the last time; one still being written stays for the next."""
    while True:
        place = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(place)
            return
        yield line


def _tail(log: Path) -> str:
    """The last of what a part has printed, as much as a reader wants to see."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 3000))
        return file.read().decode(errors="replace").strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
