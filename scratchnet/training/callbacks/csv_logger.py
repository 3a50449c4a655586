"""The history as a CSV file."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import FileIO, StringIO
from typing import TYPE_CHECKING

from scratchnet.errors import SettingError
from scratchnet.files import check_place, name_of, write_whole, writing
from scratchnet.replacing import check_replaceable, is_log
from scratchnet.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from pathlib import Path


class CSVLogger(Callback):
    """Writes one line per epoch: its number, from 0, and the entries of `learner.history`.

    The figures have all their digits: Python's `float` reads exactly the same numbers. So does
    `pandas.read_csv(path)` in pandas 3.1; in pandas 2, add `float_precision="round_trip"`. Each line is
    in the file when its epoch has ended. A line that the disk has no room for is not written in part.

    Args:
        path: the file. It is replaced by the whole history, including earlier epochs. So the file of a
            resumed run equals that of a run that never stopped.
        append: keep the content of the file, and add the epochs of this `fit`. If a run was killed and
            resumed, it repeats the epochs after its last checkpoint, and the file has them twice.
        overwrite: whether the file may replace one that is not a log of this class.

    Raises:
        SettingError: `path` is not a path, or both `append` and `overwrite` are given. In `fit`, before
            training: the file cannot be written, its content is not a log, or, with `append`, it has
            other columns.
    """

    only_writes = True

    def __init__(self, path: str | Path, append: bool = False, overwrite: bool = False) -> None:
        name_of(path, "CSVLogger")
        if append and overwrite:
            raise SettingError("CSVLogger: give append or overwrite, and not both")
        self.path, self.append, self.overwrite = path, append, overwrite
        self._file: FileIO | None = None

    def files(self) -> tuple[str | Path, ...]:
        """The paths of the files that it writes."""
        return (self.path,)

    def check(self) -> None:
        """Check that the file can be written.

        Raises:
            SettingError: it cannot; or its content is not a log, or has other columns to append to.
        """
        path = self._file_itself()
        with writing(f"CSVLogger: {self.path}"):
            check_place(path)
            check_replaceable(path, "log", is_log, self.overwrite)
            if path.exists() and path.stat().st_size:
                path.open("ab").close()
                if self.append:
                    self._check(path.read_bytes())

    def on_train_begin(self) -> None:
        """Open the file.

        Raises:
            SettingError: it cannot be written.
        """
        history, path = self.learner.history, self._file_itself()
        with writing(f"CSVLogger: {self.path}"):
            if not (self.append and path.exists() and path.stat().st_size):
                before = () if self.append else enumerate(zip(*history.values(), strict=True))
                content = self._header() + "".join(_row(epoch, figures) for epoch, figures in before)
                write_whole(path, lambda file: file.write(content.encode()))
            self._file = path.open("ab", buffering=0)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Write a line, completely or not at all.

        Raises:
            SettingError: the line cannot be written, for example because the disk is full.
        """
        if self._file:
            with writing(f"CSVLogger: {self.path}"):
                _append(self._file, _row(epoch, logs.values()).encode())

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file:
            with writing(f"CSVLogger: {self.path}"):
                file.close()

    def _file_itself(self) -> Path:
        from pathlib import Path

        return Path(os.path.realpath(self.path))  # follow a link

    def _header(self) -> str:
        header = StringIO()
        csv.writer(header, lineterminator="\n").writerow(("epoch", *self.learner.history))
        return header.getvalue()

    def _check(self, content: bytes) -> None:
        header = self._header()
        first, last = content.partition(b"\n")[0], content[-1:]
        if first.rstrip(b"\r") != header.strip("\n").encode():
            told = first.decode(errors="replace").strip()
            raise SettingError(
                f"CSVLogger: {self.path}: its columns are {told[:80]!r}, and not {header.strip()!r}; "
                "name another file"
            )
        if last != b"\n":
            raise SettingError(
                f"CSVLogger: {self.path}: its last line has no end; complete it, or remove it"
            )


def _append(file: FileIO, line: bytes) -> None:
    """Write a line to the end of an unbuffered file; after an error, cut off what was written of it."""
    whole = file.seek(0, os.SEEK_END)
    try:
        while line:
            line = line[file.write(line) :]
    except BaseException:
        with suppress(OSError):
            file.truncate(whole)
        raise


def _row(epoch: int, figures: Iterable[float]) -> str:
    """Return the shortest text that gives the same float again, which is its `repr`."""
    return ",".join((str(epoch), *map(repr, figures))) + "\n"
