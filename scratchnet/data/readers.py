"""Readers of the two forms in which Fashion-MNIST is published: IDX, and CSV as on Kaggle.

Both give pixels (n, 784) and labels (n,), uint8. A file that is not what it should be is a
`DataError` that names the file, and the row where there is one.
"""

from __future__ import annotations

import io
import math
import re
import struct
import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from scratchnet.errors import DataError, DataNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 28
PIXELS = SIDE * SIDE
CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

_REFETCH = "fetch it anew with: scratchnet data fetch"
_IDX_UINT8 = 0x08


class Samples(NamedTuple):
    """Images and their labels, as the files hold them."""

    pixels: np.ndarray
    """(n, 784), uint8."""
    labels: np.ndarray
    """(n,), uint8, 0 to 9."""


def read_bytes(path: Path) -> bytes:
    """The file's content, unpacked if it is gzip, whatever its name.

    Raises:
        DataNotFoundError: there is no such file.
        DataError: it cannot be read, is empty, or is truncated or corrupt gzip.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise DataNotFoundError(f"{path}: no such file; {_REFETCH}") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: is a directory where a file was expected; give a file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not raw:
        raise DataError(f"{path}: is empty; {_REFETCH}")
    if raw[:2] != b"\x1f\x8b":
        return raw
    import gzip
    import zlib

    try:
        return gzip.decompress(raw)
    except EOFError as error:
        raise DataError(f"{path}: is truncated gzip; {_REFETCH}") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: is corrupt gzip ({error}); {_REFETCH}") from error


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """The uint8 array in an IDX file (format: yann.lecun.com/exdb/mnist, at its foot).

    Args:
        path: the file, gzip or plain.
        ndim: the number of axes it must have: 3 for images, 1 for labels.

    Raises:
        DataError: another magic number, or a length other than the header tells.
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
    expected = header + math.prod(shape)  # in Python's integers: a lying header cannot overflow
    if len(content) != expected:
        raise DataError(
            f"{path}: {len(content)} bytes where its header {shape} tells {expected}; {_REFETCH}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_idx_pair(images: Path, labels: Path) -> Samples:
    """Images and labels from their two IDX files.

    Raises:
        DataError: as `read_idx`; or images not of 28×28, counts that differ, labels beyond 9.
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
    """Samples from a CSV file: a header, then a row an image, the label and 784 pixels.

    Raises:
        DataError: no header, a row with another number of fields, a field that is no integer in
            0 to 255, a label beyond 9.
    """
    content = read_bytes(path)
    stream = io.BytesIO(content)
    header = stream.readline()
    first = header.removeprefix(b"\xef\xbb\xbf").split(b",")[0].strip(b' "\r\n').lower()
    if first != b"label":
        raise DataError(f"{path}: row 1 is not the header label,pixel1,…,pixel784; add one")
    if not re.compile(rb"\S").search(content, len(header)):
        raise DataError(f"{path}: holds no rows below its header; {_REFETCH}")
    try:
        with warnings.catch_warnings():  # before 2.4 NumPy took 256 for 0, and 1.5 for 1, with a warning
            warnings.simplefilter("error", DeprecationWarning)
            table = np.loadtxt(stream, np.uint8, delimiter=",", comments=None, ndmin=2)
    except ValueError as error:
        raise _first_fault(path, content[len(header) :]) or DataError(f"{path}: {error}") from error
    if table.shape[1] != 1 + PIXELS or table[:, 0].max() > 9:
        raise _first_fault(path, content[len(header) :]) or DataError(f"{path}: is no table of images")
    return Samples(np.ascontiguousarray(table[:, 1:]), table[:, 0].copy())


def _first_fault(path: Path, rows: bytes) -> DataError | None:
    """The first row that does not hold a label and 784 pixels; only a file at fault gets here."""
    for number, row in enumerate(rows.split(b"\n"), start=2):
        if not row.strip():
            continue
        fields = row.split(b",")
        if len(fields) != 1 + PIXELS:
            return DataError(f"{path}: row {number} has {len(fields)} fields; 785 were expected")
        for column, field in enumerate(fields, start=1):
            text = field.strip().decode("ascii", "replace")
            if not (text.isascii() and text.isdigit() and int(text[:9]) <= 255):
                return DataError(
                    f"{path}: row {number}, column {column}: {text[:20]!r} is no integer in 0 to 255"
                )
        if int(fields[0]) > 9:
            label = int(fields[0])
            return DataError(f"{path}: row {number}: label {label} is not one of 0 to 9")
    return None
