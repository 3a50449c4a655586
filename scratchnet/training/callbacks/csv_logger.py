"""The history as a CSV file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from scratchnet.errors import SettingError
from scratchnet.files import check_place, name_of, write_whole
from scratchnet.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from pathlib import Path


class CSVLogger(Callback):
    """Writes a line an epoch: its number, from 0, and the entries of `learner.history`.

    The figures have all their digits: Python's `float` makes the very same numbers of them, and so does
    `pandas.read_csv(path)` in pandas 3.1; pandas 2 wants `float_precision="round_trip"` for that. Each
    line is in the file when its epoch has been told.

    Args:
        path: the file. What was in it is replaced by the whole history, also that of the epochs before,
            so that the file of a training that was resumed is that of one that never stopped.
        append: keep what is in the file, and write the epochs of this `fit` after it. A training that
            was killed and resumed trains the epochs after its last checkpoint again, and they are there
            twice.

    Raises:
        SettingError: the path is none. In `fit`, before the training: the file cannot be written; what
            is in it is no log, or is to be kept and has other columns.
    """

    def __init__(self, path: str | Path, append: bool = False) -> None:
        """See the class."""
        name_of(path, "CSVLogger")
        self.path, self.append = path, append
        self._file: IO[str] | None = None

    def files(self) -> tuple[str | Path, ...]:
        """Its own."""
        return (self.path,)

    def check(self) -> None:
        """See that it can be written.

        Raises:
            SettingError: it cannot; or what is in it is no log, or one of other columns to append to.
        """
        path = self._file_itself()
        with self._told():
            check_place(path)
            if path.exists() and path.stat().st_size:
                path.open("ab").close()
                self._check(path.read_bytes())

    def on_train_begin(self) -> None:
        """Open the file.

        Raises:
            SettingError: it cannot be written.
        """
        history, path = self.learner.history, self._file_itself()
        with self._told():
            if not (self.append and path.exists() and path.stat().st_size):
                before = () if self.append else enumerate(zip(*history.values(), strict=True))
                content = self._header() + "".join(_row(epoch, figures) for epoch, figures in before)
                write_whole(path, lambda file: file.write(content.encode()))
            self._file = path.open("a", encoding="ascii", newline="")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Write a line.

        Raises:
            SettingError: the disk is full, or the like.
        """
        if self._file:
            with self._told():
                self._file.write(_row(epoch, logs.values()))
                self._file.flush()

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file:
            with self._told():
                file.close()

    def _file_itself(self) -> Path:
        from pathlib import Path

        return Path(os.path.realpath(self.path))  # a link is followed

    def _header(self) -> str:
        return ",".join(("epoch", *self.learner.history)) + "\n"

    def _check(self, content: bytes) -> None:
        if not content.startswith(b"epoch,"):
            raise SettingError(
                f"CSVLogger: {self.path}: is there already and is no log; name another file"
            )
        if not self.append:
            return
        header = self._header()
        first, last = content.partition(b"\n")[0] + b"\n", content[-1:]
        if first.replace(b"\r", b"") != header.encode():
            told = first.decode(errors="replace").strip()
            raise SettingError(
                f"CSVLogger: {self.path}: its columns are {told[:80]!r}, and not {header.strip()!r}; "
                "name another file"
            )
        if last != b"\n":
            raise SettingError(
                f"CSVLogger: {self.path}: its last line has no end; complete it, or remove it"
            )

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SettingError(f"CSVLogger: {self.path}: cannot be written: {error.strerror}") from error


def _row(epoch: int, figures: Iterable[float]) -> str:
    """A float's `repr` is the shortest that gives the same float again."""
    return ",".join((str(epoch), *map(repr, figures))) + "\n"
