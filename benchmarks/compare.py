"""A run against a recorded one: the ratio of each figure, and what is slower by more than the spread."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figures import Figure
from scratchnet.files import write_whole


class RecordError(ValueError):
    """A file that is no record of a run."""


class Change(NamedTuple):
    """One thing, then and now."""

    now: Figure
    then: Figure

    @property
    def ratio(self) -> float:
        """Now over then: above 1 is slower."""
        return float(self.now["median"] / self.then["median"])

    @property
    def mark(self) -> str:
        """Slower or faster, where the quartiles of the two do not overlap."""
        (low, high), (then_low, then_high) = self.now["quartiles"], self.then["quartiles"]
        return "slower" if low > then_high else "faster" if high < then_low else ""


def read(path: Path) -> dict[str, Any]:
    """A record.

    Raises:
        RecordError: the file cannot be read, or is no record.
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
    """Write a record, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    text = json.dumps(record, indent=1) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def changes(now: Sequence[Figure], then: Sequence[Figure]) -> list[Change]:
    """What both runs have measured, under the same name, with the same backend, threads and data."""
    known = {key(each): each for each in then if "median" in each}
    return [Change(each, known[key(each)]) for each in now if key(each) in known]


def _is_figure(each: Any) -> bool:
    """Whether it has what a comparison needs; a failure has only its name."""
    if not isinstance(each, dict) or not isinstance(each.get("what"), str):
        return False
    if "error" in each:
        return True
    times = [each.get("median"), *(each.get("quartiles") or [])]
    positive = [isinstance(time, (int, float)) and time > 0 for time in times]
    return isinstance(each.get("group"), str) and positive == [True] * 3


def key(found: Figure) -> tuple[Any, ...]:
    """What makes two figures measurements of the same thing."""
    names = "group", "what", "backend", "threads", "samples", "data"
    return tuple(found.get(name) for name in names)
