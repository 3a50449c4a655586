"""A checkpoint may be written by the training run that wrote it last, or that has resumed it.

A file belongs to a run by its content, which is known by its SHA-256, and not by its path.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from backends.errors import printable
from scratchnet.errors import CheckpointError
from scratchnet.files import writing
from scratchnet.locked import locked
from scratchnet.training.checkpoint import TRAINING, facts_of


class Ownership:
    """What a training run knows of the files that it may write."""

    def __init__(self) -> None:
        self._digests: dict[str, set[str]] = {}
        self._last = ""
        self._locked = set[str]()

    def note(self, path: str | os.PathLike[str], digest: str) -> None:
        """Note that the run has written this content."""
        self._digests[os.path.realpath(path)], self._last = {digest}, digest

    def go_on(self, path: str | os.PathLike[str], digest: str) -> None:
        """Note that the run has resumed this content. Its earlier files now belong to another run."""
        self._digests.clear()
        self.note(path, digest)

    def begin(self, path: str | os.PathLike[str], digest: str) -> None:
        """Note that the run writes this content now: after an error, the file may have it or not."""
        self._digests.setdefault(os.path.realpath(path), set()).add(digest)

    def check(self, path: str | os.PathLike[str]) -> None:
        """Check that the file is missing or empty, or that its content is from this run.

        Raises:
            CheckpointError: it is another file.
        """
        place = os.path.realpath(path)
        if not os.path.exists(place):
            return
        if not os.path.isfile(place):
            raise CheckpointError(f"{path}: is a folder, a pipe or a device; name a file")
        if not os.path.getsize(place):
            return
        kind, digest = facts_of(place) or ("file of another program", "")
        if kind != TRAINING:
            told = printable(kind) or "file of arrays"
            raise CheckpointError(f"{path}: is there already, a {told}; name another file, or remove it")
        if digest not in {*self._digests.get(place, ()), self._last}:
            theirs = "is there already, of another training"
            if place in self._digests:
                theirs = "is now of another training, which has gone on from it or has replaced it"
            raise CheckpointError(
                f"{path}: {theirs}; go on from it with resume(path), remove it, or replace it with "
                "save(path, overwrite=True)"
            )

    @contextmanager
    def writes(self, path: str | os.PathLike[str]) -> Iterator[None]:
        """Keep other training runs from writing the file meanwhile.

        Raises:
            CheckpointError: another one writes it now, or the folder cannot be written.
        """
        place = os.path.realpath(path)
        if place in self._locked:
            yield
            return
        with ExitStack() as until_the_end:
            with writing(path, CheckpointError):
                until_the_end.enter_context(locked(place))
            self._locked.add(place)
            until_the_end.callback(self._locked.discard, place)
            yield
