"""Compare a run with a recorded one: the ratio of each figure, and what became slower."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figures import Figure
from scratchnet.files import write_whole


class RecordError(ValueError):
    """A file is not a record of a run."""


class Change(NamedTuple):
    """The earlier and the present measurement of one thing."""

    now: Figure
    then: Figure

    @property
    def ratio(self) -> float:
        """Now divided by then: above 1 is slower."""
        return float(self.now["median"] / self.then["median"])

    @property
    def mark(self) -> str:
        """Return "slower" or "faster", if the quartiles of the two do not overlap."""
        (low, high), (then_low, then_high) = self.now["quartiles"], self.then["quartiles"]
        return "slower" if low > then_high else "faster" if high < then_low else ""


def read(path: Path) -> dict[str, Any]:
    """Read a record.

    Raises:
        RecordError: the file cannot be read, or is not a record.
    """
    try:
        record: Any = json.loads(path.read_text())
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: is no JSON: {error}") from error
    fields = record if isinstance(record, dict) else {}
    named, figures = isinstance(fields.get("machine"), str), fields.get("figures")
    if not (named and isinstance(figures, list) and all(map(_is_figure, figures))):
        raise RecordError(f"{path}: is no record of a run; give one of benchmarks/results/*.json")
    return fields


def save(path: Path, record: dict[str, Any]) -> None:
    """Write a record, completely or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    text = json.dumps(record, indent=1) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def changes(now: Sequence[Figure], then: Sequence[Figure]) -> list[Change]:
    """Return what both runs measured with the same name, backend, threads and data."""
    known = {key(each): each for each in then if "median" in each}
    return [Change(each, known[key(each)]) for each in now if key(each) in known]


def _is_figure(each: Any) -> bool:
    """Whether it has what a comparison needs. A failure has only its name."""
    if not isinstance(each, dict) or not isinstance(each.get("what"), str):
        return False
    if "error" in each:
        return True
    times = [each.get("median"), *(each.get("quartiles") or [])]
    positive = [isinstance(time, (int, float)) and time > 0 for time in times]
    return isinstance(each.get("group"), str) and positive == [True] * 3


def key(found: Figure) -> tuple[Any, ...]:
    """Return what makes two figures measurements of the same thing."""
    names = "group", "what", "backend", "threads", "samples", "data"
    return tuple(found.get(name) for name in names)
