"""A save replaces only files that scratchnet wrote, known by what stands in them, unless asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from itertools import islice
from typing import TYPE_CHECKING

from scratchnet.errors import SettingError
from scratchnet.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

MARK = f"scratchnet {__version__}"
"""What pictures and pages say about the program that wrote them."""

FIX = "name another file, or replace it with overwrite=True (--overwrite)"
_HEAD = 4096  # bytes in which a file says what it is
_PAGE = rb'<meta name="generator" content="scratchnet( \d|">)'
_PNG = rb"\A\x89PNG\r\n.*tEXtSoftware\0scratchnet \d"
_SVG = rb"<dc:creator>\s*<cc:Agent>\s*<dc:title>scratchnet \d"
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
    """Whether the file is a log of `CSVLogger`, by its header and its first line.

    The header begins with `epoch` and ends with `duration`. The line has an epoch and floats, as Python
    writes them.
    """
    import csv

    head = _head(path)
    try:
        names, *rows = islice(csv.reader(StringIO(head.decode(errors="replace"))), 3)
    except (csv.Error, ValueError):  # it is no table; or it is empty
        return False
    if names[:1] + names[-1:] != ["epoch", "duration"]:
        return False
    is_whole = len(rows) > 1 or (head.endswith(b"\n") and len(head) < _HEAD)
    if not rows or not is_whole:
        return True
    epoch, *figures = rows[0]
    return len(rows[0]) == len(names) and epoch.isdigit() and all(map(_is_float, figures))


def _is_float(text: str) -> bool:
    """Whether this is a float as Python writes it."""
    try:
        return repr(float(text)) == text
    except ValueError:
        return False


def _says(pattern: bytes, path: Path) -> bool:
    return re.search(pattern, _head(path), re.DOTALL) is not None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)
