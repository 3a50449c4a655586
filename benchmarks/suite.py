"""A run of the suite: measure, print one table, keep the record, and bring the README up to date."""

from __future__ import annotations

import datetime
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import backends
from benchmarks import scaling
from benchmarks.compare import Change, changes, read
from benchmarks.compare import RecordError as RecordError
from benchmarks.figures import Figure
from benchmarks.machine import describe, file_name
from benchmarks.report import README, RESULTS, records, table, write, write_markdown

HERE = Path(__file__).parent
_INTERRUPTED = 2  # pytest's


def run(
    quick: bool = False,
    names: Sequence[str] = (),
    compare: Path | None = None,
    crossover: bool = False,
    out: Path | None = None,
    arguments: Sequence[str] = (),
) -> int:
    """Run the suite.

    Args:
        quick: few rounds on little data, without peers; not recorded unless `out` is given.
        names: of the backends to measure; none given means all that work here.
        compare: a record to hold this run against.
        crossover: measure the scaling alone, and tell from where on a GPU wins.
        out: a folder for the record, its table and its chart. By default benchmarks/results/ of the
            repository, and then its README too, for a run that is whole.
        arguments: for pytest.

    Returns:
        0, or 1 if a bound was not met or something could not be measured, 130 for Ctrl-C.

    Raises:
        BackendError: a backend that was asked for cannot be used.
        RecordError: the file to compare with is no record.
    """
    for name in names:
        with backends.use(name):
            pass
    then = read(compare) if compare else None
    record = {"date": datetime.date.today().isoformat(), "quick": quick, **describe()}
    code, figures = _measure(quick, names, [*(["-k", "scaling"] if crossover else []), *arguments])
    if code == _INTERRUPTED:
        return 130
    record |= {"bounds_met": code == 0, "figures": figures}
    _print(table(figures))
    if crossover or any(each["group"] == "scaling" for each in figures):
        _tell_scaling(figures)
    if then:
        _tell_changes(record, then, changes(figures, then["figures"]))
    whole = not (quick or names or crossover or arguments)
    _keep(record, out or (RESULTS if whole and README.exists() else None), whole and out is None)
    return int(code != 0)


def _measure(quick: bool, names: Sequence[str], arguments: Sequence[str]) -> tuple[int, list[Figure]]:
    """The suite under pytest: its exit code, and all figures."""
    import pytest

    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = [
            str(HERE), "-q", "--rootdir", str(HERE.parent), "-c", str(HERE / "pytest.ini"),
            "-p", "no:cacheprovider", "--benchmark-quiet", f"--benchmark-json={report}",
            *(["--quick"] if quick else []), *(f"--backend={name}" for name in names), *arguments,
        ]  # fmt: skip
        code = int(pytest.main(options))
        text = report.read_text() if report.exists() else ""
    runs = json.loads(text)["benchmarks"] if text else []
    return code, [each for run in runs for each in run["extra_info"].get("figures", [])]


def _keep(record: dict[str, Any], folder: Path | None, readme: bool) -> None:
    if folder is None:
        print("not recorded; --out FOLDER records it")
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file_name(record['machine'])}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    if readme:
        write(records())
    else:
        write_markdown([record], folder)
    print(f"recorded in {path}")


def _tell_scaling(figures: list[Figure]) -> None:
    points = [each for each in figures if each["group"] == "scaling"]
    for line in scaling.growth(points):
        print(line)
    measured = {each["backend"] for each in points}
    if {"numpy", "cupy"} <= measured:
        for axis, line in scaling.crossovers(points).items():
            print(f"crossover by {axis}: {line}")
    else:
        causes = [f"{name}: {cause}" for name, cause in backends.diagnose().items() if cause]
        others = ", ".join(sorted(measured - {"numpy"})) or "none"
        print(f"no crossover to tell: of the others, {others} was measured; {'; '.join(causes)}")


def _tell_changes(now: dict[str, Any], then: dict[str, Any], found: list[Change]) -> None:
    if then["machine"] != now["machine"]:
        print(f"compared with another machine, {then['machine']}: the ratios are not of the code alone")
    rows = []
    for each in sorted(found, key=lambda each: -each.ratio):
        facts = (each.now.get(name, "") for name in ("group", "what", "backend"))
        rows.append((*facts, f"{each.ratio:.2f}", each.mark))
    _print((("group", "what", "backend", "now over then", ""), rows))
    slower = sum(each.mark == "slower" for each in found)
    print(f"{len(found)} figures compared, {slower} slower by more than the spread")


def _print(content: tuple[Sequence[str], Sequence[Sequence[str]]]) -> None:
    """A table, as wide as the terminal; in a pipe as wide as it needs to be."""
    from rich.console import Console
    from rich.table import Table

    header, rows = content
    shown = Table(box=None, pad_edge=False)
    for place, name in enumerate(header):
        shown.add_column(name, justify="left" if place < 3 else "right", overflow="fold")
    for row in rows:
        shown.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False).print(shown)
