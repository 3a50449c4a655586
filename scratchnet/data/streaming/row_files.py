"""Rows of files that are read range by range: NumPy's .npz and .npy, IDX, Parquet and Arrow.

Reading forward is fast in all of them. A compressed file is unpacked from its beginning up to the row
that is asked for first; nothing of that stays in memory.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np

from backends.errors import some_of
from scratchnet.data.dataset import explained
from scratchnet.data.npy import MOST_AXES, MOST_PACKED, member, read_header
from scratchnet.data.parquet import ParquetDataset
from scratchnet.data.readers import check_file
from scratchnet.data.samples import PARTS, as_float32, check_numbers
from scratchnet.errors import DataError

PAIRS = {
    "npz": (re.compile(r".+\.npz"), ""),
    "npy": (re.compile(r"(.*)inputs\.npy"), r"\1targets.npy"),
    "idx": (re.compile(r"(.*)images(.)idx\d-ubyte(\.gz)?"), r"\1labels\2idx1-ubyte\3"),
    "parquet": (re.compile(r".+\.(parquet|arrow|feather)"), ""),
}
"""For each format: the name of a file with inputs, and that of its file of targets, if they have two."""

_IDX = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_PART = 1 << 20  # bytes that are read at a time
_FAULTS = (
    ValueError, KeyError, EOFError, NotImplementedError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
"""Errors of NumPy and of unpacking."""


Columns: TypeAlias = tuple[Any, Sequence[str] | None]
"""The target or targets of a table, and its features; see `ParquetDataset`."""


class Form(NamedTuple):
    """What a row of an array is, as a loader gives it: float64 in a file becomes float32."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        """The shape and the dtype."""
        return f"{self.shape} {self.dtype}"


class RowFile(ABC):
    """A file with inputs and maybe targets, or a file of each. It stays open until `close`.

    Attributes:
        rows: the number of rows.
        columns: the target or targets and the features, of a table.
    """

    rows: int
    columns: Columns = (None, None)
    _held: ExitStack

    @property
    @abstractmethod
    def forms(self) -> tuple[Form, ...]:
        """Of a row of the inputs, and of the targets if there are any."""

    @abstractmethod
    def read(self, first: int, out: Sequence[np.ndarray]) -> None:
        """Read rows from `first` on into arrays of inputs and of targets, as many as these have.

        Raises:
            DataError: the file is damaged, or a number is NaN or infinite. The message names the row.
        """

    @abstractmethod
    def check_whole(self) -> None:
        """Raise `DataError` if a file has another length than its header says. It may read all of it."""

    def close(self) -> None:
        """Close the files."""
        self._held.close()

    def __enter__(self) -> Self:
        """Return the open file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files."""
        self.close()


def open_rows(kind: str, paths: Sequence[Path], columns: Columns = (None, None)) -> RowFile:
    """Open a file, or a file of inputs and one of targets.

    Args:
        kind: a key of `PAIRS`.
        paths: the file, or the file of the inputs and that of the targets.
        columns: the target or targets and the features of a table; see `ParquetDataset`.

    Raises:
        DataNotFoundError: a file is not there.
        DataError: a file cannot be read, or its content is of another kind.
    """
    return _Table(paths[0], columns) if kind == "parquet" else _Arrays(kind, paths)


class _Arrays(RowFile):
    """Files of NumPy or IDX."""

    def __init__(self, kind: str, paths: Sequence[Path]) -> None:
        with ExitStack() as held:
            self._arrays = [array for path in paths for array in _opened(kind, path, held)]
            self.rows = self._arrays[0].rows
            if any(each.rows != self.rows for each in self._arrays):
                counts = " and ".join(
                    f"{each.rows} {n}" for n, each in zip(PARTS, self._arrays, strict=False)
                )
                raise DataError(f"{paths[-1]}: there are {counts}; their numbers must be the same")
            self._held = held.pop_all()

    @property
    def forms(self) -> tuple[Form, ...]:
        return tuple(each.form for each in self._arrays)

    def read(self, first: int, out: Sequence[np.ndarray]) -> None:
        for array, rows in zip(self._arrays, out, strict=True):
            array.read(first, rows)

    def check_whole(self) -> None:
        for each in self._arrays:
            each.check_whole()


class _Array:
    """An array in a stream, whose first value comes next.

    Args:
        path: for messages.
        stream: the open file, maybe unpacked while it is read.
        dtype: of the numbers in the file.
        shape: (rows, …).
    """

    def __init__(self, path: Path, stream: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        nothing = np.empty(0, dtype)
        check_numbers(str(path), nothing)
        if not shape or not math.prod(shape):
            raise DataError(
                f"{path}: shape {shape} has no rows with numbers; the first axis counts rows"
            )
        self.rows, self.form = shape[0], Form(as_float32(nothing).dtype, shape[1:])
        self._path, self._stream, self._dtype, self._begin = path, stream, dtype, stream.tell()
        self._size = dtype.itemsize * math.prod(shape[1:])
        if self.rows * self._size > path.stat().st_size * MOST_PACKED:
            raise self._other_length("fewer")

    def read(self, first: int, out: np.ndarray) -> None:
        step = max(1, _PART // self._size)
        with explained(self._path, *_FAULTS):
            self._stream.seek(self._begin + first * self._size)
            for start in range(0, len(out), step):
                part = out[start : start + step]
                content = self._stream.read(len(part) * self._size)
                if len(content) < len(part) * self._size:
                    row = first + start + len(content) // self._size
                    raise DataError(f"{self._path}: ends within row {row}; copy it again")
                part[...] = as_float32(np.frombuffer(content, self._dtype)).reshape(part.shape)
                if part.dtype.kind == "f" and not (finite := np.isfinite(part)).all():
                    row, *place = np.argwhere(~finite)[0].tolist()
                    raise DataError(
                        f"{self._path}: row {first + start + row} has {part[row, *place]}"
                        f"{f' at {tuple(place)}' if place else ''}; correct it, or remove the row"
                    )

    def check_whole(self) -> None:
        with explained(self._path, *_FAULTS):
            self._stream.seek(self._begin + self.rows * self._size - 1)
            rest = len(self._stream.read(2))  # what comes after may be without an end
        if rest != 1:
            raise self._other_length("more" if rest else "fewer")

    def _other_length(self, much: str) -> DataError:
        expected = self._begin + self.rows * self._size
        return DataError(
            f"{self._path}: has {much} bytes, unpacked, than the {expected} of its header; copy it again"
        )


class _Table(RowFile):
    """A Parquet, Arrow or Feather file."""

    def __init__(self, path: Path, columns: Columns) -> None:
        target, features = columns
        self._data = ParquetDataset(path, target, features)
        self._data.kept = 2  # rows are read forward
        self._held = ExitStack()
        self.rows, self.columns = len(self._data), (target, self._data.features)

    @property
    def forms(self) -> tuple[Form, ...]:
        parts = self._data.batch(np.zeros(1, np.int64))
        return tuple(Form(each.dtype, each.shape[1:]) for each in parts if each is not None)

    def read(self, first: int, out: Sequence[np.ndarray]) -> None:
        step = self._data.window or 1
        for start in range(0, len(out[0]), step):
            places = np.arange(start, min(start + step, len(out[0])))
            for rows, part in zip(out, self._data.batch(first + places), strict=False):
                rows[places] = part

    def check_whole(self) -> None:
        pass  # the end of the file says what is in it, so a shorter one cannot be opened


def _opened(kind: str, path: Path, held: ExitStack) -> list[_Array]:
    """Open a file of NumPy or IDX; `held` closes it."""
    with explained(path, *_FAULTS):
        check_file(path)
        if kind == "idx":
            return [_idx(path, held.enter_context(_unpacked(path)))]
        if kind == "npy":
            return [_npy(path, held.enter_context(path.open("rb")))]
        archive = held.enter_context(zipfile.ZipFile(path))
        return [_npy(path, held.enter_context(each)) for each in _members(path, archive)]


def _members(path: Path, archive: zipfile.ZipFile) -> Iterator[Any]:
    """Yield the open inputs of an .npz file, and targets if there are any."""
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    if PARTS[0] not in names:
        raise DataError(
            f"{path}: its arrays are {some_of(map(repr, names), 8) or 'none'}; save them with "
            "numpy.savez(path, inputs=…, targets=…)"
        )
    yield from (archive.open(member(path, archive, name)) for name in PARTS[:2] if name in names)


def _npy(path: Path, stream: Any) -> _Array:
    shape, columns_first, dtype = read_header(stream)
    if columns_first and len(shape) > 1:
        raise DataError(
            f"{path}: is in Fortran's order, so that a row lies in many places; save it with "
            "numpy.ascontiguousarray"
        )
    return _Array(path, stream, dtype, shape)


def _idx(path: Path, stream: Any) -> _Array:
    magic = stream.read(4)
    axes = stream.read(4 * magic[3]) if len(magic) == 4 else b""
    if magic[:2] != b"\0\0" or len(magic) < 4 or magic[2] not in _IDX or len(axes) < 4 * magic[3]:
        raise DataError(f"{path}: begins with 0x{magic.hex()}; it is no IDX file")
    if magic[3] > MOST_AXES:
        raise DataError(f"{path}: has {magic[3]} axes; NumPy's arrays have at most {MOST_AXES}")
    return _Array(path, stream, np.dtype(_IDX[magic[2]]), struct.unpack(f">{magic[3]}I", axes))


def _unpacked(path: Path) -> Any:
    """Open a file, packed with gzip or plain, whatever its name."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")
