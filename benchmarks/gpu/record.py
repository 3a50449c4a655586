"""The record of one run: a JSON file that is complete at every moment, whenever the run ends."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.compare import key, save


class Record:
    """All measurements so far. The file is written again after each addition.

    Args:
        path: the file. Its folder is created.
        **head: the machine, and other facts about the whole run.

    Attributes:
        content: the content of the file. `figures` are times, each next to its prediction if there is
            one. `facts` are other numbers. `results` are tables with their own form. `parts` has the
            outcome of each part of the run, and `attempts` that of each thing within a part that can
            fail alone. All have the time at which they were measured, by which `benchmarks.merge` finds
            the newest.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, **head: Any) -> None:
        """Write the empty record."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.content: dict[str, Any] = {
            **head, "date": now(),
            "figures": [], "facts": {}, "results": {}, "parts": {}, "attempts": {},
        }  # fmt: skip
        self.write()

    def take(self, messages: Iterable[dict[str, Any]]) -> None:
        """Add what a part has found, under `figure`, `facts`, `results` or `attempts`."""
        for message in messages:
            for kind, found in message.items():
                if kind == "figure":
                    found = found | {"measured": now()}
                    others = [each for each in self.content["figures"] if key(each) != key(found)]
                    self.content["figures"] = [*others, found]
                else:
                    stamped = {name: each | {"measured": now()} for name, each in found.items()}
                    self.content[kind] |= stamped
        self.write()

    def part(self, name: str, outcome: str, why: str = "", seconds: float = 0.0) -> None:
        """Note the state of a part: "running", "done", "failed", "ended" by a signal, or "skipped"."""
        told = {"outcome": outcome, "why": why, "seconds": round(seconds, 1), "measured": now()}
        self.content["parts"][name] = told
        self.write()

    def write(self) -> None:
        """Write everything, so that a reader finds a complete record at every moment."""
        save(self.path, self.content)


def now() -> str:
    """Return the time in UTC, to the microsecond, in a form that sorts."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
