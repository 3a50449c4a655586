"""Warnings of several processes: rank 0 shows each of them once."""

from __future__ import annotations

import warnings
from typing import TextIO

from scratchnet.training.parallel.group import Group


class Warned:
    """Collects the warnings of this process, until `stop`. On rank 0 they are shown at once too.

    Args:
        rank: the number of this process.
    """

    def __init__(self, rank: int) -> None:
        self._rank, self._former = rank, warnings.showwarning
        self._found: dict[tuple[str, str], tuple[str, int]] = {}
        warnings.showwarning = self._take

    def _take(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        self._found.setdefault((category.__name__, str(message)), (filename, lineno))
        if self._rank == 0:
            self._former(message, category, filename, lineno, file, line)

    def stop(self) -> None:
        """Let warnings be shown as before."""
        if warnings.showwarning == self._take:
            warnings.showwarning = self._former

    def show(self) -> None:
        """Show what was not shown yet. The job is about to end, so rank 0 cannot do it."""
        if self._rank:
            self._show(self._rank, self._found)

    def gather(self, group: Group) -> None:
        """Let rank 0 show what the others found and it did not. All ranks call it."""
        mine = [[*what, *where] for what, where in self._found.items()]
        for rank, given in enumerate(group.gather_json(mine, "the warnings")):
            found = {(name, text): (file, line) for name, text, file, line in given}
            if self._rank == 0 and rank:
                self._show(rank, {what: found[what] for what in found.keys() - self._found.keys()})
                self._found |= found

    def _show(self, rank: int, found: dict[tuple[str, str], tuple[str, int]]) -> None:
        for (name, text), (file, line) in found.items():
            kind = type(name, (Warning,), {})
            self._former(f"rank {rank}: {text}", kind, file, line)
