"""`make bench`: run the suite, print its tables, record it, and put it into the README.

The record is benchmarks/results/<machine>.json; README.md's tables are made from all records there.
`python -m benchmarks --table` only makes them anew.
"""

import json
import platform
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent / "README.md"
_MARKS = "<!-- epochs: made by `make bench` -->", "<!-- end of epochs -->"


def main(arguments: list[str]) -> int:
    """Run, record, and update the README; returns pytest's exit code."""
    code = 0
    if "--table" not in arguments:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            columns = "--benchmark-columns=median,iqr,min,max,rounds"
            options = [f"--benchmark-json={report}", columns, "-p", "no:cacheprovider", *arguments]
            code = int(pytest.main([str(Path(__file__).parent), "-q", *options]))
            if report.exists() and report.read_text():
                _record(json.loads(report.read_text()), passed=code == 0)
    README.write_text(with_tables(README.read_text(), records()))
    return code


def _record(report: dict[str, Any], passed: bool) -> None:
    """Keep what a reader needs of pytest-benchmark's report."""
    cpu = report["machine_info"]["cpu"]
    name = f"{cpu.get('brand_raw', platform.processor())} {cpu['count']} cores"
    runs = []
    for run in report["benchmarks"]:
        stats = {key: run["stats"][key] for key in ("median", "iqr", "min", "max", "rounds")}
        runs.append({"name": run["name"], **stats, **run["extra_info"]})
    record = {
        "machine": name,
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "date": report["datetime"][:10],
        "bounds_met": passed,
        "runs": runs,
    }
    path = RESULTS / f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    for run in runs:
        if "epoch_over_floor" in run:
            print(
                f"with {run['blas_threads']} BLAS threads, over the matrix products alone: "
                f"{run['epoch_over_floor']:.2f}, written by hand {run['hand_written_over_floor']:.2f}"
                + ("" if run["bound_judged"] else "; not judged, so far over them is the latter")
            )
        else:
            print(f"{run['name']}: {run['speedup_vs_original']:.1f} times the original's 4.3 s")
    print(f"recorded in {path}")


def records() -> list[dict[str, Any]]:
    """All recorded runs."""
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]


def with_tables(readme: str, recorded: list[dict[str, Any]]) -> str:
    """The README with its two tables made from the records."""
    epochs = [
        "| what | data | machine | an epoch | times the original |",
        "|---|---|---|---|---|",
        "| the original, Scala on ND4J | Fashion-MNIST | unknown | 4,300 ms | 1 |",
    ]
    over_floor = [
        "| a step over its products | BLAS threads | the products | scratchnet | written by hand |",
        "|---|---|---|---|---|",
    ]
    for record in recorded:
        machine = record["machine"]
        for run in record["runs"]:
            if "epoch_seconds" in run:
                ms, speedup = run["epoch_seconds"] * 1000, run["speedup_vs_original"]
                what = f"scratchnet, {run['backend']} | {run['data']}"
                epochs.append(f"| {what} | {machine} | {ms:.0f} ms | {speedup:.0f} |")
            else:
                ours, by_hand = run["epoch_over_floor"], run["hand_written_over_floor"]
                products = f"{run['microseconds_a_step']['matrix products']} µs"
                row = f"{machine} | {run['blas_threads']} | {products} | {ours:.2f} | {by_hand:.2f}"
                over_floor.append(f"| {row} |")
    start, end = _MARKS
    before, _, rest = readme.partition(start)
    tables = "\n".join([*epochs, "", *over_floor])
    return f"{before}{start}\n{tables}\n{end}{rest.partition(end)[2]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
