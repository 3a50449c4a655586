"""Readers of the two formats of MNIST and its relatives: IDX, and CSV as on Kaggle.

Both return images (n, h, w) and labels (n,), uint8. A bad file is a `DataError` that names the file, and
the row if there is one.
"""

from __future__ import annotations

import io
import itertools
import math
import os
import re
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

MOST_BYTES = 1 << 28
"""The largest unpacked size. All 70,000 images as CSV, with three digits per pixel, are 220 MB."""

_IDX_UINT8 = 0x08
_PART = 1 << 20
_BLANK = b" \t\r\n"
_LONGEST_HEADER = 1 << 20
_BY_PLACE = re.compile(r"\D*?(\d{1,4})x(\d{1,4})")  # pixel1x1, of row and column


class Form(NamedTuple):
    """What the files of a data set can hold. Anything else in them is an error."""

    name: str
    fix: str
    """How to get a file that is not damaged."""
    most: int = 1 << 31
    """The largest unpacked size, in bytes. EMNIST's largest set is 547 MB as IDX and 1.3 GB as CSV."""
    classes: int = 256
    """Labels are from 0 to classes - 1."""
    shape: tuple[int, int] | None = None
    """Height and width of the images; None if the files say it."""


FASHION = Form(
    "Fashion-MNIST",
    "fetch it anew with: scratchnet data fetch",
    MOST_BYTES,
    len(CLASS_NAMES),
    (SIDE, SIDE),
)
ANY_IMAGES = Form("a set of images", "copy or download it again")


class Samples(NamedTuple):
    """Images and their labels, in the order of the files."""

    pixels: np.ndarray
    """(n, h, w), uint8."""
    labels: np.ndarray
    """(n,), uint8, from 0 on."""


def check_file(path: str | os.PathLike[str]) -> None:
    """Check that a path leads to a regular file. Every reader does so before it opens the path.

    Raises:
        DataError: it is a directory, a pipe, a socket or a device.
        OSError: there is no such file.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise DataError(f"{path}: is a directory where a file was expected; give a file")
    if not stat.S_ISREG(mode):  # opening a pipe waits for its writer; a device may have no end
        raise DataError(f"{path}: is a pipe or a device where a file was expected; give a file")


def read_bytes(path: Path, form: Form = FASHION) -> bytearray:
    """Return the file's content, unpacked if it is gzip, whatever its name. Read it in parts.

    Raises:
        DataNotFoundError: there is no such file.
        DataError: it is not a regular file, cannot be read, is empty, is truncated or damaged gzip, or
            has more than `form.most` bytes when unpacked.
    """
    try:
        check_file(path)
        with path.open("rb") as file:
            content = (
                _unpacked(path, file, form)
                if file.peek(2)[:2] == b"\x1f\x8b"
                else _bounded(file, form.most)
            )
    except FileNotFoundError as error:
        raise DataNotFoundError(f"{path}: no such file; {form.fix}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not content:
        raise DataError(f"{path}: is empty; {form.fix}")
    if len(content) > form.most:
        raise DataError(
            f"{path}: holds more than {form.most / 1e6:.0f} MB, unpacked, the most that is read of "
            f"{form.name}; {form.fix}"
        )
    return content


def _unpacked(path: Path, file: BinaryIO, form: Form) -> bytearray:
    import gzip
    import zlib

    try:
        with gzip.open(file) as packed:
            return _bounded(packed, form.most)
    except EOFError as error:
        raise DataError(f"{path}: is truncated gzip; {form.fix}") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: is corrupt gzip ({error}); {form.fix}") from error


def _bounded(file: BinaryIO | GzipFile, most: int) -> bytearray:
    """Read in parts, and stop once there are more bytes than `most`."""
    content = bytearray()
    while len(content) <= most and (part := file.read(_PART)):
        content += part
    return content


def read_idx(path: Path, ndim: int, form: Form = FASHION) -> np.ndarray:
    """Read the uint8 array in an IDX file (format: yann.lecun.com/exdb/mnist, at the end of the page).

    Args:
        path: the file, gzip or plain.
        ndim: the number of axes that it must have: 3 for images, 1 for labels.
        form: what the data set can hold.

    Raises:
        DataError: the magic number is wrong, or the length does not match the header.
    """
    content = read_bytes(path, form)
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
            f"{path}: {len(content)} bytes where its header {shape} tells {expected}; {form.fix}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_idx_pair(images: Path, labels: Path, form: Form = FASHION) -> Samples:
    """Read images and labels from their two IDX files.

    Raises:
        DataError: as `read_idx`; or the images have another shape, counts differ, or a label is above.
    """
    pixels, numbers = read_idx(images, 3, form), read_idx(labels, 1, form)
    if form.shape and pixels.shape[1:] != form.shape:
        raise DataError(
            f"{images}: images of {pixels.shape[1:]} pixels; {form.shape[0]} by {form.shape[1]} were "
            "expected. Read other images with MnistDataLoader"
        )
    if len(pixels) != len(numbers):
        raise DataError(
            f"{images} holds {len(pixels)} images and {labels} {len(numbers)} labels; {form.fix}"
        )
    if not pixels.size:
        raise DataError(f"{images}: holds no images; {form.fix}")
    if numbers.max() >= form.classes:
        row = int(np.argmax(numbers >= form.classes))
        raise DataError(
            f"{labels}: label {numbers[row]} of image {row} is not one of 0 to {form.classes - 1}"
        )
    return Samples(pixels, numbers)


def read_csv(path: Path, form: Form = FASHION) -> Samples:
    """Read samples from a CSV file: a header, then one row per image, with the label and the pixels.

    If the form has no shape, the images are square, or the header names the pixels by row and column:
    label,1x1,1x2,….

    Raises:
        DataError: there is no header, a row has another number of fields, a field is not an integer in 0
            to 255, or a label is too large.
    """
    stream = io.BytesIO(read_bytes(path, form))
    header = stream.readline(_LONGEST_HEADER)
    names = [name.strip('" \r\n').lower() for name in header.decode("utf-8-sig", "replace").split(",")]
    if names[0] != "label":
        raise _header_fault(path, header, names)
    shape = form.shape or _shape(path, names[1:])
    width = 1 + math.prod(shape)
    rows = _rows(path, stream, width, form)
    row = next(rows, None)
    if row is None:
        raise DataError(f"{path}: holds no rows below its header; {form.fix}")
    texts = (text for _, text in itertools.chain([row], rows))
    try:
        with warnings.catch_warnings():  # before version 2.4, NumPy read 256 as 0, with a warning
            warnings.simplefilter("error", DeprecationWarning)
            table = np.loadtxt(texts, np.uint8, delimiter=",", comments=None, ndmin=2)
    except DataError:
        raise
    except ValueError as error:
        raise _first_fault(path, stream, len(header), width, form) from error
    if table[:, 0].max() >= form.classes:
        raise _first_fault(path, stream, len(header), width, form)
    return Samples(np.ascontiguousarray(table[:, 1:]).reshape(-1, *shape), table[:, 0].copy())


def _header_fault(path: Path, header: bytes, names: list[str]) -> DataError:
    """Return why the first row is not a header that begins with the label."""
    if b"\0" in header:
        return DataError(f"{path}: is UTF-16 or binary; save it as UTF-8, or read it with CsvDataLoader")
    counts = {separator: header.count(separator.encode()) for separator in ",;\t|"}
    separator = max(counts, key=counts.__getitem__)
    if separator != ",":
        return DataError(
            f"{path}: its columns are separated by {separator!r} where commas were expected; read it "
            "with CsvDataLoader"
        )
    if "label" in names:
        return DataError(
            f"{path}: the label is column {names.index('label') + 1}, and an image file has it in "
            "column 1; read this table with CsvDataLoader(file, 'label')"
        )
    return DataError(f"{path}: row 1 is not the header label,pixel1,…,pixel784; add one")


def _shape(path: Path, names: list[str]) -> tuple[int, int]:
    """Return the images' height and width, from the names of the pixels, or for square images."""
    places = [(int(m[1]), int(m[2])) for m in map(_BY_PLACE.fullmatch, names) if m]
    if places and len(places) == len(names):
        (top, left), (bottom, right) = places[0], places[-1]
        height, width = bottom - top + 1, right - left + 1
        if places == [(top + i // width, left + i % width) for i in range(height * width)]:
            return height, width
    side = math.isqrt(len(names))
    if not side or side * side != len(names):
        raise DataError(
            f"{path}: row 1 names {len(names)} pixels, which is no square image; name the pixels by row "
            "and column: label,1x1,1x2,…"
        )
    return side, side


def _rows(path: Path, stream: BinaryIO, width: int, form: Form) -> Iterator[tuple[int, bytes]]:
    """Yield number and text of each row that is not blank.

    Raises:
        DataError: a row does not have as many fields of digits. A longer row is not read to its end.
    """
    longest = 16 * width  # four characters per field; the rest is blanks
    most = form.most >> 9  # three times as many images of 784 pixels as can be there
    for number in range(2, most):
        row = stream.readline(longest)
        if not row:
            return
        if len(row) == longest and row[-1:] != b"\n":
            raise DataError(f"{path}: row {number} has {longest} characters or more; {form.fix}")
        text = row.strip(_BLANK)
        if not text:
            continue
        if (fields := text.count(b",") + 1) != width:
            raise DataError(f"{path}: row {number} has {fields} fields; {width} were expected")
        if text.translate(None, b"0123456789, ") and (fault := _fault(path, number, text, form)):
            raise fault
        yield number, text
    raise DataError(f"{path}: has more than {most} rows; {form.fix}")


def _first_fault(path: Path, stream: BinaryIO, start: int, width: int, form: Form) -> DataError:
    """Return what is wrong with the first bad row after the header. Called only for a bad file."""
    stream.seek(start)
    faults = (_fault(path, number, text, form) for number, text in _rows(path, stream, width, form))
    return next((fault for fault in faults if fault), DataError(f"{path}: is no table of images"))


def _fault(path: Path, number: int, text: bytes, form: Form) -> DataError | None:
    """Return the first field that is not an integer in 0 to 255, or a label that is too large."""
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
    if (label := int(fields[0][-3:])) >= form.classes:
        return DataError(f"{path}: row {number}: label {label} is not one of 0 to {form.classes - 1}")
    return None
