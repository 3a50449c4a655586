"""Tables in Parquet and Arrow files that need not fit into memory.

Formats: https://parquet.apache.org/docs/file-format and https://arrow.apache.org/docs/format/Columnar.html
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from scratchnet.data.dataset import WINDOW_BYTES, Dataset, checked_index, explained
from scratchnet.data.readers import check_file
from scratchnet.data.samples import as_float32
from scratchnet.errors import DataError, SettingError
from scratchnet.files import digest_of, name_of, sample_of

_BUFFER = 1 << 18  # bytes of each column that are read at a time
_MOST = 1 << 36  # numbers in a file
_KEPT = 24
"""Windows that stay decoded. A shuffle mixes 8 at a time, and a window may lie across two."""


class ParquetDataset(Dataset):
    """Rows of a Parquet, Arrow or Feather file, which need not fit into memory.

        dataset = sn.ParquetDataset("houses.parquet", target="price")
        loader = sn.DataLoader(dataset, batch_size=128, workers=2)

    The inputs are float32, (features,) for each row. A target keeps its dtype, except that float64
    becomes float32. The rows are decoded in windows, and about 25 MB of them stay in memory. To read a
    window, its row group is decoded from the beginning; row groups of 10,000 to 100,000 rows are fast.
    Threads share the decoded windows; each process decodes its own.

    It needs pyarrow: `pip install "scratchnet[parquet]"`.

    Args:
        path: the file. Its content says which format it has.
        target: the column that a network predicts; or a list of columns, which gives targets of shape
            (columns,) for each row; or None.
        features: the columns of the inputs, in this order. None takes all other columns, except the
            index of a data frame of pandas.

    Attributes:
        features: the names of the columns of the inputs.
        window: see `Dataset`. By default a window has about 1 MB.
        kept: the number of windows that stay decoded.

    Raises:
        DataNotFoundError: there is no such file.
        DataError: it is of another format or damaged, has no rows, or has no such column; or a column
            holds text or something else that is no number. The message names the columns. Reading a row
            raises it if the row has a null, NaN or infinity.
        SettingError: pyarrow is not installed, or an argument has the wrong type.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        target: str | Sequence[str] | None,
        features: Sequence[str] | None = None,
    ) -> None:
        if find_spec("pyarrow") is None:
            raise SettingError(
                'ParquetDataset: pyarrow is not installed; fix: pip install "scratchnet[parquet]"'
            )
        if isinstance(features, str):
            raise SettingError(f"ParquetDataset: features is {features!r}; give a list: [{features!r}]")
        self.path = Path(name_of(path, "ParquetDataset"))
        self.source = self.path.stem
        self._single, self.kept = isinstance(target, str), _KEPT
        self._targets = _names("target", [target] if isinstance(target, str) else target)
        self._begin()
        schema = self._file.schema
        index = _index_of(schema)
        others = [each for each in schema.names if each not in (*self._targets, *index)]
        self.features = _names("features", others if features is None else features)
        both = next((each for each in self.features if each in self._targets), None)
        if both is not None:
            raise DataError(
                f"{self.path}: column {both!r} is the target and one of the features; give it once"
            )
        _check_columns(self.path, self._file.schema, (*self.features, *self._targets))
        if not self.features:
            raise DataError(f"{self.path}: there is no column for the inputs; give features=[…]")
        with _explained(self.path):
            groups = self._file.rows_of_groups(self.features[0])
        columns = len(self.features) + len(self._targets)
        if not sum(groups):
            raise DataError(f"{self.path}: has no rows; give a file with at least one")
        if min(groups) < 0 or sum(groups) * columns > _MOST:
            raise DataError(
                f"{self.path}: says that it has {sum(groups)} rows; if that is right, write several "
                "files, and read them with StreamingDataLoader"
            )
        size = self.window = min(max(groups), max(1, WINDOW_BYTES // (4 * columns)))
        self._parts = [
            _Part(group, start, min(start + size, rows))
            for group, rows in enumerate(groups)
            for start in range(0, rows, size)
        ]
        self._ends = np.cumsum([part.stop - part.start for part in self._parts])

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Any:
        """Return (input, target) of a row."""
        inputs, targets = self.batch(np.array([checked_index(self, index)]))
        return inputs[0], None if targets is None else targets[0]

    def batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return (inputs, targets) of these rows."""
        places = np.searchsorted(self._ends, indices, side="right")
        inputs = np.empty((len(indices), len(self.features)), np.float32)
        targets = None
        for place in np.unique(places).tolist():
            rows, part = self._rows(place), self._parts[place]
            chosen = places == place
            local = indices[chosen] - (self._ends[place] - (part.stop - part.start))
            if rows.faults is not None and rows.faults[local].any():
                first, column = np.argwhere(rows.faults[local])[0]
                name, row = (*self.features, *self._targets)[column], indices[chosen][first]
                raise DataError(
                    f"{self.path}: column {name!r} has a null, NaN or infinity in row {row} (from 0); "
                    "fill it, or remove the row"
                )
            inputs[chosen] = rows.inputs[local]
            if rows.targets is not None:
                if targets is None:
                    targets = np.empty((len(indices), *rows.targets.shape[1:]), rows.targets.dtype)
                targets[chosen] = rows.targets[local]
        return inputs, targets

    def fingerprint(self) -> str:
        """Return a SHA-256 of the columns' names, of the file's size, and of at most 256 kB of it."""
        names = {"features": repr(self.features), "targets": repr(self._targets)}
        with _explained(self.path):
            return digest_of({}, {**names, "file": sample_of(self.path)})

    def _begin(self) -> None:
        """Open the file, with nothing decoded."""
        with _explained(self.path):
            self._file = _opened(self.path)
            self._file.schema.names  # noqa: B018 - may not be text
        self._decoded: dict[int, _Rows] = {}
        self._lock = Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs to open the file again."""
        return {k: v for k, v in vars(self).items() if k not in ("_file", "_decoded", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the file again."""
        vars(self).update(state)
        self._begin()

    def _rows(self, place: int) -> _Rows:
        """Return a part of the file, decoded."""
        with self._lock:  # two decoders at once would take twice the memory
            rows = self._decoded.pop(place, None) or self._decode(self._parts[place])
            self._decoded[place] = rows  # the last one is the most recently used
            if len(self._decoded) > self.kept:
                del self._decoded[next(iter(self._decoded))]
        return rows

    def _decode(self, part: _Part) -> _Rows:
        names = (*self.features, *self._targets)
        with _explained(self.path):
            table = self._file.read(part, names)
            table.validate()
            columns = [_values(table.column(name)) for name in names]
        if len(table) != part.stop - part.start:
            raise DataError(f"{self.path}: has fewer rows than it says; copy it again")
        count = len(self.features)
        inputs = np.empty((part.stop - part.start, count), np.float32)
        faults = np.empty((len(inputs), len(names)), bool)
        targets: list[np.ndarray] = []
        with np.errstate(over="ignore"):  # what is too large becomes infinity
            for place, (values, nulls) in enumerate(columns):
                if place < count:
                    inputs[:, place] = values = values.astype(np.float32)
                else:
                    targets.append(values := as_float32(values))
                faults[:, place] = nulls | ~np.isfinite(values)
        stacked = None
        if targets:
            stacked = targets[0] if self._single else as_float32(np.stack(targets, axis=1))
        return _Rows(inputs, stacked, faults if faults.any() else None)


class _Part(NamedTuple):
    """Rows `start` to `stop` of a row group or a record batch."""

    group: int
    start: int
    stop: int


class _Rows(NamedTuple):
    """A part of the file, decoded."""

    inputs: np.ndarray
    """(rows, features), float32."""
    targets: np.ndarray | None
    """(rows,) or (rows, targets)."""
    faults: np.ndarray | None
    """(rows, features and targets): where there is no finite number; None if all are finite."""


class _Parquet:
    """A Parquet file. Each reading opens it, because an open one is for one thread."""

    def __init__(self, path: Path) -> None:
        from pyarrow.parquet import ParquetFile

        self._path = path
        with ParquetFile(path) as file:
            self._metadata, self.schema = file.metadata, file.schema_arrow

    def rows_of_groups(self, _: str) -> list[int]:
        """Return the number of rows of each row group."""
        return [self._metadata.row_group(n).num_rows for n in range(self._metadata.num_row_groups)]

    def read(self, part: _Part, names: Sequence[str]) -> Any:
        """Return a part as a table. Decode no more than a window at a time."""
        import pyarrow
        from pyarrow.parquet import ParquetFile

        found, begin = [], 0
        options = {"metadata": self._metadata, "pre_buffer": False, "buffer_size": _BUFFER}
        with ParquetFile(self._path, **options) as file:
            size = part.stop - part.start
            for batch in file.iter_batches(size, [part.group], list(names), use_threads=False):
                end = begin + len(batch)
                first, last = max(part.start, begin), min(part.stop, end)
                if first < last:
                    found.append(batch.slice(first - begin, last - first))
                if end >= part.stop:
                    break
                begin = end
        return pyarrow.Table.from_batches(found)


class _Arrow:
    """An Arrow file, which is a Feather file too (version 2)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.schema = self._reader(()).schema

    def rows_of_groups(self, name: str) -> list[int]:
        """Return the number of rows of each record batch. A compressed one is decoded for that."""
        reader = self._reader([name])
        return [len(reader.get_batch(n)) for n in range(reader.num_record_batches)]

    def read(self, part: _Part, names: Sequence[str]) -> Any:
        """Return a part as a table."""
        import pyarrow

        batch = self._reader(names).get_batch(part.group)
        return pyarrow.Table.from_batches([batch.slice(part.start, part.stop - part.start)])

    def _reader(self, names: Sequence[str]) -> Any:
        from pyarrow import ipc, memory_map

        fields = [self.schema.get_field_index(name) for name in names]
        options = ipc.IpcReadOptions(included_fields=fields, use_threads=False)
        return ipc.open_file(memory_map(str(self._path)), options=options)


def _opened(path: Path) -> _Parquet | _Arrow:
    with path.open("rb") as file:
        magic = file.read(6)
    if magic[:4] == b"PAR1":
        return _Parquet(path)
    if magic == b"ARROW1":
        return _Arrow(path)
    raise DataError(f"{path}: is no Parquet, Arrow or Feather file; write one, for example with pandas")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Check that a path is a file. Raise errors of pyarrow and the system as errors that name it."""
    import pyarrow

    with explained(path, ValueError, pyarrow.ArrowException):
        check_file(path)
        yield


def _index_of(schema: Any) -> list[Any]:
    """Return the columns that are the index of a data frame of pandas."""
    try:
        index = schema.pandas_metadata["index_columns"]
    except (KeyError, TypeError, ValueError, RecursionError):  # no metadata, or not those of pandas
        return []
    return index if isinstance(index, list) else []


def _names(what: str, given: Any) -> tuple[str, ...]:
    """Return names of columns."""
    names = tuple(given or ()) if given is None or isinstance(given, Iterable) else (given,)
    bad = next((each for each in names if not isinstance(each, str)), None)
    if bad is not None:
        raise SettingError(f"ParquetDataset: {what} has {bad!r}; columns are given by their names")
    return names


def _check_columns(path: Path, schema: Any, names: Sequence[str]) -> None:
    """Raise `DataError` unless all columns are there and hold numbers."""
    from pyarrow import types

    for name in names:
        if name not in schema.names:
            near = get_close_matches(name, schema.names) or schema.names[:8]
            raise DataError(
                f"{path}: there is no column {name!r}; did you mean {', '.join(map(repr, near))}?"
            )
        if schema.names.count(name) > 1:
            raise DataError(f"{path}: there are several columns {name!r}; rename them")
    kinds = types.is_integer, types.is_floating, types.is_boolean
    fields = [schema.field(name) for name in names]
    others = [f"{f.name!r} ({f.type})" for f in fields if not any(kind(f.type) for kind in kinds)]
    if others:
        raise DataError(
            f"{path}: columns without numbers: {', '.join(others)}; leave them out with features=[…], "
            "or encode them as numbers"
        )


def _values(column: Any) -> tuple[np.ndarray, Any]:
    """Return the numbers of a column, with 0 for each null; and where the nulls are."""
    from pyarrow import types

    if not column.null_count:
        return column.to_numpy(), False
    nulls = column.is_null().to_numpy()
    return column.fill_null(False if types.is_boolean(column.type) else 0).to_numpy(), nulls
