"""`make bench`: run the suite, print its tables, record it, and put it into the README.

The record is benchmarks/results/<machine>.json; `benchmarks.report` makes README.md's tables and chart
from all records there.
"""

import json
import platform
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report import RESULTS, records, write


def main(arguments: list[str]) -> int:
    """Run, record, and update the README; returns pytest's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        columns = "--benchmark-columns=median,iqr,min,max,rounds"
        options = [f"--benchmark-json={report}", columns, "-p", "no:cacheprovider", *arguments]
        code = int(pytest.main([str(Path(__file__).parent), "-q", *options]))
        if report.exists() and report.read_text():
            _record(json.loads(report.read_text()), passed=code == 0)
    write(records())
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
