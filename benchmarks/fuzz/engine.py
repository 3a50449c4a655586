"""A process in which atheris tries inputs on one reader; see `benchmarks.fuzz.guided`."""

from __future__ import annotations

import re
import sys
import tracemalloc
from functools import partial
from pathlib import Path
from random import Random

import atheris

_instrumented = partial(
    atheris.instrument_imports, ["scratchnet", "zipfile", "gzip", "PIL", "pyarrow.parquet"]
)
with _instrumented():
    from benchmarks.fuzz.formats import seen, warm
from benchmarks.fuzz.mutate import changed  # noqa: E402 - only the readers are instrumented
from benchmarks.fuzz.watch import GOOD  # noqa: E402 - see above

_MOST = 50  # kinds of faults that are written
_OF_ONE_INPUT = re.compile(r"/\S*/tmp\w+|\d+|0x[0-9a-f]+")


def main(reader: str, faults: Path, flags: list[str]) -> None:
    """Try inputs until the time is over. Write the first input of each kind of fault, and go on."""
    with _instrumented():
        warm(reader)  # imports more
    tracemalloc.start()
    known: set[str] = set()

    def one(content: bytes) -> None:
        found = seen(reader, content)
        kind = f"{found.outcome} {_OF_ONE_INPUT.sub('', found.told)}"
        name = re.sub(r"\W+", "-", kind)[:70]
        if found.outcome not in GOOD and name not in known and len(known) < _MOST:
            known.add(name)
            (faults / name).write_bytes(content)
            print(f"\nfault: {found.outcome}; {found.told}", file=sys.stderr, flush=True)

    def mutate(content: bytes, most: int, seed: int) -> bytes:
        return changed(content, lambda part: atheris.Mutate(part, len(part) + 64), Random(seed))[:most]

    atheris.Setup([reader, *flags], one, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
