"""Files: complete writes, who writes, checks of paths, digests, and states of version 0.1."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from backends import registry
from backends.errors import one_line
from scratchnet.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path

_PARTS, _PART = 64, 4096  # how many parts of a file a sample has, and the bytes of each
_NOT_OFFERED = "EACCES", "EPERM", "EINVAL", "EBADF", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"
_here = True
_busy: Callable[[str], AbstractContextManager[object]] = nullcontext


def writes_here() -> bool:
    """Whether this process prints and writes results. In data-parallel training, only rank 0 does.

    Caches and downloads are no results: any process writes them.
    """
    return _here


def set_writes_here(here: bool) -> None:
    """Decide whether this process prints and writes results, from now on."""
    global _here
    _here = registry.announces = here


def set_busy(busy: Callable[[str], AbstractContextManager[object]] = nullcontext) -> None:
    """Let a function know while a file is written: other processes may wait meanwhile."""
    global _busy
    _busy = busy


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file completely or not at all.

    `write` fills a temporary file in the same folder. When all of it is on the disk, the file moves to
    the path. Then the name is written to the disk too, except where the file system or the rights do not
    offer that. A failure removes the temporary file. If the process is killed, the file stays, and the
    next write to the path removes it. While this process writes, it locks the file, so that no other
    container or machine removes it.

    Args:
        path: where the file is to be.
        write: a function that writes the content to a binary file.

    Raises:
        OSError: the file cannot be written, or the path is a folder, a pipe or a device. What was at the
            path is unchanged.
    """
    from scratchnet.locked import hidden  # read where it is needed

    if not path.is_symlink():  # a link is replaced itself
        check_no_device(path)
    part = path.with_name(f"{hidden(path.name)}.{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        with part.open("xb") as file:
            _lock_part(file.fileno())
            if hasattr(os, "fchmod") and path.exists():
                with _if_offered():
                    os.fchmod(file.fileno(), path.stat().st_mode & 0o777)  # keep the permissions
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):  # the first error says why
            part.unlink(missing_ok=True)
        raise
    _settle(path.parent)
    with suppress(OSError):  # the file is written
        _remove_left_behind(path)


def make_folder(folder: Path) -> None:
    """Create a folder and those above it, if they do not exist, and write their names to the disk.

    Raises:
        OSError: one of them cannot be created, or is not a folder.
    """
    for each in (*reversed(folder.parents), folder):
        if not each.is_dir():
            each.mkdir(exist_ok=True)
            _settle(each.parent)


def check_no_device(path: Path) -> None:
    """Check that a write to the path would not replace a folder, a pipe or a device such as /dev/null.

    Raises:
        OSError: the path is a folder, a pipe or a device.
    """
    if path.exists() and not path.is_file():
        raise OSError(0, "is a folder, a pipe or a device", str(path))


@contextmanager
def writing(place: object, error: type[Exception] = SettingError) -> Iterator[None]:
    """Turn an `OSError` into an error of this class, which names the place and the cause."""
    try:
        with _busy(f"writes {place}"):
            yield
    except OSError as cause:
        raise error(f"{place}: cannot be written: {cause.strerror or cause}") from cause


def name_of(path: object, owner: str) -> str:
    """Return a path as text.

    Args:
        path: a str or a pathlib.Path.
        owner: the function or class that got the path, for the message.

    Raises:
        SettingError: the path is None, a number, bytes, empty, or contains a null character or one that
            the names of files cannot have.
    """
    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    with suppress(UnicodeEncodeError):
        if isinstance(name, str) and name and b"\0" not in os.fsencode(name):
            return name
    told = one_line(repr(path))
    raise SettingError(f"{owner}: {told} is not a path; give a str or a pathlib.Path")


def check_place(path: Path) -> None:
    """Check that a file can be written to the path, without changing a file that is there.

    Raises:
        OSError: the folder of the path is missing or read-only, or the path is a folder or a device.
    """
    import tempfile

    check_no_device(path)
    with tempfile.TemporaryFile(dir=path.parent):  # only a real write shows whether the folder allows it
        pass


def digest_of(arrays: Mapping[str, np.ndarray], text: Mapping[str, str] | None = None) -> str:
    """Return the SHA-256 of host arrays with their names, shapes and dtypes, and of text by name."""
    import hashlib

    digest = hashlib.sha256(repr(sorted((text or {}).items())).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(repr((name, array.dtype.str, array.shape)).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def sample_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's size and of 64 parts, spread from its beginning to its end.

    It reads at most 256 kB. So it is another one for other data, but it need not notice that a few
    bytes of a larger file have changed.

    Raises:
        OSError: the file cannot be read.
    """
    import hashlib

    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest, last = hashlib.sha256(str(size).encode()), max(size - _PART, 0)
        for number in range(_PARTS):
            file.seek(last * number // (_PARTS - 1))
            digest.update(file.read(_PART))
    return digest.hexdigest()


def of_version_0_1(state: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Convert a state that version 0.1 wrote; a newer state stays as it is.

    In version 0.1 the paths of a Sequential contained `stages`, and a bias had the shape (1, n).

    Args:
        state: arrays by path, of any version.
        shapes: the shapes that the arrays must have today, by path.

    Returns:
        Arrays by path.
    """
    converted = {}
    for path, value in state.items():
        today = re.sub(r"(^|\.)stages\.(?=\d)", r"\1", path)
        path = path if path in shapes or today not in shapes else today
        is_bias = path in shapes and path.rpartition(".")[2] == "bias" and len(shapes[path]) == 1
        row = is_bias and np.shape(value) == (1, *shapes[path])
        converted[path] = np.reshape(value, shapes[path]) if row else value
    return converted


@contextmanager
def _if_offered() -> Iterator[None]:
    """Ignore that the file system or the rights do not offer something. Other errors remain errors."""
    try:
        yield
    except OSError as error:
        import errno

        if error.errno not in [getattr(errno, name) for name in _NOT_OFFERED]:
            raise


def _settle(folder: Path) -> None:
    """Write the names in a folder to the disk, on systems that can open a folder."""
    if hasattr(os, "O_DIRECTORY"):
        with _if_offered():  # SMB refuses fsync of a folder, and a write-only folder cannot be opened
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _remove_left_behind(path: Path) -> None:
    from glob import escape

    from scratchnet.locked import hidden

    beginning = f"{hidden(path.name)}."
    for part in path.parent.glob(f"{escape(beginning)}*-*.part"):
        process = part.name.removeprefix(beginning).partition("-")[0]
        if process.isdecimal() and not _runs(int(process)):
            # The process may run in another container or on another machine. Then it holds the lock.
            with suppress(OSError), part.open("r+b", buffering=0) as file:
                if _lock_part(file.fileno()):
                    part.unlink(missing_ok=True)


def _lock_part(descriptor: int) -> bool:
    """Try to lock a part, and return whether that succeeded. On Windows, no part needs a lock."""
    from scratchnet.locked import lock

    with suppress(OSError):  # without a lock, the file is written all the same
        return os.name != "nt" and lock(descriptor)
    return False


def _runs(process: int) -> bool:
    if os.name == "nt":
        return True  # on Windows, signal 0 would end the process
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
