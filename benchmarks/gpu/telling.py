"""How a part reports what it finds: at once, so that nothing is lost if it ends early."""

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
    """Appends one JSON line for each result to a file, which the parent process reads.

    It is a file, not a pipe or the standard output, because libraries print what they like, and a tool
    that starts the part may close file descriptors.

    Attributes:
        failures: what could not be measured, and what is wrong.
    """

    def __init__(self, path: Path) -> None:
        """Take the file to append to."""
        self.path = path
        self.failures: list[str] = []

    def figure(self, group: str, what: str, seconds: Sequence[float], **facts: Any) -> None:
        """Report a time: its median and spread, and the prediction of the model."""
        self.keep(figure(group, what, seconds, **facts))

    def keep(self, found: Figure) -> None:
        """Report a figure that was made elsewhere."""
        what = found["what"]
        predicted = {"predicted": SECONDS[what]} if what in SECONDS else {}
        print(f"{what}: {duration(found['median'])}", flush=True)
        self._write({"figure": found | predicted})

    def fact(self, what: str, value: float | str, unit: str = "") -> None:
        """Report a number that is not a time."""
        predicted = {"predicted": FACTS[what]} if what in FACTS else {}
        print(f"{what}: {value} {unit}", flush=True)
        self._write({"facts": {what: {"value": value, "unit": unit, **predicted}}})

    def result(self, name: str, found: dict[str, Any]) -> None:
        """Report a table with its own form."""
        self._write({"results": {name: found}})

    def check(self, right: bool, fault: str) -> bool:
        """Return whether it is right. If not, the part fails, and says so at its end."""
        if not right:
            print(f"WRONG: {fault}", flush=True)
            self.failures.append(fault)
        return right

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Let an error end only this block. At its end, the record gets the error."""
        before = len(self.failures)
        try:
            yield
        except Exception as error:
            self.check(False, f"{what}: {type(error).__name__}: {error}"[:500])
        wrong = self.failures[before:]
        told = {"outcome": "failed" if wrong else "done", "why": "; ".join(wrong)}
        self._write({"attempts": {what: told}})

    def end(self, outcome: str, why: str = "") -> None:
        """Return the outcome of the part: "done", "failed" or "skipped", and the reason."""
        self._write({"outcome": outcome, "why": why})

    def _write(self, message: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(message) + "\n")
