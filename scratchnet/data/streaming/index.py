"""The index of a data set in many files: the name, the rows and the digest of each file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from scratchnet.data import readers
from scratchnet.data.npy import MOST_AXES
from scratchnet.data.samples import PARTS
from scratchnet.data.streaming.row_files import PAIRS, Columns, Form, RowFile, open_rows
from scratchnet.errors import DataError, DataNotFoundError, SettingError
from scratchnet.files import digest_of, name_of, sample_of, write_whole, writing
from scratchnet.replacing import check_replaceable

NAME = "index.json"
_VERSION = 1
_MOST_BYTES = 1 << 26  # of an index; so it has about 300,000 files
_MOST = 1 << 40  # rows of a file; so their sum is below 2^63
_DTYPES = [np.dtype(code).name for code in "?bhilqBHILQefd"]
_MAKE = "make the index again: scratchnet data index"


class Entry(NamedTuple):
    """A file of the index, or a file of inputs and one of targets."""

    names: tuple[str, ...]
    """Relative to the index, with / between folders."""
    rows: int
    digests: tuple[str, ...]
    """What `scratchnet.files.sample_of` returns for each file."""


class FileIndex(NamedTuple):
    """An index of files that hold the rows of one data set.

    Attributes:
        path: the index itself, a JSON file.
        kind: the files' format, a key of `PAIRS`.
        columns: the target or targets, and the features, of tables.
        forms: of a row of the inputs, and of the targets if there are any.
        entries: the files, sorted by name.
    """

    path: Path
    kind: str
    columns: Columns
    forms: tuple[Form, ...]
    entries: tuple[Entry, ...]

    @property
    def rows(self) -> np.ndarray:
        """The number of rows of each file."""
        return np.array([each.rows for each in self.entries], np.int64)

    @property
    def row_bytes(self) -> int:
        """The size of a row in memory."""
        return sum(each.dtype.itemsize * math.prod(each.shape) for each in self.forms)

    def empty(self, rows: int) -> list[np.ndarray]:
        """Return arrays for so many rows: inputs, and targets if there are any."""
        return [np.empty((rows, *each.shape), each.dtype) for each in self.forms]

    def digest(self) -> str:
        """Return a SHA-256 of all that the index says. The place of the files does not matter."""
        return digest_of({}, {"index": json.dumps(self.document(), sort_keys=True)})

    def open(self, number: int) -> RowFile:
        """Open a file, and check that it is the one that the index describes.

        Raises:
            DataNotFoundError: it is not there.
            DataError: it has other rows or another digest, or cannot be read.
        """
        entry = self.entries[number]
        paths = [self.path.parent / name for name in entry.names]
        fix = f"restore the file, or {_MAKE} {self.path.parent}"
        for path, digest in zip(paths, entry.digests, strict=True):
            try:
                readers.check_file(path)
                found = sample_of(path)
            except FileNotFoundError as error:
                raise DataNotFoundError(
                    f"{path}: no such file, but {self.path} has it; {fix}"
                ) from error
            except OSError as error:
                raise DataError(f"{path}: cannot be read: {error.strerror}") from error
            if found != digest:
                raise DataError(f"{path}: is not the file of which {self.path} was made; {fix}")
        file = open_rows(self.kind, paths, self.columns)
        if file.rows != entry.rows:
            file.close()
            raise DataError(
                f"{paths[0]}: has {file.rows} rows, but {self.path} says {entry.rows}; {fix}"
            )
        if file.forms != self.forms:
            file.close()
            raise DataError(
                f"{paths[0]}: a row is {_said(file.forms)}, but {self.path} says "
                f"{_said(self.forms)}; {fix}"
            )
        return file

    def document(self) -> dict[str, Any]:
        """Return what the JSON file holds."""
        forms = zip(PARTS, self.forms, strict=False)
        return {
            "version": _VERSION,
            "kind": self.kind,
            "target": self.columns[0],
            "features": self.columns[1],
            **{name: {"dtype": str(each.dtype), "shape": list(each.shape)} for name, each in forms},
            "files": [
                {"names": list(each.names), "rows": each.rows, "digests": list(each.digests)}
                for each in self.entries
            ],
        }


def read_index(path: str | os.PathLike[str]) -> FileIndex:
    """Read an index.

    Raises:
        DataNotFoundError: there is no such file.
        DataError: it is no index, or of a newer version, or has more than 67 MB.
        SettingError: the path is none.
    """
    path = Path(name_of(path, "StreamingDataLoader"))
    fix = f"make it with: scratchnet data index {path.parent}"
    content = readers.read_bytes(path, readers.Form("an index", fix, _MOST_BYTES))
    try:
        document = json.loads(content.decode())
        if document["version"] != _VERSION:
            raise DataError(
                f"{path}: was written by another scratchnet: its version is {document['version']!r}, "
                f"and this release knows {_VERSION}; update scratchnet, or {_MAKE} {path.parent}"
            )
        forms = tuple(
            Form(_dtype(document[name]["dtype"]), _shape(document[name]["shape"]))
            for name in PARTS[: 1 + (PARTS[1] in document)]
        )
        entries = tuple(
            Entry(
                _names(each["names"], len(each["digests"])), _count(each["rows"]), tuple(each["digests"])
            )
            for each in document["files"]
        )
        if not entries or document["kind"] not in PAIRS:
            raise ValueError("no files of a known kind")
        columns = document["target"], document["features"]
        if any(each is not None and not _are_text(each) for each in columns) or type(columns[1]) is str:
            raise ValueError("columns that have no names")
        return FileIndex(path, document["kind"], columns, forms, entries)
    except DataError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(f"{path}: is no index of files, or is damaged; {_MAKE} {path.parent}") from error


def index_files(
    folder: str | os.PathLike[str],
    target: str | Sequence[str] | None = None,
    features: Sequence[str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the index of a folder of files with samples, for `StreamingDataLoader`.

        index = sn.index_files("garments")  # writes garments/index.json

    The files must all have one of these forms. Folders in the folder are searched too.

    - `NAME.npz`, with the arrays `inputs` and `targets`, as `numpy.savez` writes them. `targets` may be
      missing in all of them.
    - `NAMEinputs.npy` and `NAMEtargets.npy`, as `numpy.save` writes them.
    - `NAME-images-idx3-ubyte` and `NAME-labels-idx1-ubyte`, the format of MNIST, also with `.gz`.
    - `NAME.parquet`, `.arrow` or `.feather`; see `ParquetDataset`.

    The index has for each file its name relative to the index, its number of rows, and a SHA-256 of its
    size and of 64 parts of it, at most 256 kB. So the digest notices that a file was replaced or
    truncated, but it need not notice that a few bytes of a large file have changed. Every file is read
    to its end once, except for tables, to check that it is whole.

    Args:
        folder: the folder. The index is written to `index.json` in it.
        target: the column or columns to predict, for tables; see `ParquetDataset`.
        features: the columns of the inputs, for tables. None takes all others.
        overwrite: whether the index may replace an `index.json` that scratchnet did not write.

    Returns:
        The path of the index.

    Raises:
        DataNotFoundError: there is no such folder.
        DataError: it has no such files; or a file is damaged or differs from the first one in what a
            row is; or the index cannot be written, or would replace another program's file.
            `scratchnet data index` shows all such files.
        SettingError: target or features are given, and the files are no tables; or the folder is no
            path.
    """
    check_index_replaceable(folder, overwrite)
    index, problems = look_through(folder, target, features)
    if index is None:
        more = len(problems) - 1
        others = f" (and {more} more; scratchnet data index {folder} shows all)" if more else ""
        raise DataError(f"{problems[0]}{others}")
    save(index)
    return index.path


def check_index_replaceable(folder: str | os.PathLike[str], overwrite: bool) -> None:
    """Check that the index of the folder may be written.

    Raises:
        DataError: a file is there that is no index, and it may not be overwritten.
        SettingError: the folder is no path.
    """
    path = Path(name_of(folder, "index_files")) / NAME
    with writing(path, DataError):
        check_replaceable(path, "index", _is_index, overwrite, DataError)


def look_through(
    folder: str | os.PathLike[str],
    target: str | Sequence[str] | None = None,
    features: Sequence[str] | None = None,
) -> tuple[FileIndex | None, list[str]]:
    """Return the index of a folder, without writing it; or None and what is wrong, in lines.

    Raises:
        DataNotFoundError: there is no such folder.
        SettingError: target or features are given, and the files are no tables.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataNotFoundError(f"{folder}: no such folder; give the folder of the files")
    names = sorted(_names_in(folder))
    kinds = [kind for kind, (inputs, _) in PAIRS.items() if any(map(inputs.fullmatch, names))]
    if len(kinds) != 1:
        found = f"files of several kinds: {', '.join(kinds)}" if kinds else "no files with samples"
        return None, [f"{folder}: holds {found}; give one folder to .npz, .npy pairs, IDX, or Parquet"]
    pairs = list(_pairs(kinds[0], names))
    columns: Columns = target, features
    if kinds[0] != "parquet" and any(columns):
        raise SettingError(f"{folder}: target and features are for tables; leave them out")
    entries, problems = list[Entry](), _alone(folder, names, pairs)
    odd = [name for name in names if not name.isprintable()]
    if odd:
        return None, [f"{folder}: the name {name!r} cannot be printed; rename it" for name in odd]
    first: Path | None = None
    forms: tuple[Form, ...] = ()
    for pair in pairs:
        paths = [folder / name for name in pair]
        try:
            with open_rows(kinds[0], paths, columns) as file:
                file.check_whole()
                if first is None:
                    first, forms, columns = paths[0], file.forms, file.columns
                if file.forms != forms:
                    raise DataError(
                        f"{paths[0]}: a row is {_said(file.forms)}, but in {first} it is {_said(forms)}"
                    )
                entries.append(Entry(pair, file.rows, tuple(map(sample_of, paths))))
        except DataError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{error.filename or paths[0]}: cannot be read: {error.strerror}")
    if problems:
        return None, problems
    return FileIndex(folder / NAME, kinds[0], columns, forms, tuple(entries)), []


def save(index: FileIndex) -> None:
    """Write the index to its path.

    Raises:
        DataError: it cannot be written, or has more bytes than `read_index` reads.
    """
    content = (json.dumps(index.document(), indent=1, ensure_ascii=False) + "\n").encode()
    if len(content) > _MOST_BYTES:
        raise DataError(
            f"{index.path}: would have more than {_MOST_BYTES / 1e6:.0f} MB, the most that is read of "
            f"an index; write more rows into each of the {len(index.entries)} files"
        )
    with writing(index.path, DataError):
        write_whole(index.path, lambda file: file.write(content))


def said(index: FileIndex) -> str:
    """Describe an index in a line."""
    return f"{len(index.entries)} files, {index.rows.sum():,} rows; a row is {_said(index.forms)}"


def _said(forms: Sequence[Form]) -> str:
    return ", ".join(f"{name} {each}" for name, each in zip(PARTS, forms, strict=False))


def _is_index(path: Path) -> bool:
    """Whether scratchnet wrote the file, also if it is an index of another version."""
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    try:
        document = json.loads(content.decode())
    except (ValueError, RecursionError):
        return False
    files = document.get("files") if isinstance(document, dict) else None
    return (
        isinstance(files, list)
        and bool(files)
        and {"version", "kind"} <= document.keys()
        and all(isinstance(each, dict) and {"names", "rows", "digests"} <= each.keys() for each in files)
    )


def _names_in(folder: Path) -> Iterator[str]:
    """Yield the files in a folder, relative to it, without hidden ones."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix()


def _pairs(kind: str, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield each file of inputs, with its file of targets if they have one."""
    inputs, targets = PAIRS[kind]
    for match in filter(None, map(inputs.fullmatch, names)):
        other = match.expand(targets)
        yield (match[0], other) if other in names else (match[0],)


def _alone(folder: Path, names: Sequence[str], pairs: Sequence[tuple[str, ...]]) -> list[str]:
    """Name the files of NumPy and IDX that are in no pair."""
    taken = {name for pair in pairs for name in pair}
    return [
        f"{folder / name}: belongs to no inputs; rename it as its inputs are named, or move it away"
        for name in names
        if name not in taken and name.removesuffix(".gz").endswith((".npy", "ubyte"))
    ]


def _names(given: Any, count: int) -> tuple[str, ...]:
    """Return the names of an entry's files, which are in the folder of the index."""
    paths = [PurePosixPath(name) for name in given]
    if type(given) is not list or not 0 < len(given) == count <= 2:
        raise ValueError(f"{given!r} are not the names of {count} files")
    if any(
        path.is_absolute() or ".." in path.parts or not (path.name and str(path).isprintable())
        for path in paths
    ):
        raise ValueError(f"{given!r} are no names of files in the folder")
    return tuple(given)


def _are_text(given: Any) -> bool:
    return isinstance(given, (str, list)) and all(isinstance(each, str) for each in given)


def _dtype(given: Any) -> np.dtype[Any]:
    if given not in _DTYPES:
        raise ValueError(f"{given!r} is no dtype of numbers")
    found: np.dtype[Any] = np.dtype(given)
    return found


def _shape(given: Any) -> tuple[int, ...]:
    """Return the shape of a row. An array of rows has one more axis."""
    if type(given) is not list or len(given) >= MOST_AXES:
        raise ValueError(f"{given!r} is no shape of a row")
    return tuple(map(_count, given))


def _count(given: Any) -> int:
    if type(given) is not int or not 1 <= given < _MOST:
        raise ValueError(f"{given!r} is no number of rows")
    return given
