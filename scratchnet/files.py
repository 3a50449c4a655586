"""Files: written whole or not at all, what arrays and text hash to, and what older versions wrote."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from scratchnet.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file beside the path, and move it there once it is safely on the disk.

    On a failure the file beside it is removed; of a process that was killed it is left behind, and the
    next one that writes to the path removes it.

    Raises:
        OSError: the file cannot be written; what was at the path is still there.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        with part.open("xb") as file:
            if hasattr(os, "fchmod") and path.exists():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)  # who may read it stays
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _settle(path.parent)
    _remove_left_behind(path)


def check_no_device(path: Path) -> None:
    """See that only a file would be replaced, and not a device such as /dev/null.

    Raises:
        OSError: a folder, a pipe or a device is there.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is a folder, a pipe or a device", str(path))


def name_of(path: object, owner: str) -> str:
    """The path as text.

    Raises:
        SettingError: it is None, a number, bytes, or no file can have that name; `owner` is whose it is.
    """
    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(name, str) or not name or "\0" in name:
        raise SettingError(f"{owner}: {path!r} is no path; give a str or a pathlib.Path")
    return name


def check_place(path: Path) -> None:
    """See that a file can be written to the path; what is there is left as it is.

    Raises:
        OSError: its folder is not there or cannot be written to, or a folder or a device is there.
    """
    import tempfile

    check_no_device(path)
    with tempfile.TemporaryFile(dir=path.parent):  # whether it can be written to is known by trying
        pass


def digest_of(arrays: Mapping[str, np.ndarray], text: Mapping[str, str] | None = None) -> str:
    """A SHA-256 of host arrays by name, their shapes and dtypes, and of text by name."""
    import hashlib

    digest = hashlib.sha256(repr(sorted((text or {}).items())).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(repr((name, array.dtype.str, array.shape)).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def of_version_0_1(state: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """A state of version 0.1 as today's: then, paths in a Sequential had `stages`, and a bias was a row.

    Args:
        state: arrays by path, of any version.
        shapes: those of today's state, by path.
    """
    converted = {}
    for path, value in state.items():
        today = re.sub(r"(^|\.)stages\.(?=\d)", r"\1", path)
        path = path if path in shapes or today not in shapes else today
        row = path in shapes and len(shapes[path]) == 1 and np.shape(value) == (1, *shapes[path])
        converted[path] = np.reshape(value, shapes[path]) if row else value
    return converted


def _settle(folder: Path) -> None:
    """See that the new name of the file is on the disk too, where a folder can be opened."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_left_behind(path: Path) -> None:
    from glob import escape

    for part in path.parent.glob(f".{escape(path.name)}.*-*.part"):
        process = part.name.removeprefix(f".{path.name}.").partition("-")[0]
        if process.isdecimal() and not _runs(int(process)):
            part.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    if os.name == "nt":
        return True  # there, signal 0 would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
