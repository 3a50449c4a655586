"""The loader for tables in CSV files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.errors import some_of
from scratchnet.data.arrays import ArrayDataLoader
from scratchnet.data.intake import checked_dtype, names_as_text
from scratchnet.data.sources import place_of
from scratchnet.data.split import chosen_of
from scratchnet.data.table import DECIMAL_COMMA, Column, Table, is_number, number, read_table
from scratchnet.errors import DataError, SettingError

if TYPE_CHECKING:
    from pathlib import Path

CLASSIFICATION, BINARY = "classification", "binary"
MULTILABEL, REGRESSION = "multilabel", "regression"
_MOST_CLASSES = 20
"""Whole numbers with at most so many values are classes, unless `task` says otherwise."""


class CsvDataLoader(ArrayDataLoader):
    """The rows of a table in batches: inputs (n, features), and a label or a number for each row.

        train = sn.CsvDataLoader("train.csv", "species", 32)
        valid = sn.CsvDataLoader("valid.csv", "species", 32, mode="valid", class_names=train.class_names)

    The file has commas, semicolons, tabs or bars between its columns, quotes or none, and is UTF-8,
    UTF-16 or UTF-32, plain or gzip. A first column without a name has the names of the rows, and is left
    out. All features must be numbers, or true and false.

    A target of text becomes classes, whose names are sorted. Whole numbers with at most 20 values become
    classes too, sorted by value. Other numbers are for regression, and become float32. Several columns
    of 0 and 1 are labels of a multi-label task, and several columns of other numbers a regression.

    Args:
        file: the path of the file.
        target: the name of the target's column, or its number: from 0 on, or -1 for the last. A list of
            columns makes targets (n, columns). None reads no targets, for predictions.
        batch_size: the number of rows per batch. The last batch may be shorter.
        features: the columns of the inputs, by name or number. None takes all that are left.
        delimiter: the character between columns. None finds it.
        encoding: such as "cp1252". None finds Unicode.
        header: whether the first row has the names of columns. None looks at it.
        shuffle, seed, transform: see `ArrayDataLoader`.
        class_names: the names of the classes. Give those of the training loader for validation data. For
            a target of numbers from 0 on, they name these.
        take: the number of rows to keep, drawn by the seed; None keeps all.
        task: "classification", with labels int64; "binary" for two classes, with targets 0 and 1 in
            float32, as the binary losses take them; "multilabel"; or "regression". None decides as
            described above.
        dtype: of the features, and of targets for regression. None is float32.
        valid_fraction: if train and valid are in one file, the part of its rows, drawn by the seed, that
            are for validation. With mode="valid" these rows are read, otherwise the others.
        mode: "train" or "valid".

    Attributes:
        class_names: the names of the classes, or of the labels; None for regression.
        task: see above; None without a target.
        feature_names: the names of the features; their numbers as text, if the file has no header.
        target_names: the names of the targets.
        target_name: the same as one text, with commas.
        has_header: whether the first row has the names of columns.
        source: the name of the file, without its ending.

    Raises:
        DataNotFoundError: there is no such file.
        DataError: there is no such column, a feature is text, a value is missing, or a class is unknown.
            The message has the column and the row.
        SettingError: an argument is out of range.
        OperandError: `class_names` is no list, or `dtype` is not floating.
    """

    def __init__(
        self,
        file: str | Path,
        target: Column | Sequence[Column] | None,
        batch_size: int = 32,
        *,
        features: Sequence[Column] | None = None,
        delimiter: str | None = None,
        encoding: str | None = None,
        header: bool | None = None,
        shuffle: bool | str | None = True,
        seed: int = 231,
        class_names: Iterable[str] | None = None,
        take: int | None = None,
        task: str | None = None,
        dtype: Any = None,
        valid_fraction: float | None = None,
        transform: Callable[[Any], Any] | None = None,
        mode: str = "train",
    ) -> None:
        if task not in (CLASSIFICATION, BINARY, MULTILABEL, REGRESSION, None):
            known = '", "'.join((CLASSIFICATION, BINARY, MULTILABEL, REGRESSION))
            raise SettingError(f'task is {task!r}; it must be one of "{known}"')
        if target is not None and not isinstance(target, (str, int, np.integer, list, tuple)):
            raise SettingError(f"target is {target!r}; give a column's name, or its number from 0 on")
        features = _listed(features)
        given = None if class_names is None else list(names_as_text("CsvDataLoader", class_names))
        floating = checked_dtype("CsvDataLoader", dtype) or np.dtype(np.float32)
        path = place_of(file)
        several = isinstance(target, (list, tuple))
        targets: list[Any] = list(target) if several else [] if target is None else [target]  # type: ignore[arg-type]
        if len(targets) != 1 and targets and task in (CLASSIFICATION, BINARY):
            raise SettingError(f"task is {task!r}; give one target column")
        table = read_table(path, targets, features, delimiter, encoding, header)
        self.feature_names, self.has_header = table.names, table.header
        self.target_names, self.target_name = table.target_names, ", ".join(table.target_names)
        self.source = path.name.removesuffix(".gz").rpartition(".")[0] or path.name
        self.task, values, names = None, None, None
        if table.targets:
            self.task = task or _guessed(path, table, several, given)
            values, names = _values(path, table, self.task, given)
            values = values if several else values[:, 0]
            values = _cast(
                path, table, self.target_names, values,
                np.int64 if self.task == CLASSIFICATION else floating,
            )  # fmt: skip
        inputs = _cast(path, table, self.feature_names, table.features, floating)
        chosen = chosen_of("CsvDataLoader", len(inputs), valid_fraction, take, seed, mode)
        super().__init__(
            inputs[chosen], None if values is None else values[chosen], batch_size, shuffle=shuffle,
            seed=seed, class_names=names, dtype=dtype, transform=transform, mode=mode,
        )  # fmt: skip


def _listed(features: Any) -> list[Column] | None:
    """Return the columns of the features as a list; None for None."""
    if features is None:
        return None
    if isinstance(features, (str, bytes)) or not np.iterable(features):
        raise SettingError(f"features is {features!r}; give a list: [{features!r}]")
    return list(features)


def _cast(path: Path, table: Table, names: Sequence[str], values: np.ndarray, dtype: Any) -> np.ndarray:
    """Return finite values, (n, columns), or one column (n,), in a dtype. It must have room for them."""
    with np.errstate(over="ignore"):
        cast = values.astype(dtype)
    if cast.dtype.kind == "f" and not np.isfinite(cast).all():
        row, column = np.argwhere(~np.isfinite(cast.reshape(len(cast), -1)))[0]
        raise DataError(
            f"{path}: row {table.rows[row]}, column {names[column]!r}: "
            f"{values.reshape(len(values), -1)[row, column]:g} is too large for {cast.dtype}; scale the "
            "column"
        )
    return cast


def _guessed(path: Path, table: Table, several: bool, names: list[str] | None) -> str:
    """Return the task that the values of the targets suggest.

    Raises:
        DataError: numbers have decimal commas, so they look like the names of classes.
    """
    targets = table.targets
    if names is None:
        for name, fields in zip(table.target_names, targets, strict=True):
            commas = {each for each in set(fields) if DECIMAL_COMMA.fullmatch(each)}
            _refuse(path, name, fields, table.rows, commas, "has a decimal comma; write decimal points")
    values = {number(each) for column in targets for each in set(column)}
    if several:
        return MULTILABEL if len(targets) > 1 and values <= {0, 1} else REGRESSION
    few = len(values) <= _MOST_CLASSES and len(values) < len(targets[0])
    whole = all(each is None or (each == each and each % 1 == 0) for each in values)
    return CLASSIFICATION if names or None in values or (few and whole) else REGRESSION


def _values(
    path: Path, table: Table, task: str, names: list[str] | None
) -> tuple[np.ndarray, list[str] | None]:
    """Return the targets, (n, columns), and the names of the classes or labels."""
    if task in (CLASSIFICATION, BINARY):
        name, column = table.target_names[0], table.targets[0]
        labels, names = _labels(path, name, column, table.rows, names)
        if task == BINARY and len(names) != 2:
            raise DataError(
                f"{path}: column {name!r} has {len(names)} classes; a binary task has 2: give another "
                "task"
            )
        return labels[:, None], names
    columns = [
        _numbers(path, name, column, table.rows)
        for name, column in zip(table.target_names, table.targets, strict=True)
    ]
    if task == REGRESSION:
        return np.stack(columns, 1), None
    for name, fields in zip(table.target_names, table.targets, strict=True):
        beyond = {each for each in set(fields) if number(each) not in (0, 1)}
        _refuse(path, name, fields, table.rows, beyond, "is neither 0 nor 1, as labels are")
    return np.stack(columns, 1), names or list(table.target_names)


def _labels(
    path: Path, column: str, fields: list[str], rows: np.ndarray, names: list[str] | None
) -> tuple[np.ndarray, list[str]]:
    """Return the label of each row, and the names of the classes."""
    found = set(fields)
    by_value = all(is_number(each) for each in found)
    texts = {
        each: f"{float(each) + 0:.15g}" if by_value else each for each in found
    }  # 1.0 and 1 are one class, -0 and 0 too
    others_are_numbers = any(map(is_number, found)) and all(n is not None for n in map(number, found))
    missing = {
        each for each in found if not each or (others_are_numbers and number(each) != number(each))
    }
    _refuse(path, column, fields, rows, missing, "has no class; fill it, or remove the row")
    if names is None:
        names = sorted(set(texts.values()), key=float if by_value else None)
    if len(set(names)) != len(names):
        raise SettingError("class_names has a name twice; give each class its own name")
    labels = {name: label for label, name in enumerate(names)}
    if by_value and not any(map(is_number, names)):  # names of the user's own, of classes 0, 1, …
        labels = {str(label): label for label in range(len(names))}
    unknown = {each for each in found if texts[each] not in labels}
    _refuse(path, column, fields, rows, unknown, f"is not one of class_names: {some_of(names, 12)}")
    return np.array([labels[texts[each]] for each in fields], np.int64), names


def _numbers(path: Path, column: str, fields: list[str], rows: np.ndarray) -> np.ndarray:
    """Return the targets of a regression, float64."""
    values = {each: number(each) for each in set(fields)}
    bad = {each for each, value in values.items() if value is None or not np.isfinite(value)}
    _refuse(path, column, fields, rows, bad, "is no number; correct it, or remove the row")
    return np.array([values[each] for each in fields], np.float64)


def _refuse(
    path: Path, column: str, fields: list[str], rows: np.ndarray, bad: set[str], what: str
) -> None:
    """Raise `DataError` for the first row that has one of these fields."""
    place = next((n for n, each in enumerate(fields) if each in bad), None) if bad else None
    if place is not None:
        raise DataError(f"{path}: row {rows[place]}, column {column!r}: {fields[place][:20]!r} {what}")
