"""A save replaces only files that scratchnet wrote, known by what stands in them, unless asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from scratchnet.errors import SettingError
from scratchnet.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

MARK = f"scratchnet {__version__}"
"""What pictures and pages say about the program that wrote them."""

FIX = "name another file, or replace it with overwrite=True (--overwrite)"
_HEAD = 4096  # bytes in which a file says what it is
_PAGE = b'<meta name="generator" content="scratchnet'
_PICTURES = b"tEXtSoftware\0scratchnet", b"<dc:title>scratchnet"  # PNG, SVG
_DRAWINGS = b'class="scratchnet-graph"', b"digraph scratchnet "  # SVG, DOT


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
    return _PAGE in _head(path)


def is_picture(path: Path) -> bool:
    """Whether the file is a picture of results, as PNG or SVG."""
    head = _head(path)
    return any(each in head for each in _PICTURES)


def is_drawing(path: Path) -> bool:
    """Whether the file is a drawing of a graph, as SVG or DOT."""
    head = _head(path)
    return any(each in head for each in _DRAWINGS)


def is_log(path: Path) -> bool:
    """Whether the file is a log of `CSVLogger`, by the first and the last name of its header."""
    header = _head(path).partition(b"\n")[0].rstrip(b"\r").split(b",")
    return (header[0], header[-1]) == (b"epoch", b"duration")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)
