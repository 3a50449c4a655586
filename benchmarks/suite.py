"""Run the suite: measure, print one table, write the record, and update the README."""

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
from benchmarks.compare import Change, changes, read, save
from benchmarks.compare import RecordError as RecordError
from benchmarks.figures import Figure
from benchmarks.machine import describe, file_name
from benchmarks.report import IN_REPOSITORY, RESULTS, records, table, write, write_markdown

HERE = Path(__file__).parent
_INTERRUPTED = 130


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
        quick: few rounds on little data, without other libraries. Not recorded unless `out` is given.
        names: the backends to measure; by default all that work here.
        compare: a record to compare this run with.
        crossover: measure only the scaling, and report from where on a GPU is faster.
        out: a folder for the record, its table and its charts. By default it is benchmarks/results/ of
            the repository, and then the README is updated too, if the run is complete and nothing
            failed.
        arguments: for pytest.

    Returns:
        0, or 1 if a bound was not met or something could not be measured, 130 for Ctrl-C.

    Raises:
        BackendError: a chosen backend cannot be used.
        OSError: the folder cannot be written to.
        RecordError: the file to compare with is not a record.
    """
    backends.active()  # if it was asked for and cannot be used, that is an error here too
    names = list(dict.fromkeys(names))
    for name in names:
        with backends.use(name):
            pass
    then = read(compare) if compare else None
    whole = not (quick or names or crossover or arguments)
    folder = out or (RESULTS if whole and IN_REPOSITORY else None)
    if folder:
        _try(folder)
    record = {"date": datetime.date.today().isoformat(), "quick": quick, **describe()}
    paths = [HERE / "test_scaling.py"] if crossover else [HERE]
    code, figures = _measure(quick, names, [*map(str, paths), *arguments])
    if code == _INTERRUPTED:
        return code
    if not figures:
        print("nothing was measured")
        return 1
    record |= {"bounds_met": code == 0, "figures": figures}
    _print(table(figures))
    if any(each["group"] == "scaling" for each in figures):
        _tell_scaling(figures)
    if then:
        _tell_changes(record, then, changes(figures, then["figures"]))
    if folder is None:
        print("not recorded; --out FOLDER records it")
    elif code and not out:
        print("not recorded: a bound was not met, or something could not be measured; see above")
    else:
        _keep(record, folder, "" if whole else "-part", readme=out is None)
    return int(code != 0)


class _Watch:
    """Distinguishes Ctrl-C from pytest's other reasons to end early."""

    interrupted = False

    def pytest_keyboard_interrupt(self) -> None:
        """Called by pytest."""
        self.interrupted = True


def _measure(quick: bool, names: Sequence[str], arguments: Sequence[str]) -> tuple[int, list[Figure]]:
    """Run the suite under pytest. Return its exit code, and all figures."""
    import pytest

    watch = _Watch()
    with tempfile.TemporaryDirectory() as temporary:
        report = Path(temporary) / "report.json"
        options = [
            "-q", "--rootdir", str(HERE.parent), "-c", str(HERE / "pytest.ini"),
            "-p", "no:cacheprovider", "--benchmark-quiet", f"--benchmark-json={report}",
            *(["--quick"] if quick else []), *(f"--backend={name}" for name in names), *arguments,
        ]  # fmt: skip
        code = int(pytest.main(options, plugins=[watch]))
        text = report.read_text() if report.exists() else ""
    runs = json.loads(text)["benchmarks"] if text else []
    figures = [each for run in runs for each in run["extra_info"].get("figures", [])]
    return _INTERRUPTED if watch.interrupted else int(code != 0), figures


def _try(folder: Path) -> None:
    """Raise OSError now, and not after all measurements, if nothing can be written."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def _keep(record: dict[str, Any], folder: Path, suffix: str, readme: bool) -> None:
    path = folder / f"{file_name(record['machine'])}{suffix}.json"
    save(path, record)
    if readme:
        write(records())
    else:
        write_markdown([record], folder, suffix)
    print(f"recorded in {path}")


def _tell_scaling(figures: list[Figure]) -> None:
    points = [each for each in figures if each["group"] == "scaling"]
    for line in scaling.growth(points):
        print(line)
    told = scaling.crossovers(points)
    for axis, line in told.items():
        print(f"crossover by {axis}: {line}")
    if not told:
        measured = ", ".join(sorted({each["backend"] for each in points}))
        causes = [f"{name}: {cause}" for name, cause in backends.diagnose().items() if cause]
        print(f"no crossover to tell: measured on {measured} alone; {'; '.join(causes)}")


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
    """Return a table, as wide as the terminal; in a pipe as wide as it needs to be."""
    from rich.console import Console
    from rich.table import Table

    header, rows = content
    shown = Table(box=None, pad_edge=False)
    for place, name in enumerate(header):
        shown.add_column(name, justify="left" if place < 3 else "right", overflow="fold")
    for row in rows:
        shown.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False).print(shown)
