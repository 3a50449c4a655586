"""A disk that sees each call, lets one fail, or loses its power, as SQLite's tests have it.

    with Disk(folder) as disk:  # sees each call of the work that opens or changes a file in the folder
        sn.save(folder / "net", state)
    for done, files in disk.after_power_loss():  # all that the folder may hold then
        ...
    for fault in faults([errno.EIO]):  # the first call fails, then the second, …
        with Disk(folder, fault):
            ...

The calls are seen where Python hands them to the system: functions of `os`, and the raw file below the
buffers of `open`. So it does not matter how the work makes them. At the end, `Disk` compares what it has
seen with the folder, so that a change on another way fails the test.
"""

import builtins
import io
import os
from itertools import count
from pathlib import Path

import pytest
from power import FOLDER, Past

SEEN = "open", "close", "write", "fsync", "ftruncate", "truncate", "mkdir", "rmdir", "unlink"
UNKNOWN = "link", "symlink", "pwrite", "writev", "pwritev", "fdatasync", "sendfile"
NAMELESS = "(a file without a name)"


class Disk:
    """Within its block, sees and records the calls for a folder and all in it.

    Args:
        folder: an existing folder.
        before: called with the call and the name before each, and in the middle of each write. An
            `OSError` from it is the error of the call.

    Attributes:
        calls: each as (call, name). The name is relative to the folder, and that of a folder ends in /.
        open: what is open, by descriptor.
    """

    def __init__(self, folder, before=lambda call, name: None):
        self.folder, self.before = os.path.realpath(folder), before
        self.calls, self.open, self._log, self._late = [], {}, [], {}
        self._ids, self._names, self._first = count(), {}, {}
        for path in Path(self.folder).rglob("*"):
            self._names[str(path)] = FOLDER if path.is_dir() else next(self._ids)
            if path.is_file():
                self._first[self._names[str(path)]] = path.read_bytes()
        self._first_names = dict(self._names)

    def __enter__(self):
        self._real, self._patch = {}, pytest.MonkeyPatch()
        for name in SEEN:
            self._replace(os, name, getattr(self, f"_{name}"))
        for name in ("replace", "rename"):
            self._replace(os, name, self._rename)
        self._replace(os, "remove", self._unlink)
        for name in UNKNOWN:
            if hasattr(os, name):
                self._replace(os, name, self._unknown(name))
        self._open_whole = open
        self._patch.setattr(io, "FileIO", type("FileIO", (_Raw,), {"disk": self}))
        self._patch.setattr(io, "open", self._open_file)
        self._patch.setattr(builtins, "open", self._open_file)
        return self

    def __exit__(self, *_):
        self._patch.undo()
        there = {str(each): each for each in Path(self.folder).rglob("*")}
        seen = Past(self._first_names, self._first, self._log).now()
        found = {name: FOLDER if each.is_dir() else each.read_bytes() for name, each in there.items()}
        assert found == seen, "the folder was changed by a call that was not seen"

    def after_power_loss(self, most=1000):
        """Yield (done, files) for the folders that are possible if the power fails during the work.

        `done` is True for those that are possible after its end, and `files` is the content by relative
        name. Content that was not fsynced may be old, new, a part, empty or zeros. Names whose folder
        was not fsynced since may be there or not, each on its own. If after one call there are more than
        `most` folders, so many are drawn.
        """
        seen = set()
        for end in range(len(self._log) + 1):
            done = end == len(self._log)
            past = Past(self._first_names, self._first, self._log[:end])
            for files in past.possible(self.folder, most):
                key = done, tuple(sorted(files.items()))
                if key not in seen:
                    seen.add(key)
                    yield done, files

    def _replace(self, module, name, new):
        self._real[name] = getattr(module, name)
        self._patch.setattr(module, name, new)

    def _place(self, path, dir_fd=None):
        """Return the absolute path if it is the folder or in it, or else None."""
        if isinstance(path, int):
            return self.open[path][0] if path in self.open else None
        base = self.open[dir_fd][0] if dir_fd in self.open else ""
        folder, name = os.path.split(os.path.abspath(os.path.join(base, os.fsdecode(path))))
        place = os.path.join(os.path.realpath(folder), name)
        return place if f"{place}/".startswith(f"{self.folder}/") else None

    def _called(self, call, place, path=None):
        """Count a call. The error of a call for a path has the path, as Python's own has it."""
        name = os.path.relpath(place, self.folder) + "/" * os.path.isdir(place)
        self.calls.append((call, name))
        try:
            self.before(call, name)
        except OSError as error:
            error.filename = path
            raise

    def _path_call(self, call, path, dir_fd, options, made):
        """Do a call for a path, and record what it `made` of the names."""
        place = self._place(path, dir_fd)
        if place:
            self._called(call, place, path)
        self._real[call](path, *options, dir_fd=dir_fd)
        if place:
            self._log_names({place: made})

    def _log_names(self, changed):
        self._log.append(("names", changed))
        self._names.update(changed)

    def _mkdir(self, path, mode=0o777, *, dir_fd=None):
        self._path_call("mkdir", path, dir_fd, (mode,), FOLDER)

    def _rmdir(self, path, *, dir_fd=None):
        self._path_call("rmdir", path, dir_fd, (), None)

    def _unlink(self, path, *, dir_fd=None):
        self._path_call("unlink", path, dir_fd, (), None)

    def _rename(self, source, target, **given):
        places = self._place(source), self._place(target)
        if any(places):
            assert all(places), "a file was moved into the folder or out of it"
            assert self._names.get(places[0]) is not FOLDER, "a folder was moved"
            self._called("replace", places[1], source)
        self._real["replace"](source, target, **given)
        if any(places):
            self._log_names({places[0]: None, places[1]: self._names[places[0]]})

    def _open(self, path, flags, mode=0o777, *, dir_fd=None):
        place = self._place(path, dir_fd)
        is_nameless = place and flags & (os.O_WRONLY | os.O_RDWR) and os.path.isdir(place)  # O_TMPFILE
        if place:
            self._called("open", os.path.join(place, NAMELESS) if is_nameless else place, path)
        descriptor = self._real["open"](path, flags, mode, dir_fd=dir_fd)
        if not place:
            return descriptor
        writes = flags & (os.O_WRONLY | os.O_RDWR)
        number = self._names.get(place, FOLDER)
        if writes and not isinstance(number, int):
            number = next(self._ids)
            if is_nameless:
                place = os.path.join(place, NAMELESS)
            else:
                self._log_names({place: number})
        if writes and flags & os.O_TRUNC:
            self._log.append(("truncate", number, 0))
        self.open[descriptor] = place, number, bool(writes)
        return descriptor

    def _close(self, descriptor):
        self._real["close"](descriptor)  # also if it fails
        self.was_closed(descriptor)

    def was_closed(self, descriptor):
        self._late.pop(descriptor, None)
        place, _, writes = self.open.pop(descriptor, (None, None, None))
        if writes:
            self._called("close", place)

    def _write(self, descriptor, content):
        if descriptor not in self.open:
            return self._real["write"](descriptor, content)
        place, number, _ = self.open[descriptor]
        if descriptor in self._late:
            raise self._late.pop(descriptor)
        self._called("write", place)
        content = memoryview(content).cast("B")
        half = len(content) // 2
        self._write_part(descriptor, number, content[:half])
        try:
            self._called("the rest of a write", place)
        except OSError as error:
            if not half:
                raise
            self._late[descriptor] = error  # this write is a short one, and the next one fails
            return half
        self._write_part(descriptor, number, content[half:])
        return len(content)

    def _write_part(self, descriptor, number, content):
        assert self._real["write"](descriptor, content) == len(content)
        at = os.lseek(descriptor, 0, os.SEEK_CUR) - len(content)
        self._log.append(("write", number, at, bytes(content)))

    def _fsync(self, descriptor):
        if descriptor not in self.open:
            return self._real["fsync"](getattr(descriptor, "fileno", lambda: descriptor)())
        place, number, _ = self.open[descriptor]
        self._called("fsync", place)
        return self._log.append(("fsync", place if number is FOLDER else number))

    def _ftruncate(self, descriptor, size):
        if descriptor in self.open:
            place, number, _ = self.open[descriptor]
            self._called("truncate", place)
            self._log.append(("truncate", number, size))
        self._real["ftruncate"](descriptor, size)

    def _truncate(self, path, size):
        if isinstance(path, int):
            return self._ftruncate(path, size)
        if place := self._place(path):
            self._called("truncate", place)
            self._log.append(("truncate", self._names[place], size))
        return self._real["truncate"](path, size)

    def _unknown(self, name):
        def call(*given, **options):
            places = [self._place(each) for each in given if isinstance(each, (int, str, os.PathLike))]
            assert not any(places), f"os.{name} in the folder: Disk does not know this call"
            return self._real[name](*given, **options)

        return call

    def _open_file(
        self, file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True,
        opener=None,
    ):  # fmt: skip
        """Open as `io.open` does, with a raw file that asks this disk."""
        if self._place(file) is None:
            return self._open_whole(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = io.FileIO(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        if buffering == 0:
            return raw
        kind = _Both if "+" in mode else io.BufferedReader if raw.readable() else _Writer
        buffered = kind(raw, buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(buffered, encoding, errors, newline, buffering == 1)
        text.mode = mode
        return text


class _Raw(io.FileIO):
    def __init__(self, file, mode="r", closefd=True, opener=None):
        super().__init__(
            file, mode, closefd, opener or (lambda path, flags: os.open(path, flags, 0o666))
        )

    def write(self, content):
        return os.write(self.fileno(), content)

    def truncate(self, size=None):
        os.ftruncate(self.fileno(), self.tell() if size is None else size)

    def close(self):
        descriptor = None if self.closed or not self.closefd else self.fileno()
        super().close()
        if descriptor is not None:
            self.disk.was_closed(descriptor)


class _Flushing:
    def flush(self):
        disk = self.raw.disk
        if not self.closed and (place := disk._place(self.fileno())):
            disk._called("flush", place)
        super().flush()


class _Writer(_Flushing, io.BufferedWriter):
    pass


class _Both(_Flushing, io.BufferedRandom):
    pass
