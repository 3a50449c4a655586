"""How a part tells what it finds: at once, so that nothing is lost when it is ended early."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, figure
from benchmarks.gpu.predictions import FACTS, SECONDS
from scratchnet.results.words import duration


class Telling:
    """Appends one JSON line for each thing found to a file, which the parent process reads.

    A file and not a pipe or the standard output: libraries print what they like, and a tool that
    starts the part may close what it does not know.

    Attributes:
        failures: what could not be measured, and what is wrong.
    """

    def __init__(self, path: Path) -> None:
        """The file to append to."""
        self.path = path
        self.failures: list[str] = []

    def figure(self, group: str, what: str, seconds: Sequence[float], **facts: Any) -> None:
        """A time: its median and spread, and what the model predicts."""
        self.keep(figure(group, what, seconds, **facts))

    def keep(self, found: Figure) -> None:
        """A figure that was made elsewhere."""
        what = found["what"]
        predicted = {"predicted": SECONDS[what]} if what in SECONDS else {}
        print(f"{what}: {duration(found['median'])}", flush=True)
        self._write({"figure": found | predicted})

    def fact(self, what: str, value: float | str, unit: str = "") -> None:
        """A number that is no time."""
        predicted = {"predicted": FACTS[what]} if what in FACTS else {}
        print(f"{what}: {value} {unit}", flush=True)
        self._write({"facts": {what: {"value": value, "unit": unit, **predicted}}})

    def result(self, name: str, found: dict[str, Any]) -> None:
        """A table with a form of its own."""
        self._write({"results": {name: found}})

    def check(self, right: bool, fault: str) -> bool:
        """Unless it is right, the part has failed, and says so at its end; whether it is right."""
        if not right:
            print(f"WRONG: {fault}", flush=True)
            self.failures.append(fault)
        return right

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """An error in this block ends only the block. At its end the record gets what was wrong."""
        before = len(self.failures)
        try:
            yield
        except Exception as error:
            self.check(False, f"{what}: {type(error).__name__}: {error}"[:500])
        wrong = self.failures[before:]
        told = {"outcome": "failed" if wrong else "done", "why": "; ".join(wrong)}
        self._write({"attempts": {what: told}})

    def end(self, outcome: str, why: str = "") -> None:
        """What came of the part: "done", "failed" or "skipped", and why."""
        self._write({"outcome": outcome, "why": why})

    def _write(self, message: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(message) + "\n")
