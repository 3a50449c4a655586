"""A reader of tables in text files: CSV and its relatives."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from backends.errors import one_line, some_of
from scratchnet.data.readers import Form, read_bytes
from scratchnet.errors import DataError, SettingError

if TYPE_CHECKING:
    from pathlib import Path

_FORM = Form("a table", "copy or download it again")
_DELIMITERS = ",;\t|"
_ROWS_AT_ONCE = 8192
_MISSING = {"", "na", "n/a", "nan", "null", "none", "nil", "-", "?", "<na>", "#n/a"}
_TRUTH = {"true": "1", "false": "0"}
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_BAD = re.compile("[\udc80-\udcff\ufffd]")  # what stands for bytes that cannot be decoded
_BYTE_ORDER_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16",
}  # fmt: skip

Column = str | int
_Record = tuple[int, list[str]]
"""The number of a row of the file, and its fields."""


class Table(NamedTuple):
    """The columns that were asked for."""

    features: np.ndarray
    """(n, features), float64."""
    names: tuple[str, ...]
    """Of the features."""
    targets: list[list[str]]
    """The fields of each target column."""
    target_names: tuple[str, ...]
    rows: np.ndarray
    """(n,): the row of the file in which each sample ends, from 1 on."""
    header: bool
    """Whether the first row has the names of columns."""


def read_table(
    path: Path,
    targets: Sequence[Column],
    features: Sequence[Column] | None,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
) -> Table:
    """Read a table whose columns are numbers, except for the targets.

    Raises:
        DataError: a column is not there, holds text, or lacks a number; a row has another number of
            fields; or the text cannot be decoded.
        SettingError: the delimiter, the encoding or a column is of the wrong kind.
    """
    first, second, records, delimiter = _begun(path, delimiter, encoding)
    if header is None:
        by_name = any(isinstance(each, str) for each in (*targets, *(features or ())))
        header = by_name or _is_header(first[1], second[1] if second else [])
    names, chosen = _named(first[1] if header else [], second if header else first)
    wanted = [_place(path, each, names, header) for each in targets]
    if features is None:
        places = [n for n in chosen if n not in wanted]
    else:
        places = [_place(path, each, names, header) for each in features]
        both = next((names[n] for n in places if n in wanted), None)
        if both is not None:
            raise DataError(
                f"{path}: column {both!r} is the target and one of the features; give it once"
            )
    asked = [*wanted, *places]
    if len(set(asked)) < len(asked):
        twice = next(names[n] for i, n in enumerate(asked) if n in asked[:i])
        raise DataError(f"{path}: column {twice!r} is given twice; give it once")
    if not places:
        raise DataError(
            f"{path}: has no columns besides the target, {', '.join(map(repr, names))}; its columns "
            f"were separated at {delimiter!r}: if that is wrong, save the table with commas, or give "
            "delimiter="
        )
    read = [each for each in (None if header else first, second) if each is not None]
    return _gathered(path, chain(read, records), names, places, wanted, header)


def first_row(path: Path) -> tuple[list[str], bool]:
    """Return the fields of the first row, stripped, and whether they look like names of columns."""
    (_, first), second, *_ = _begun(path)
    return [each.strip() for each in first], _is_header(first, second[1] if second else [])


def _begun(
    path: Path, delimiter: str | None = None, encoding: str | None = None
) -> tuple[_Record, _Record | None, Iterator[_Record], str]:
    """Return the first two records of a file, those after them, and the delimiter."""
    content = bytes(read_bytes(path, _FORM))
    encoding = _checked(encoding) if encoding else _encoding_of(content)
    if delimiter is None:
        delimiter = _delimiter_of(content[: 1 << 16].decode(encoding, "replace"))
    elif not isinstance(delimiter, str) or len(delimiter) != 1:
        raise SettingError(f"delimiter is {delimiter!r}; it must be one character")
    records = _records(path, content, encoding, delimiter)
    first = next(records, None)
    if first is None:
        raise DataError(f"{path}: has no rows")
    return first, next(records, None), records, delimiter


def _gathered(
    path: Path,
    records: Iterator[_Record],
    names: list[str],
    places: list[int],
    wanted: list[int],
    header: bool,
) -> Table:
    """Read all rows, and turn the features into numbers, some rows at a time: text takes much room."""
    numbers, rows = [], []
    targets: list[list[str]] = [[] for _ in wanted]
    shared: dict[str, str] = {}  # each class is one text in memory
    while part := list(islice(records, _ROWS_AT_ONCE)):
        for row, fields in part:
            if len(fields) != len(names):
                raise DataError(
                    f"{path}: row {row} has {len(fields)} fields; {len(names)} were expected"
                )
        lines = [row for row, _ in part]
        columns = list(zip(*(fields for _, fields in part), strict=True))
        for column, place in zip(targets, wanted, strict=True):
            column += [shared.setdefault(field.strip(), field.strip()) for field in columns[place]]
        numbers.append(_numbers(path, [columns[n] for n in places], [names[n] for n in places], lines))
        rows += lines
    if not rows:
        raise DataError(f"{path}: has no rows below its header")
    told = tuple(names[n] for n in places), tuple(names[n] for n in wanted)
    return Table(np.concatenate(numbers), told[0], targets, told[1], np.array(rows), header)


def number(text: str) -> float | None:
    """Return a number, 1 for true and 0 for false; None for text. A missing value is NaN."""
    text = text.strip().lower()
    if text in _MISSING:
        return float("nan")
    try:
        return None if "_" in text else float(_TRUTH.get(text, text))
    except ValueError:
        return None


def is_number(text: str) -> bool:
    """Whether this is a finite number in digits."""
    try:
        return "_" not in text and abs(float(text)) < float("inf")
    except ValueError:
        return False


def _numbers(
    path: Path, columns: list[tuple[str, ...]], names: list[str], rows: list[int]
) -> np.ndarray:
    """Return (rows, columns), float64."""
    try:
        table = np.array(columns, dtype=np.float64).T
        if np.isfinite(table).all() and not any("_" in "".join(column) for column in columns):
            return table
    except ValueError:
        pass
    read = [[number(each) for each in column] for column in columns]
    text = [name for name, column in zip(names, read, strict=True) if None in column]
    for name, column, found in zip(names, columns, read, strict=True):
        for row, field, value in zip(rows, column, found, strict=True):
            if value is None and DECIMAL_COMMA.fullmatch(field.strip()):
                raise DataError(
                    f"{path}: row {row}, column {name!r}: {field.strip()!r} has a decimal comma; write "
                    f"decimal points: {field.strip().replace(',', '.')}"
                )
            if value is None and sum(each is None for each in found) <= len(found) // 2:
                raise DataError(
                    f"{path}: row {row}, column {name!r}: {field[:20]!r} is no number; correct it, or "
                    "leave the column out with features= (--feature)"
                )
    if text:
        columns_of_text = f"column{'' if len(text) == 1 else 's'} {some_of(map(repr, text), 8)}"
        raise DataError(
            f"{path}: text in {columns_of_text}; name the columns of "
            "numbers with features= (--feature), or turn text into numbers first"
        )
    table = np.array(read, np.float64).T
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, place = bad[0].tolist()
        raise DataError(
            f"{path}: row {rows[row]}, column {names[place]!r}: {columns[place][row][:20]!r} is missing "
            "or not finite; remove such rows, or fill them, for example with the column's mean"
        )
    return table


def _encoding_of(content: bytes) -> str:
    marked = next((e for mark, e in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), None)
    if marked is None and b"\0" in content[:2]:  # text without a mark, whose first character is ASCII
        return "utf-16-be" if content[0] == 0 else "utf-16-le"
    return marked or "utf-8"


def _checked(encoding: str) -> str:
    """Return an encoding if it is one of text, and can replace bytes that cannot be decoded."""
    try:
        b"\xff,".decode(encoding, "replace")
    except (LookupError, TypeError, ValueError) as error:  # also of "idna", "punycode" and "undefined"
        raise SettingError(
            f"encoding is {encoding!r}; give the name of a text encoding that Python knows, such as "
            "'cp1252'"
        ) from error
    return encoding


def _delimiter_of(text: str) -> str:
    """Return the delimiter that the first rows have most often, and each the same number of times."""
    start = [line for line in text.splitlines()[:20] if line.strip()]
    best, most = ",", 0
    for each in _DELIMITERS:
        counts = [len(fields) for fields in csv.reader(start, delimiter=each)]
        # A line cut at the end of the sample, or fewer names than fields, do not count.
        same = counts[0] if len(set(counts[1:-1] or counts)) == 1 else 0
        if same > most and same > 1:
            best, most = each, same
    return best


def _records(path: Path, content: bytes, encoding: str, delimiter: str) -> Iterator[_Record]:
    """Yield the row and the fields of each record that is not blank."""
    lines = io.TextIOWrapper(io.BytesIO(content), encoding, newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        for fields in reader:
            if "".join(fields).strip():
                yield reader.line_num, fields
    except csv.Error as error:
        raise DataError(f"{path}: row {reader.line_num}: {error}") from error
    except UnicodeDecodeError as error:  # its place is that in a part of the file
        good = content.decode(encoding, "surrogateescape" if encoding == "utf-8" else "replace")
        bad = next((n for n, line in enumerate(good.split("\n"), 1) if _BAD.search(line)), 1)
        raise DataError(
            f"{path}: row {bad} is not {encoding} text; save it as UTF-8, or give encoding=, for "
            "example 'cp1252'"
        ) from error
    except UnicodeError as error:  # such as "utf-16" for a file without a byte order mark
        raise DataError(
            f"{path}: cannot be decoded as {encoding}: {one_line(error)}; leave encoding= out, or give "
            "another, for example 'utf-16-le'"
        ) from error


def _is_header(first: list[str], second: list[str]) -> bool:
    """Whether the first row names columns.

    It does if it has text where the second has a number, or has no number, or counts the columns or the
    years: 0, 1, 2, as DataFrames do, or 2020, 2021, 2022.
    """
    if len(first) + 1 == len(second) or (_counts(first) and not _counts(second)):
        return True
    kinds = [(number(a), number(b)) for a, b in zip(first, second, strict=False)]
    names = [a is None or a != a for a, _ in kinds]
    return all(names) or any(name and b is not None for name, (_, b) in zip(names, kinds, strict=True))


def _counts(row: list[str]) -> bool:
    """Whether a row has three integers or more, each one more than the last."""
    text = row[0].strip() if row else ""
    start = int(text) if text.isdecimal() and len(text) < 20 else None
    count = len(row)
    return start is not None and count > 2 and row == [str(start + n) for n in range(count)]


def _named(header: list[str], record: tuple[int, list[str]] | None) -> tuple[list[str], list[int]]:
    """Return the names of all columns, and which of them may be features: not the names of rows."""
    count = len(record[1]) if record else len(header)
    names = [name.strip() for name in header] or [str(n) for n in range(count)]
    if len(names) + 1 == count:  # R's write.table does not name the first column
        names = ["", *names]
    return names, [n for n in range(len(names)) if n or names[0]]


def _place(path: Path, column: Column, names: list[str], header: bool) -> int:
    if isinstance(column, str):
        found = [n for n, name in enumerate(names) if name == column]
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(
                f"{path}: has {len(found)} columns {column!r}; rename one, or give the column's number"
            )
        near = f" Its columns are {some_of(map(repr, names), 12)}"
        raise DataError(f"{path}: has no column {column!r}.{near if header else ''}")
    if isinstance(column, bool) or not isinstance(column, (int, np.integer)):
        raise SettingError(f"{column!r} is no column; give its name, or its number from 0 on")
    if not -len(names) <= column < len(names):
        raise DataError(f"{path}: has no column {column}; it has {len(names)}, from 0 on")
    return int(column) % len(names)
