"""Turn what a user has (arrays, lists, tables) into arrays on the device, and check them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from backends import Array, active, check, to_device, to_host, xp
from backends.errors import kind_of, one_line, some_of
from scratchnet.data.batches import Structure, named_arrays, native
from scratchnet.data.samples import masked_as_nan
from scratchnet.errors import DataError, OperandError, PrecisionWarning, ShapeError, warn_the_user
from scratchnet.variable import Variable

_AT_ONCE = 1 << 22  # elements to look at for NaN at a time


class Intake:
    """Turns the arrays of one loader into arrays on the device.

    Args:
        owner: the loader's name, for messages.
        dtype: of floating arrays. None turns float64 into float32, with one warning.
    """

    def __init__(self, owner: str, dtype: Any = None) -> None:
        self.owner, self.dtype = owner, checked_dtype(owner, dtype)
        self._narrowed: list[str] = []

    def take(self, name: str, given: Any, features: bool = False) -> Structure:
        """Return arrays on the device, contiguous and checked.

        Args:
            name: the argument, for messages.
            given: an array, a list, a table or a column of a data frame; a tuple or a dict of these.
            features: whether integers in the columns of a table become floating, as inputs do.

        Raises:
            OperandError: it does not hold numbers.
            DataError: it holds NaN, or is empty.
            ShapeError: samples have different lengths.
        """
        if given is None:
            return None
        if isinstance(given, dict):
            bad = next((key for key in given if not isinstance(key, str)), None)
            if bad is not None:
                raise OperandError(f"{self.owner}: {name} has the key {bad!r}; names must be text")
            return {key: self.take(f"{name}[{key!r}]", each, features) for key, each in given.items()}
        if isinstance(given, tuple):
            return tuple(self.take(f"{name}[{n}]", each, features) for n, each in enumerate(given))
        with np.errstate(over="ignore"):  # what a smaller dtype cannot hold becomes infinity, an error
            return self._array(name, given, features)

    def say(self) -> None:
        """Warn once if float64 has become float32."""
        if self._narrowed:
            names, self._narrowed = " and ".join(self._narrowed), []
            warn_the_user(
                f"{self.owner}: {names} of float64 became float32, in which networks compute; to keep "
                'float64, give dtype="float64"',
                PrecisionWarning,
            )

    def _array(self, name: str, given: Any, features: bool) -> Array:
        columns = None
        if isinstance(given, Variable):
            given = given.data
        table = hasattr(given, "to_numpy")
        listed = isinstance(given, (list, range))
        if table:
            columns = [str(each) for each in getattr(given, "columns", ())]
            given = self._table(name, given, features)
        elif isinstance(given, np.ndarray) or not isinstance(given, active().array_type):
            given = self._from_host(name, given)
        check(self.owner, name, given)
        if not given.ndim:
            raise ShapeError(f"{self.owner}: {name} is one number; its first axis must count samples")
        if given.dtype.kind not in "biuf":
            raise OperandError(f"{self.owner}: {name} of {given.dtype}; they must be real numbers")
        if given.dtype.kind == "f" and self.dtype is not None:
            given = given.astype(self.dtype, copy=False)
        elif given.dtype.char in "dg":
            given = given.astype(np.float32)
            if not listed:
                self._narrowed.append(name)
        if given.dtype.kind == "f":
            self._check_nan(name, given, columns)
        return xp.ascontiguousarray(given)

    def _from_host(self, name: str, given: Any) -> Array:
        try:
            array = np.asarray(masked_as_nan(given))
        except (ValueError, TypeError, RuntimeError) as error:  # PyTorch raises a RuntimeError
            if isinstance(given, list) and isinstance(error, ValueError):
                raise ShapeError(
                    f"{self.owner}: {name}: {_uneven(given)}; give all samples the same shape, by "
                    "padding or cutting"
                ) from error
            raise OperandError(f"{self.owner}: {name} is no array: {one_line(error)}") from error
        if hasattr(given, "toarray"):
            raise OperandError(f"{self.owner}: {name} is {kind_of(given)}; give {name}.toarray()")
        found = array if array.dtype.kind not in "OUST" else _column(array)
        if found is None:
            raise OperandError(f"{self.owner}: {name}: {_no_numbers(name, array)}")
        return to_device(native(found))

    def _table(self, name: str, given: Any, features: bool) -> Array:
        """Return the numbers of a data frame or a column of one."""
        columns = list(getattr(given, "columns", ()))
        if hasattr(given, "iloc"):  # two columns of pandas may have the same name
            parts = [given.iloc[:, place] for place in range(len(columns))] or [given]
        else:
            parts = [given[column] for column in columns] or [given]
        arrays = [_column(part) for part in parts]
        text = [str(c) for c, a in zip(columns or [name], arrays, strict=True) if a is None]
        if text:
            shown = some_of(map(repr, text), 8)
            if not columns:
                raise OperandError(f"{self.owner}: {name}: {_no_numbers(name, np.asarray(given))}")
            raise OperandError(
                f"{self.owner}: {name} has columns without numbers: {shown}; encode them, for example "
                "with pandas.get_dummies, or leave them out"
            )
        array = np.stack(arrays, axis=1) if columns else arrays[0]  # type: ignore[arg-type]
        assert array is not None
        if features and array.dtype.kind in "biu":
            array = array.astype(self.dtype or np.float32)
        return to_device(np.ascontiguousarray(array))

    def _check_nan(self, name: str, array: Array, columns: list[str] | None) -> None:
        """Raise `DataError` for the first NaN or infinity, with its row and its column."""
        width = max(array.size // max(len(array), 1), 1)
        rows = max(_AT_ONCE // width, 1)
        for start in range(0, len(array), rows):
            part = array[start : start + rows]
            if bool(to_host(xp.isfinite(part).all())):
                continue
            part = to_host(part)
            where = np.argwhere(~np.isfinite(part))[0]
            value = float(part[tuple(where)])
            row, place = int(where[0]) + start, [int(each) for each in where[1:]]
            at = (
                f", column {columns[place[0]]!r}" if columns else f", column {place[0]}" if place else ""
            )
            at = at if len(place) <= 1 else f", place {tuple(place)}"
            raise DataError(
                f"{self.owner}: {name} has {value} in row {row}{at}; remove such rows, or fill them, "
                "for example with the column's mean"
            )


def checked_dtype(owner: str, dtype: Any) -> np.dtype[Any] | None:
    """Return a floating dtype in the machine's byte order; None for None."""
    if dtype is None:
        return None
    try:
        found: np.dtype[Any] = np.dtype(dtype).newbyteorder("=")
    except (TypeError, ValueError, SyntaxError):  # NumPy evaluates some texts as Python
        found = np.dtype(object)
    if found.char not in "efd":
        raise OperandError(f"{owner}: dtype is {dtype!r}; it must be float16, float32, float64, or None")
    return found


def check_lengths(owner: str, parts: dict[str, Structure]) -> int:
    """Return the number of samples, which all arrays must have.

    Raises:
        ShapeError: two arrays have different lengths. Both are named.
        DataError: there are no samples, or no arrays.
    """
    named = [pair for name, part in parts.items() for pair in named_arrays(name, part)]
    if not named:
        raise DataError(f"{owner}: inputs hold no array; give at least one")
    first, samples = named[0][0], len(named[0][1])
    for name, array in named[1:]:
        if len(array) != samples:
            raise ShapeError(
                f"{owner}: {first} have {samples} samples and {name} {len(array)}; they must have the "
                "same number, in the same order"
            )
    if not samples:
        raise DataError(f"{owner}: no samples; give at least one")
    return samples


def checked_weights(name: str, weights: Structure) -> Array | None:
    """Return sample weights as a floating array, if they are numbers from 0 on."""
    if weights is None:
        return None
    if not isinstance(weights, active().array_type) or weights.ndim != 1:
        raise ShapeError(f"{name}: weights must be one array of shape (samples,)")
    if bool(to_host((weights < 0).any())) or not bool(to_host((weights > 0).any())):
        raise DataError(f"{name}: weights must be numbers from 0 on, and not all 0")
    return weights if weights.dtype.kind == "f" else weights.astype(np.float32)


def names_as_text(name: str, given: Iterable[str]) -> tuple[str, ...]:
    """Return the names of classes as text.

    Raises:
        OperandError: they are one text, or no list.
    """
    if isinstance(given, (str, bytes)):
        raise OperandError(f"{name}: class_names is text; give a list, such as ['cat', 'dog']")
    if not np.iterable(given):
        raise OperandError(f"{name}: class_names is {given!r}; give a list, such as ['cat', 'dog']")
    return tuple(map(str, given))


def checked_names(name: str, given: Iterable[str], targets: Structure) -> tuple[str, ...]:
    """Return the names of classes as text, if every label has one."""
    names = names_as_text(name, given)
    single = (
        isinstance(targets, active().array_type) and targets.dtype.kind in "iu" and targets.ndim == 1
    )
    if single and (highest := int(to_host(targets.max()))) >= len(names):
        raise DataError(f"{name}: label {highest} has no name; class_names has {len(names)} names")
    return names


def _column(series: Any) -> np.ndarray | None:
    """Return a column of a data frame as numbers; None if it does not hold numbers."""
    array = np.asarray(series)
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind == "O":
        try:
            values = [np.nan if each is None or str(each) == "<NA>" else each for each in array.flat]
            if all(isinstance(each, (int, float, np.number, np.bool_)) for each in values):
                found = np.asarray(values).reshape(array.shape)
                return found if found.dtype.kind in "biuf" else None
        except (TypeError, ValueError):
            return None
    return None


def _no_numbers(name: str, array: np.ndarray) -> str:
    example = next((each for each in array.flat if isinstance(each, (str, bytes))), None)
    if example is None:
        return f"{array.dtype} of no numbers; give an array of numbers"
    fix = (
        f"turn it into numbers: class_names, {name} = numpy.unique({name}, return_inverse=True)"
        if name.startswith("targets")
        else "turn it into numbers first"
    )
    return f"text, such as {str(example)[:20]!r}; {fix}"


def _uneven(given: list[Any]) -> str:
    shapes = [np.shape(each) if not isinstance(each, list) else (len(each),) for each in given]
    other = next((n for n, shape in enumerate(shapes) if shape != shapes[0]), None)
    if other is None:
        return "the samples have different shapes"
    return f"sample 0 has shape {shapes[0]} and sample {other} {shapes[other]}"
