"""Readers of the two formats of Fashion-MNIST: IDX, and CSV as on Kaggle.

Both return pixels (n, 784) and labels (n,), uint8. A bad file is a `DataError` that names the file, and
the row if there is one.
"""

from __future__ import annotations

import io
import itertools
import math
import stat
import struct
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from scratchnet.errors import DataError, DataNotFoundError

if TYPE_CHECKING:
    from gzip import GzipFile
    from pathlib import Path

SIDE = 28
PIXELS = SIDE * SIDE
CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

_REFETCH = "fetch it anew with: scratchnet data fetch"
_IDX_UINT8 = 0x08

MOST_BYTES = 1 << 28
"""The largest unpacked size. All 70,000 images as CSV, with three digits per pixel, are 220 MB."""

_PART = 1 << 20
_BLANK = b" \t\r\n"
_MOST_ROWS = 1 << 19  # three times as many as `MOST_BYTES` can hold, except for blank ones
_LONGEST_ROW = 16 * (1 + PIXELS)  # four characters per field, in the header nine; the rest is blanks


class Samples(NamedTuple):
    """Images and their labels, in the order of the files."""

    pixels: np.ndarray
    """(n, 784), uint8."""
    labels: np.ndarray
    """(n,), uint8, 0 to 9."""


def read_bytes(path: Path) -> bytearray:
    """Return the file's content, unpacked if it is gzip, whatever its name. Read it in parts.

    Raises:
        DataNotFoundError: there is no such file.
        DataError: it is not a regular file, cannot be read, is empty, is truncated or damaged gzip, or
            has more than `MOST_BYTES` when unpacked.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise DataError(f"{path}: is a directory where a file was expected; give a file")
        if not stat.S_ISREG(mode):  # opening a pipe waits for its writer; a device may have no end
            raise DataError(f"{path}: is a pipe or a device where a file was expected; give a file")
        with path.open("rb") as file:
            content = _unpacked(path, file) if file.peek(2)[:2] == b"\x1f\x8b" else _bounded(file)
    except FileNotFoundError as error:
        raise DataNotFoundError(f"{path}: no such file; {_REFETCH}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not content:
        raise DataError(f"{path}: is empty; {_REFETCH}")
    if len(content) > MOST_BYTES:
        raise DataError(
            f"{path}: holds more than {MOST_BYTES / 1e6:.0f} MB, unpacked, which Fashion-MNIST does in "
            f"no form; {_REFETCH}"
        )
    return content


def _unpacked(path: Path, file: BinaryIO) -> bytearray:
    import gzip
    import zlib

    try:
        with gzip.open(file) as packed:
            return _bounded(packed)
    except EOFError as error:
        raise DataError(f"{path}: is truncated gzip; {_REFETCH}") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: is corrupt gzip ({error}); {_REFETCH}") from error


def _bounded(file: BinaryIO | GzipFile) -> bytearray:
    """Read in parts, and stop once there is more than `MOST_BYTES`."""
    content = bytearray()
    while len(content) <= MOST_BYTES and (part := file.read(_PART)):
        content += part
    return content


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """Read the uint8 array in an IDX file (format: yann.lecun.com/exdb/mnist, at the end of the page).

    Args:
        path: the file, gzip or plain.
        ndim: the number of axes that it must have: 3 for images, 1 for labels.

    Raises:
        DataError: the magic number is wrong, or the length does not match the header.
    """
    content = read_bytes(path)
    magic = bytes((0, 0, _IDX_UINT8, ndim))
    if content[:4] != magic:
        raise DataError(
            f"{path}: magic number 0x{content[:4].hex()} where 0x{magic.hex()} was expected; "
            "it is no IDX file of this kind"
        )
    header = 4 + 4 * ndim
    shape = struct.unpack_from(f">{ndim}I", content.ljust(header, b"\0"), 4)
    expected = header + math.prod(shape)  # in Python's integers, so a wrong header cannot overflow
    if len(content) != expected:
        raise DataError(
            f"{path}: {len(content)} bytes where its header {shape} tells {expected}; {_REFETCH}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_idx_pair(images: Path, labels: Path) -> Samples:
    """Read images and labels from their two IDX files.

    Raises:
        DataError: as `read_idx`; or images are not 28×28, counts differ, or a label is above 9.
    """
    pixels, numbers = read_idx(images, 3), read_idx(labels, 1)
    if pixels.shape[1:] != (SIDE, SIDE):
        raise DataError(f"{images}: images of {pixels.shape[1:]} pixels; 28 by 28 were expected")
    if len(pixels) != len(numbers):
        raise DataError(
            f"{images} holds {len(pixels)} images and {labels} {len(numbers)} labels; {_REFETCH}"
        )
    if not len(pixels):
        raise DataError(f"{images}: holds no images; {_REFETCH}")
    if numbers.max() > 9:
        row = int(np.argmax(numbers > 9))
        raise DataError(f"{labels}: label {numbers[row]} of image {row} is not one of 0 to 9")
    return Samples(pixels.reshape(-1, PIXELS), numbers)


def read_csv(path: Path) -> Samples:
    """Read samples from a CSV file: a header, then one row per image, with the label and 784 pixels.

    Raises:
        DataError: there is no header, a row has another number of fields, a field is not an integer in 0
            to 255, or a label is above 9.
    """
    stream = io.BytesIO(read_bytes(path))
    header = stream.readline(_LONGEST_ROW)
    first = header.removeprefix(b"\xef\xbb\xbf").split(b",")[0].strip(b' "\r\n').lower()
    if first != b"label":
        raise DataError(f"{path}: row 1 is not the header label,pixel1,…,pixel784; add one")
    rows = _rows(path, stream)
    row = next(rows, None)
    if row is None:
        raise DataError(f"{path}: holds no rows below its header; {_REFETCH}")
    texts = (text for _, text in itertools.chain([row], rows))
    try:
        with warnings.catch_warnings():  # before version 2.4, NumPy read 256 as 0, with a warning
            warnings.simplefilter("error", DeprecationWarning)
            table = np.loadtxt(texts, np.uint8, delimiter=",", comments=None, ndmin=2)
    except DataError:
        raise
    except ValueError as error:
        raise _first_fault(path, stream, len(header)) from error
    if table[:, 0].max() > 9:
        raise _first_fault(path, stream, len(header))
    return Samples(np.ascontiguousarray(table[:, 1:]), table[:, 0].copy())


def _rows(path: Path, stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield number and text of each row that is not blank.

    Raises:
        DataError: a row does not have 785 fields of digits. A longer row is not read to its end.
    """
    for number in range(2, _MOST_ROWS):
        row = stream.readline(_LONGEST_ROW)
        if not row:
            return
        if len(row) == _LONGEST_ROW and row[-1:] != b"\n":
            raise DataError(f"{path}: row {number} has {_LONGEST_ROW} characters or more; {_REFETCH}")
        text = row.strip(_BLANK)
        if not text:
            continue
        if (fields := text.count(b",") + 1) != 1 + PIXELS:
            raise DataError(f"{path}: row {number} has {fields} fields; {1 + PIXELS} were expected")
        if text.translate(None, b"0123456789, ") and (fault := _fault(path, number, text)):
            raise fault
        yield number, text
    raise DataError(f"{path}: has more than {_MOST_ROWS} rows; {_REFETCH}")


def _first_fault(path: Path, stream: BinaryIO, start: int) -> DataError:
    """Return what is wrong with the first bad row after the header. Called only for a bad file."""
    stream.seek(start)
    faults = (_fault(path, number, text) for number, text in _rows(path, stream))
    return next((fault for fault in faults if fault), DataError(f"{path}: is no table of images"))


def _fault(path: Path, number: int, text: bytes) -> DataError | None:
    """Return the first field that is not an integer in 0 to 255, or a label above 9."""
    fields = [field.strip(b" ").decode("ascii", "replace") for field in text.split(b",")]
    for column, field in enumerate(fields, start=1):
        if not (
            field.isascii()
            and field.isdigit()
            and len(field.lstrip("0")) <= 3
            and int(field[-3:]) <= 255
        ):
            return DataError(
                f"{path}: row {number}, column {column}: {field[:20]!r} is no integer in 0 to 255"
            )
    if (label := int(fields[0][-3:])) > 9:
        return DataError(f"{path}: row {number}: label {label} is not one of 0 to 9")
    return None
