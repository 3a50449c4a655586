"""Runs mutants against the tests of their room."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.mutants.mutate import Mutant
from benchmarks.mutants.rooms import Room
from benchmarks.mutants.tree import Outcome, Tree

_CLEAN_LIMIT = 1800.0
_TIMES, _MORE = 5, 20
_MOST_UNRELIABLE = 3


class Verdict(NamedTuple):
    """What became of a mutant."""

    how: str
    """killed, timed out, or survived."""
    by: str
    """The test that failed, if it is known."""


class Judge:
    """The tests of one room, which pass on the code as it is.

    A test that fails without a mutant proves nothing. It is left out, and noted.

    Args:
        tree: the copy of the repository.
        room: the files and their tests.

    Attributes:
        unreliable: the names of the tests that were left out.

    Raises:
        RuntimeError: more than three tests fail without a mutant.
    """

    def __init__(self, tree: Tree, room: Room) -> None:
        self._tree = tree
        self.unreliable: list[str] = []
        self._alone: set[str] = set()
        notes = tree.run(room.tests, _CLEAN_LIMIT, lines=True).notes
        seconds: dict[str, float] = notes.get("seconds", {})
        self._tests = sorted(seconds, key=lambda name: seconds[name])
        self._lines: dict[tuple[str, int], set[str]] = defaultdict(set)
        for file, line, tests in notes.get("lines", ()):
            self._lines[file, line] |= set(tests)
        self._limit = _CLEAN_LIMIT
        while (clean := self._run(self._tests)).how != "passed":
            self._leave_out(clean)
        self._limit = _TIMES * clean.seconds + _MORE

    def judge(self, mutant: Mutant) -> Verdict:
        """Run a mutant against the tests that execute its lines; if it survives, against the others.

        Args:
            mutant: a fault in one of the room's files.

        Raises:
            RuntimeError: more than three tests fail without a mutant.
        """
        path = self._tree.root / mutant.file
        lines = path.read_bytes()[mutant.start : mutant.end].count(b"\n") + 1
        places = [(str(path), mutant.line + more) for more in range(lines)]
        near = {test for place in places for test in self._lines.get(place, ())}
        for is_near in (True, False):
            while chosen := [name for name in self._tests if (name in near) is is_near]:
                with self._tree.planted(mutant):
                    outcome = self._run(chosen)
                if outcome.how == "timed out":
                    return Verdict("timed out", "")
                if outcome.how == "passed":
                    break
                by = next(iter(outcome.notes.get("failed", ())), "")
                if not by or by in self._alone or (clean := self._run([by])).how == "passed":
                    self._alone.add(by)
                    return Verdict("killed", by)
                self._leave_out(clean)
        return Verdict("survived", "")

    def _run(self, chosen: Sequence[str]) -> Outcome:
        files = {name.partition("::")[0] for name in chosen}
        return self._tree.run(sorted(files), self._limit, chosen)

    def _leave_out(self, clean: Outcome) -> None:
        """Leave out the test that failed without a mutant."""
        failed = clean.notes.get("failed", [])
        if not failed or len(self.unreliable) == _MOST_UNRELIABLE:
            raise RuntimeError(f"tests fail without a mutant: {clean.output[-3000:]}")
        self.unreliable += failed
        self._tests = [name for name in self._tests if name not in failed]
