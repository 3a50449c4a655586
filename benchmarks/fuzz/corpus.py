"""The kept inputs of the guided fuzzer: an archive for each reader in tests/files/corpus."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import scratchnet
from benchmarks.fuzz.formats import seen, warm

CORPUS = Path(__file__).parents[2] / "tests" / "files" / "corpus"
MOST_BYTES = 40_000
"""The packed size of one reader's inputs that show no fault."""
_LIBRARY = str(Path(scratchnet.__file__).parent)

Step = tuple[str, int, int]
"""A file of the library, a line of it, and the next line that ran."""


def kept(reader: str) -> dict[str, bytes]:
    """Return the kept inputs by name. One whose name begins with "fault" showed a fault when found."""
    path = CORPUS / f"{reader}.zip"
    if not path.exists():
        return {}
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def keep(reader: str, found: Iterable[bytes], faults: Mapping[str, bytes]) -> None:
    """Keep the faults, and the inputs that reach steps of the library which smaller ones do not.

    Args:
        reader: a key of `FORMATS`.
        found: inputs, besides those that are kept already.
        faults: inputs that showed a fault, by its kind.
    """
    warm(reader)
    former = kept(reader)
    chosen = {name: content for name, content in former.items() if name.startswith("fault")}
    chosen |= {f"fault {kind}": content for kind, content in faults.items()}
    reached: set[Step] = set().union(*(steps(reader, content) for content in chosen.values()))
    size = 0
    for content in sorted(
        {*found, *former.values()} - {*chosen.values()}, key=lambda each: (len(each), each)
    ):
        if size + len(content) <= MOST_BYTES and not (here := steps(reader, content)) <= reached:
            chosen[hashlib.sha256(content).hexdigest()[:12]] = content
            reached, size = reached | here, size + len(content)
    CORPUS.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(
        CORPUS / f"{reader}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9
    ) as archive:
        for name, content in sorted(chosen.items()):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # of no date


def steps(reader: str, content: bytes) -> set[Step]:
    """Return the steps of the library that an input runs through."""
    reached: set[Step] = set()
    lines: dict[int, int] = {}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(_LIBRARY):
            return None
        if event == "line":
            reached.add((name, lines.get(id(frame), 0), frame.f_lineno))
            lines[id(frame)] = frame.f_lineno
        elif event == "return":
            lines.pop(id(frame), None)
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        seen(reader, content)
    finally:
        sys.settrace(former)
    return reached
