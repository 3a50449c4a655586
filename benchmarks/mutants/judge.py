"""Runs mutants against the tests of their room."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.mutants.mutate import Mutant
from benchmarks.mutants.rooms import Room
from benchmarks.mutants.tree import Outcome, Tree

_CLEAN_LIMIT = 1800.0
_TIMES = 5
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
        patience: the seconds by which a run may exceed five times its usual time.

    Attributes:
        unreliable: the names of the tests that were left out.

    Raises:
        RuntimeError: more than three tests fail without a mutant.
    """

    def __init__(self, tree: Tree, room: Room, patience: float = 20) -> None:
        self._tree, self._patience = tree, patience
        self.unreliable: list[str] = []
        self._alone: set[str] = set()
        self._seconds: dict[str, float] = {}
        notes = tree.run(room.tests, _CLEAN_LIMIT, lines=True).notes
        self._processes = set(notes.get("processes", ()))
        self._lines: dict[tuple[str, int], set[str]] = defaultdict(set)
        for file, line, tests in notes.get("lines", ()):
            self._lines[file, line] |= set(tests)
        seconds: dict[str, float] = notes.get("seconds", {})
        self._tests = sorted(seconds, key=lambda name: seconds[name])
        while (clean := self._run(self._tests)).how != "passed":
            self._leave_out(clean)
        self._seconds = clean.notes["seconds"]

    def judge(self, mutant: Mutant) -> Verdict:
        """Run a mutant against the tests that execute its lines, or start processes: the fastest first.

        A line that only an import executes counts for all tests.

        Args:
            mutant: a fault in one of the room's files.

        Raises:
            RuntimeError: more than three tests fail without a mutant.
        """
        path = self._tree.root / mutant.file
        lines = path.read_bytes()[mutant.start : mutant.end].count(b"\n") + 1
        places = [(str(path), mutant.line + more) for more in range(lines)]
        near = {test for place in places for test in self._lines.get(place, ())}
        if near:
            near |= self._processes
        while chosen := [name for name in self._tests if not near or name in near]:
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
        """Run some tests. Once their times are known, the limit is derived from these."""
        files = {name.partition("::")[0] for name in chosen}
        seconds = sum(self._seconds.get(name, 0) for name in chosen)
        limit = _TIMES * seconds + self._patience if self._seconds else _CLEAN_LIMIT
        return self._tree.run(sorted(files), limit, chosen)

    def _leave_out(self, clean: Outcome) -> None:
        """Leave out the test that failed without a mutant."""
        failed = clean.notes.get("failed", [])
        if not failed or len(self.unreliable) == _MOST_UNRELIABLE:
            raise RuntimeError(f"tests fail without a mutant: {clean.output[-3000:]}")
        self.unreliable += failed
        self._tests = [name for name in self._tests if name not in failed]
