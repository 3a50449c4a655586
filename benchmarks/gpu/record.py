"""The record of one run: a JSON file that is whole from the beginning, whenever the run is ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.compare import key, save


class Record:
    """What was measured so far; the file is written anew after each addition.

    Args:
        path: the file; its folder is made.
        **head: the machine, and whatever else holds for the whole run.

    Attributes:
        content: as it stands in the file. `figures` are times, each with what gpu.md's model predicts
            beside it where there is a prediction; `facts` are other numbers; `results` are the tables
            that have a form of their own; `parts` say what came of each part of the run, and `attempts`
            of each thing within one that can fail alone. All have the moment at which they were
            measured, by which `benchmarks.merge` knows the newest.

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
        """Keep what a part has found, each under `figure`, `facts`, `results` or `attempts`."""
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
        """Note how a part stands: "running", "done", "failed", "ended" by a signal, or "skipped"."""
        told = {"outcome": outcome, "why": why, "seconds": round(seconds, 1), "measured": now()}
        self.content["parts"][name] = told
        self.write()

    def write(self) -> None:
        """Write it all: a reader finds a whole record, at every moment."""
        save(self.path, self.content)


def now() -> str:
    """The moment in UTC, to the microsecond, in a form that sorts."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
