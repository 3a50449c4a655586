"""A run against a recorded one: the ratio of each figure, and what is slower by more than the spread."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figures import Figure


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
    except ValueError as error:
        raise RecordError(f"{path}: is no JSON: {error}") from error
    figures = record.get("figures") if isinstance(record, dict) else None
    needed = {"group", "what", "median", "quartiles"}
    if not isinstance(figures, list) or not all(
        isinstance(each, dict) and needed <= each.keys() for each in figures if "error" not in each
    ):
        raise RecordError(f"{path}: is no record of a run; give one of benchmarks/results/*.json")
    return dict(record)


def changes(now: Sequence[Figure], then: Sequence[Figure]) -> list[Change]:
    """What both runs have measured, under the same name, on the same backend and threads."""
    known = {_key(each): each for each in then if "median" in each}
    return [Change(each, known[_key(each)]) for each in now if _key(each) in known]


def _key(found: Figure) -> tuple[Any, ...]:
    return tuple(found.get(name) for name in ("group", "what", "backend", "threads"))
