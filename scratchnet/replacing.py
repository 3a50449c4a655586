"""A save replaces only files that scratchnet wrote, known by what stands in them, unless asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from typing import TYPE_CHECKING

from scratchnet.errors import SettingError
from scratchnet.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

MARK = f"scratchnet {__version__}"
"""What pictures and pages say about the program that wrote them."""

FIX = "name another file, or replace it with overwrite=True (--overwrite)"
_HEAD = 4096  # bytes in which a file says what it is
_LOG = 2**20  # bytes of a log that are read; its first line may name hundreds of metrics
_PAGE = (
    rb'\A\s*<!doctype html>\s*<html lang="en">\s*<head>\s*<meta charset="utf-8">\s*'
    rb'<meta name="generator" content="scratchnet \d'
)
_CUT = r"-?([0-9][-+.e0-9]*|in?f?)?|na?n?"  # a float whose end may be missing
_PNG = rb"\A\x89PNG\r\n.*tEXtSoftware\0scratchnet \d"
_SVG = rb"\A((?!<!--|<!\[).)*<dc:creator>\s*<cc:Agent>\s*<dc:title>scratchnet \d"
_DRAWING = rb'\A(<svg [^<>]*class="scratchnet-graph"|digraph scratchnet \{\n  graph \[nodesep=)'


def check_replaceable(
    path: Path,
    what: str,
    is_ours: Callable[[Path], bool],
    overwrite: bool,
    error: type[Exception] = SettingError,
) -> None:
    """Check that a save may write to the path.

    Args:
        path: where the file is to be. It may be missing or empty.
        what: what scratchnet may replace there, such as "report".
        is_ours: whether a file is that.
        overwrite: whether any other file may be replaced too.
        error: the class of the error.

    Raises:
        error: a file is there that scratchnet did not write, or a folder, a pipe or a device.
        OSError: the file cannot be read.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise error(f"{path}: is a folder, a pipe or a device; name a file")
    if not overwrite and path.stat().st_size and not is_ours(path):
        raise error(f"{path}: is there already, and is no {what} of scratchnet; {FIX}")


def is_page(path: Path) -> bool:
    """Whether the file is a report."""
    return _says(_PAGE, path)


def is_picture(path: Path) -> bool:
    """Whether the file is a picture of results, as PNG or SVG."""
    return _says(_PNG, path) or _says(_SVG, path)


def is_drawing(path: Path) -> bool:
    """Whether the file is a drawing of a graph, as SVG or DOT."""
    return _says(_DRAWING, path)


def is_log(path: Path) -> bool:
    """Whether the file is a log of `CSVLogger`, by its header and its lines.

    The header begins with `epoch` and ends with `duration`. Each line has an epoch and floats, as Python
    writes them. The last line may be the beginning of one, as a killed process leaves it, and a
    power failure may add zeros.
    """
    import csv

    text = StringIO(_head(path, _LOG).decode(errors="replace").replace("\r\n", "\n"))
    try:
        names = next(csv.reader(text), [])
    except csv.Error:  # it is no table
        return False
    if names[:1] + names[-1:] != ["epoch", "duration"]:
        return False
    kinds = [int, *[float] * (len(names) - 1)]
    *rows, last = (line.split(",") for line in text.read().rstrip("\r\0").split("\n"))
    return (
        all(len(row) == len(kinds) and all(map(_is, kinds, row)) for row in rows)
        and len(last) <= len(kinds)
        and all(map(_is, kinds, last[:-1]))
        and re.fullmatch(_CUT if last[1:] else "[0-9]*", last[-1]) is not None
    )


def _is(kind: type[float], text: str) -> bool:
    """Whether this is a number of the kind, as Python writes it."""
    try:
        return repr(kind(text)) == text
    except ValueError:
        return False


def _says(pattern: bytes, path: Path) -> bool:
    return re.search(pattern, _head(path), re.DOTALL) is not None


def _head(path: Path, size: int = _HEAD) -> bytes:
    with path.open("rb") as file:
        return file.read(size)
