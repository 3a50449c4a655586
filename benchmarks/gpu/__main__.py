"""`make gpu`: measure and check what needs a GPU, and record it. No network, no installation.

The time limits of all parts add up to 17 minutes. On a machine that allows ten minutes per command, give
`--only smoke epochs curve torch jax micro devices`, then `--only suite memcheck racecheck synccheck
initcheck scaling`, each with its own `--out`, and then `python -m benchmarks.report --merge FILES`.

Each part runs in its own process with a time limit. If one fails or hangs, the others still run. The
record is complete at every moment, and the output of a part is next to it. No existing file is replaced.
Ctrl-C or SIGTERM ends the run, kills everything that it started, and exits with 130 or 143.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any, TextIO

from benchmarks.compare import RecordError
from benchmarks.gpu.processes import Ending, adopt_orphans, run
from benchmarks.gpu.record import Record
from benchmarks.report import keep

ROOT = Path(__file__).parent.parent.parent

DEVICE = "device"
DEVICE_SECONDS = 25
FIRST = {
    "smoke": 60, "epochs": 90, "curve": 50, "torch": 90, "jax": 50, "micro": 40, "devices": 30,
}  # fmt: skip
SECOND = {
    "suite": 250, "memcheck": 70, "racecheck": 70, "synccheck": 45, "initcheck": 45, "scaling": 75,
}  # fmt: skip
SANITIZERS = "memcheck", "racecheck", "synccheck", "initcheck"
PARTS = FIRST | SECOND
"""The seconds for each part, the most important part first."""


def main(arguments: list[str]) -> int:
    """Run the parts.

    Returns:
        0 if none failed, 1 if one did; 2 if there is no GPU, the arguments are wrong, or the record
            cannot be written; 128 plus the number of the signal that ended the run. Goals are reported,
            and do not change the exit code.
    """
    chosen, ending = _chosen(arguments), Ending()
    path = chosen.out or Path(tempfile.mkdtemp(prefix="scratchnet-gpu-")) / "record.json"
    if taken := _taken(path):
        _tell(f"make gpu: {taken}: is there already; give a new name", sys.stderr)
        return 2
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    try:
        adopt_orphans()
        record = Record(Path(os.path.abspath(path)), machine="", quick=chosen.quick, system=system)
        return _run(record, chosen, ending)
    except OSError as error:
        _tell(f"make gpu: {path}: {error.strerror or error}", sys.stderr)
    except RecordError as error:
        _tell(f"make gpu: {error}; this run is in {path}", sys.stderr)
    return 2


def _chosen(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backend", default="cupy", help="by default cupy")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART",
                        help=", ".join(PARTS))  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="few samples: to try this command")
    parser.add_argument("--limit", type=_seconds, help="seconds for each part, instead of its own limit")
    parser.add_argument("--out", type=Path, help="a new file for the record; leaves the README alone")
    chosen = parser.parse_args(arguments)
    if chosen.quick and not chosen.out:
        parser.error("--quick needs --out FILE: the records in benchmarks/results/ are of whole runs")
    return chosen


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")


def _run(record: Record, chosen: argparse.Namespace, ending: Ending) -> int:
    """Run the parts in turn, and record their results. Return the exit code."""
    content = record.content
    for part in (DEVICE, *chosen.only):
        limit = DEVICE_SECONDS if part == DEVICE else chosen.limit or PARTS[part]
        done = _part(record, part, chosen.backend, chosen.quick, limit, ending)
        if ending:
            _tell(f"ended; what was found is in {record.path}")
            return ending.code
        if part == DEVICE:
            if not done:
                _tell(f"make gpu: {content['parts'][DEVICE]['why']}", sys.stderr)
                return 2
            facts = content["facts"]
            content |= {"machine": facts["device"]["value"], "library": facts["library"]["value"]}
            record.write()
    for name, reached in _goals(content["figures"]).items():
        _tell(f"{name}: {reached:.2f}; the goal is 1 or more")
    kept = record.path if chosen.out else keep([record.path])
    _tell(f"recorded in {kept}; the parts' logs are in {record.path.parent}")
    return ending.code or int(any(part["outcome"] == "failed" for part in content["parts"].values()))


def _goals(figures: list[dict[str, Any]]) -> dict[str, float]:
    """Return the goals of the GPU path: each is met from 1 on. Only measured ones are listed."""
    ours, peers = (
        min(
            (
                each["median"]
                for each in figures
                if each["group"] == "epoch" and each["what"].startswith("scratchnet") == own
            ),
            default=0,
        )
        for own in (True, False)
    )
    goals = {"2.15 ms over our epoch": 0.00215 / ours} if ours else {}
    if ours and peers:
        goals["the best peer's epoch over three of ours"] = peers / (3 * ours)
    return goals


def _part(
    record: Record, part: str, backend: str, quick: bool, limit: float, ending: Ending
) -> bool:  # fmt: skip
    """Run one part in its own process. Return whether it succeeded."""
    _tell(f"--- {part}")
    sanitizer = shutil.which("compute-sanitizer")
    if part in SANITIZERS and not sanitizer:
        record.part(part, "skipped", "compute-sanitizer is not installed")
        _tell("skipped: compute-sanitizer is not installed")
        return False
    record.part(part, "running")
    log, start = _log(record.path, part), perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        messages = Path(folder) / "messages"
        messages.touch()
        command = [sys.executable, "-m", "benchmarks.gpu.parts", part, backend, str(int(quick))]
        command += [str(messages), str(log)]
        if part in SANITIZERS:
            options = ["--tool", part, "--error-exitcode", "9", "--report-api-errors", "no"]
            command = [str(sanitizer), *options, *command]
        ends = list[dict[str, str]]()
        with messages.open(encoding="utf-8") as news:

            def listen() -> None:
                # NaN becomes text, because JSON has none.
                told = [json.loads(line, parse_constant=str) for line in _whole_lines(news)]
                ends.extend(each for each in told if "outcome" in each)
                if found := [each for each in told if "outcome" not in each]:
                    record.take(found)

            outcome, why = run(command, limit, log, _environment(), listen, ending)
        if ends and outcome != "ended":
            outcome, why = ends[-1]["outcome"], ends[-1]["why"]
    record.part(part, outcome, why, perf_counter() - start)
    _tell(f"{_tail(log)}\n{outcome}{': ' if why else ''}{why}")
    return outcome == "done"


def _tell(text: str, file: TextIO = sys.stdout) -> None:
    """Print the text. If the output is closed, print nothing, and let the run continue."""
    try:
        shown = text.encode(file.encoding, "backslashreplace").decode(file.encoding)
        print(shown, file=file, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())


def _log(record: Path, part: str) -> Path:
    """Return the path of the part's output, next to the record."""
    return record.with_name(f"{record.stem}-{part}.log")


def _taken(record: Path) -> Path | None:
    """Return existing files that the record or a log would replace."""
    if os.path.lexists(record):
        return record
    logs = (_log(record, part) for part in (DEVICE, *PARTS))
    return next((log for log in logs if os.path.lexists(log)), None)


def _environment() -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }


def _whole_lines(file: TextIO) -> Iterator[str]:
    """Return the lines since the last call. An unfinished line waits for the next call."""
    while True:
        place = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(place)
            return
        yield line


def _tail(log: Path) -> str:
    """Return the last lines that a part printed, as many as a reader wants to see."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 3000))
        return file.read().decode(errors="replace").strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
