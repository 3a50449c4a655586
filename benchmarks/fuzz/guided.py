"""`python -m benchmarks.fuzz.guided` lets atheris look for inputs that reach new edges of the readers.

    python -m benchmarks.fuzz.guided npz parquet --seconds 120 --out found.json

Each reader gets the same part of the time, and starts from its kept inputs in tests/files/corpus. Faulty
inputs are written to the folder `--faults`. `--keep` puts into the corpus all faults, and what reaches
lines of the library that no kept input does. The tests read the corpus again. A run of some readers
takes their place in the record of `--out`.

It needs `pip install "scratchnet[fuzz]"`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.fuzz import corpus, watch
from benchmarks.fuzz.formats import FORMATS
from benchmarks.report import GUIDED, RESULTS

LONGEST = 1 << 14
"""The bytes of an input."""
MEGABYTES = 2048
"""The memory of a process; one that takes more is ended."""
_ENGINE = "benchmarks.fuzz.engine"
_GRACE = 120
"""The seconds for the start and the last input of a process."""
_PACKAGES = "atheris", "numpy", "pillow", "pyarrow", "safetensors"
_FACT = re.compile(r"stat::number_of_executed_units:\s*(\d+)|cov: (\d+)")


def main(arguments: list[str]) -> int:
    """Fuzz each reader, print a line for each, and write the record. Return 1 for a fault."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz.guided", description=__doc__)
    parser.add_argument(
        "readers", nargs="*", metavar="READER", help=f"of {', '.join(FORMATS)}; default all"
    )
    parser.add_argument("--seconds", type=int, default=600, help="for all readers together")
    parser.add_argument("--out", type=Path, help="the record; of a run of all readers it is kept anyhow")
    parser.add_argument("--faults", type=Path, default=Path("faults"), help="a folder for faulty inputs")
    parser.add_argument("--keep", action="store_true", help="add to the corpus what reaches new lines")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.readers) - FORMATS.keys():
        parser.error(f"there is no reader {', '.join(sorted(unknown))}; there are {', '.join(FORMATS)}")
    readers = asked.readers or list(FORMATS)
    out = asked.out or (None if asked.readers else RESULTS / GUIDED)
    former: dict[str, Any] = {"readers": {}, "faults": []}
    if asked.readers and out and out.exists():
        former = json.loads(out.read_text())
    record: dict[str, Any] = {
        "date": date.today().isoformat(),
        "seconds": 0,
        "executions": 0,
        "readers": former["readers"],
        "limits": {"seconds": watch.SECONDS, "bytes": watch.ALLOWANCE, "longest input": LONGEST},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "libraries": {name: version(name) for name in _PACKAGES},
        "faults": [each for each in former["faults"] if each["reader"] not in readers],
    }
    for reader in readers:
        found = fuzz(reader, max(1, asked.seconds // len(readers)), asked.faults, asked.keep)
        print(reader, found, flush=True)
        record["faults"] += [{"reader": reader, "input": each} for each in found.pop("faults")]
        record["readers"][reader] = found
    for what in ("seconds", "executions"):
        record[what] = sum(each[what] for each in record["readers"].values())
    if out:
        out.write_text(json.dumps(record, indent=1) + "\n")
    return int(bool(record["faults"]))


def fuzz(reader: str, seconds: int, faults: Path, keep: bool) -> dict[str, Any]:
    """Fuzz a reader, in a new process each time that one dies.

    Returns:
        The seconds, the executions, the edges that were reached, the names of the faulty inputs, and the
        number of inputs in the corpus.
    """
    faults = faults / reader
    faults.mkdir(parents=True, exist_ok=True)
    before, start = set(faults.iterdir()), time.monotonic()
    executions = edges = 0
    with tempfile.TemporaryDirectory() as folder:
        for content in (*FORMATS[reader].seeds(), *corpus.kept(reader).values()):
            Path(folder, hashlib.sha1(content).hexdigest()).write_bytes(content)
        while (left := int(seconds - (time.monotonic() - start))) > 0:
            options = {
                "max_total_time": left, "timeout": 2 * watch.SECONDS, "rss_limit_mb": MEGABYTES,
                "max_len": LONGEST, "artifact_prefix": f"{faults}/", "print_final_stats": 1,
            }  # fmt: skip
            flags = [f"-{name}={value}" for name, value in options.items()]
            command = [sys.executable, "-m", _ENGINE, reader, str(faults)]
            done = subprocess.run(
                [*command, *flags, folder], timeout=left + _GRACE, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            told = done.stdout.decode(errors="replace")
            facts = _FACT.findall(told)
            if not facts:
                raise RuntimeError(f"the fuzzer of {reader} did not start: {told[-999:]}")
            edges = max(edges, *(int(edge or 0) for _, edge in facts))
            executions += sum(int(number or 0) for number, _ in facts)
        if keep:
            found = [each.read_bytes() for each in Path(folder).iterdir()]
            wrong = {each.name: each.read_bytes() for each in faults.iterdir()}
            corpus.keep(reader, found, wrong)
    return {
        "seconds": round(time.monotonic() - start),
        "executions": executions,
        "edges": edges,
        "kept": len(corpus.kept(reader)),
        "faults": sorted(each.name for each in set(faults.iterdir()) - before),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
