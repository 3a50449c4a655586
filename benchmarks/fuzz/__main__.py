"""`python -m benchmarks.fuzz --inputs 100000` is the long form. It records the results.

A fault is named by reader and number: `--reader idx --first 1234 --inputs 1` repeats it.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import zlib
from datetime import date
from importlib.metadata import version
from pathlib import Path

from benchmarks.fuzz import watch, worker
from benchmarks.fuzz.inputs import READERS
from benchmarks.fuzz.run import fuzz
from benchmarks.report import FUZZ, RESULTS

_TOLD = 20


def main() -> int:
    """Run, print the table, write the record if all readers took part; return 1 for a fault."""
    parser = argparse.ArgumentParser(description="Files that lie, against everything that reads them.")
    parser.add_argument("--inputs", type=int, default=100_000, help="in all readers together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", choices=READERS, help="only this one; nothing is recorded")
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--out", type=Path, default=RESULTS / FUZZ)
    asked = parser.parse_args()
    readers = [asked.reader] if asked.reader else list(READERS)
    each, start = -(-asked.inputs // len(readers)), time.perf_counter()
    outcomes, faults = {}, []
    for reader in readers:
        counted, found = fuzz(reader, asked.seed, asked.first, asked.first + each)
        outcomes[reader] = dict(sorted(counted.items()))
        faults += found
        print(f"{reader:12}{outcomes[reader]}", flush=True)
    for fault in faults[:_TOLD]:
        print(f"{fault.reader} {fault.number}: {fault.outcome}; {fault.how}; {fault.told!r}")
    if not asked.reader:
        record = {
            "date": date.today().isoformat(),
            "inputs": each * len(readers),
            "seed": asked.seed,
            "first": asked.first,
            "seconds": round(time.perf_counter() - start),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "libraries": {name: version(name) for name in ("numpy", "safetensors")}
            | {"zlib": zlib.ZLIB_RUNTIME_VERSION},
            "limits": {
                "seconds": watch.SECONDS,
                "bytes": watch.ALLOWANCE,
                "bytes for a byte of content": watch.TIMES_CONTENT,
                "address space": worker.ADDRESS_SPACE,
            },
            "outcomes": outcomes,
            "faults": [fault._asdict() for fault in faults[:_TOLD]],
        }
        asked.out.write_text(json.dumps(record, indent=1) + "\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
