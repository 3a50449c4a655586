"""Runs mutants against the tests of their room."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from benchmarks.mutants.mutate import Mutant
from benchmarks.mutants.rooms import Room
from benchmarks.mutants.tree import Outcome, Tests, Tree

_TIMES = 5
_SLOW = 0.3
"""Seconds of a test that runs after the others."""
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
        patience: the seconds by which a test may exceed five times its usual time.

    Attributes:
        unreliable: the names of the tests that were left out.
    """

    def __init__(self, tree: Tree, room: Room, patience: float = 20) -> None:
        self._tree, self._room, self._patience = tree, room, patience
        self.unreliable: list[str] = []
        self._alone: set[str] = set()
        self._tests: list[str] = []
        self._processes: set[str] = set()
        self._seconds: dict[str, float] = {}
        self._lines: dict[tuple[str, int], set[str]] = defaultdict(set)

    def judge(self, mutants: Iterable[Mutant]) -> Iterator[tuple[Mutant, Verdict]]:
        """Run each mutant against the tests that execute its lines or start processes.

        If only an import executes the lines, all tests of the room run.

        Raises:
            RuntimeError: more than three tests fail without a mutant.
        """
        with self._tree.tests(self._room.tests, _TIMES * self._patience) as tests:
            first = tests.run({}, lines=bool(self._room.files))
            for file, line, names in first.notes.get("lines", ()):
                self._lines[file, line] |= set(names)
            self._processes = set(first.notes.get("processes", ()))
            self._seconds = first.notes.get("seconds", {})
            self._tests = _in_order(self._seconds)
            suspects = first.notes.get("failed", []) if self._seconds else [""]
            while suspects and (clean := tests.run(self._limits(suspects))).how != "passed":
                self._leave_out(clean)
                suspects = [name for name in suspects if name in self._tests]
            for mutant in mutants:
                yield mutant, self._verdict(tests, mutant)

    def _verdict(self, tests: Tests, mutant: Mutant) -> Verdict:
        path = self._tree.root / mutant.file
        lines = path.read_bytes()[mutant.start : mutant.end].count(b"\n") + 1
        places = [(str(path), mutant.line + more) for more in range(lines)]
        near = {name for place in places for name in self._lines.get(place, ())}
        ran_already = "" in near  # by an import, whose results may be kept
        near -= {""}
        if near:
            near |= self._processes
        while chosen := [name for name in self._tests if not near or name in near]:
            with self._tree.planted(mutant) as exchanged:
                if exchanged and not ran_already:
                    outcome = tests.run(self._limits(chosen), exchanged)
                else:
                    files = sorted({name.partition("::")[0] for name in chosen})
                    with self._tree.tests(files, self._patience) as fresh:
                        outcome = fresh.run(self._limits(chosen))
            if outcome.how == "timed out":
                return Verdict("timed out", "")
            if outcome.how == "passed":
                break
            by = next(iter(outcome.notes.get("failed", ())), "")
            if not by or by in self._alone or (clean := tests.run(self._limits([by]))).how == "passed":
                self._alone.add(by)
                return Verdict("killed", by)
            self._leave_out(clean)
        return Verdict("survived", "")

    def _limits(self, chosen: Sequence[str]) -> dict[str, float]:
        """Return the seconds that each test may take."""
        return {name: _TIMES * self._seconds[name] + self._patience for name in chosen}

    def _leave_out(self, clean: Outcome) -> None:
        """Leave out the test that failed without a mutant."""
        failed = clean.notes.get("failed", [])
        if not failed or len(self.unreliable) == _MOST_UNRELIABLE:
            raise RuntimeError(f"tests fail without a mutant: {clean.output}")
        self.unreliable += failed
        self._tests = [name for name in self._tests if name not in failed]


def _in_order(seconds: dict[str, float]) -> list[str]:
    """Return first one case of each fast test, then a second one, and so on; slow tests come last."""
    cases: Counter[str] = Counter()
    places = {}
    for name in sorted(seconds, key=lambda name: seconds[name]):
        test = name.partition("[")[0]
        places[name] = seconds[name] > _SLOW, cases[test], seconds[name]
        cases[test] += 1
    return sorted(places, key=lambda name: places[name])
