"""A lock on a path: one run of one process holds it at a time."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from zlib import crc32

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_TAKEN = errno.EACCES, errno.EAGAIN, errno.EDEADLK  # as the systems report it
_NONE = errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL  # a file system without locks
_NOW = "another training run writes it now; wait until it ends, or name another file"
_LONGEST = 50  # characters, of at most 4 bytes each; a name has at most 255 bytes
_held = dict[str, object]()  # by this process: the system's locks do not keep its threads apart
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_held.clear)


def lock(descriptor: int) -> bool:
    """Lock an open file without waiting, until it is closed.

    Returns:
        False if another process holds the lock. True also on a file system that has no locks.

    Raises:
        OSError: the system reports another error.
    """
    try:
        _lock(descriptor)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        if error.errno not in _NONE:
            raise
    return True


def hidden(name: str) -> str:
    """Return the beginning of the names of the temporary files beside a file.

    It is `.name`. A long name is cut and gets a checksum, because longer names must be possible too, and
    two files that begin alike must not have one lock.
    """
    if len(name) > _LONGEST:
        name = f"{name[: _LONGEST - 9]}-{crc32(os.fsencode(name)):08x}"
    return f".{name}"


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Hold the lock of a path, by a file `.name.lock` beside it, which disappears afterwards.

    The system ends the lock when the process ends, whatever happens to it. Child processes do not hold
    it. On a file system that has no locks, only the runs of this process are kept apart. A file of the
    user that has this name stays as it is.

    Args:
        path: an absolute path without links.

    Raises:
        BlockingIOError: the lock is taken.
        OSError: the file cannot be made, or a link, a folder, a pipe or a device has its name.
    """
    if _held.setdefault(path, mine := object()) is not mine:
        raise BlockingIOError(errno.EAGAIN, _NOW, path)
    try:
        folder, name = os.path.split(path)
        file = os.path.join(folder, f"{hidden(name)}.lock")
        descriptor, process = _opened(file), os.getpid()
        try:
            yield
        finally:
            # The name goes first, so that no other process locks a file that disappears; on Windows, an
            # open file cannot be removed. A file that stays is not locked: the next run takes it.
            ours = os.getpid() == process  # in a forked child, the name is still the parent's
            steps = [partial(_remove, file)] * ours + [partial(os.close, descriptor)]
            for step in reversed(steps) if sys.platform == "win32" else steps:
                with suppress(OSError):
                    step()
    finally:
        _held.pop(path, None)  # a fork has emptied it


def _opened(file: str) -> int:
    """Open the file and lock it."""
    if os.path.islink(file) or (os.path.exists(file) and not os.path.isfile(file)):
        told = f"{file}, the name of its lock, is a link, a folder, a pipe or a device; rename it"
        raise OSError(errno.EEXIST, told, file)
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            if not lock(descriptor):
                raise BlockingIOError(errno.EAGAIN, _NOW, file)
        except OSError:
            os.close(descriptor)
            raise
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(file)):
                return descriptor
        os.close(descriptor)  # in this moment, the process that held it has removed it


def _remove(file: str) -> None:
    """Remove the file, unless it has content: then it is the user's."""
    if not os.path.getsize(file):
        os.unlink(file)
