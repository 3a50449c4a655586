"""The disk of the tests sees each way to write, and knows what a power failure may leave."""

import errno
import gzip
import io
import os
import tempfile
import zipfile
from pathlib import Path

import pytest
from disk import Disk
from faults import faults
from processes import run


def by_os(path):
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.write(descriptor, b"new")
    os.close(descriptor)


def by_fdopen(path):
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), "w") as file:
        file.write("new")


def by_builtin_open(path):
    with open(path, "wb") as file:
        file.write(b"new")


def by_text(path):
    with io.open(path, "w", encoding="ascii") as file:  # noqa: UP020 - the other name of `open`
        print("new", end="", file=file)


def by_raw_file(path):
    with io.FileIO(path, "w") as file:
        file.write(b"new")


def by_unbuffered_file(path):
    with path.open("wb", buffering=0) as file:
        file.write(b"new")


def by_both(path):
    with path.open("w+b") as file:
        file.write(b"new")
        file.seek(0)
        assert file.read() == b"new"


def by_rename(path):
    by_os(path.with_name("other"))
    os.rename(path.with_name("other"), path)


def by_temporary_folder(path):
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        by_os(os.path.join(folder, "part"))
        os.replace(os.path.join(folder, "part"), path)


def by_temporary_file(path):
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(b"new")
    Path(file.name).replace(path)


def by_appending(path):
    path.unlink()
    for part in (b"n", b"ew"):
        with path.open("ab") as file:
            file.write(part)


def by_cutting(path):
    with path.open("wb") as file:
        file.write(b"newer")
        file.truncate(3)


def by_one_call(path):
    path.write_text("new")


WAYS = [each for name, each in globals().items() if name.startswith("by_")]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_each_way_to_write_is_seen_and_can_fail_at_each_call(tmp_path, way):
    path = tmp_path / "f"
    for fault in faults([errno.EIO], [False]):
        path.write_bytes(b"old")
        with Disk(tmp_path, fault) as disk:
            try:
                way(path)
                whole = path.read_bytes() == b"new"
            except OSError:
                whole = False
        assert whole == (not fault.failed)
    assert {call for call, _ in disk.calls} >= {"open", "write", "close"}
    assert not disk.open


@pytest.mark.parametrize("way", [zipfile.ZipFile, gzip.GzipFile])
def test_what_libraries_write_is_seen(tmp_path, way):
    with Disk(tmp_path) as disk, way(tmp_path / "f", "w"):
        pass
    assert {call for call, _ in disk.calls} >= {"open", "write", "close"}


def test_a_file_without_a_name_is_seen(tmp_path):
    with Disk(tmp_path) as disk, tempfile.TemporaryFile(dir=tmp_path) as file:
        file.write(b"new")
    assert {call for call, _ in disk.calls} >= {"open", "write", "close"}


def test_a_change_that_was_not_seen_fails_the_test(tmp_path):
    disk = Disk(tmp_path).__enter__()
    run("touch", tmp_path / "f")
    with pytest.raises(AssertionError, match="not seen"):
        disk.__exit__()


def test_a_call_that_the_disk_does_not_know_fails_the_test(tmp_path):
    with pytest.raises(AssertionError, match=r"os\.link .* does not know"), Disk(tmp_path):
        os.link(tmp_path / "f", tmp_path / "g")


def in_place(path):
    path.write_bytes(b"new")


def forced(path):
    with path.open("wb") as file:
        file.write(b"new")
        file.flush()
        os.fsync(file.fileno())


def moved(write, settle):
    def do(path):
        write(path.with_name("part"))
        path.with_name("part").replace(path)
        if settle:
            folder = os.open(path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)

    return do


def grown(path):
    with path.open("ab") as file:
        file.write(b"er")


OTHER = {b"", b"n", b"\0\0\0"}


@pytest.mark.parametrize(
    ("write", "found"),
    [
        (in_place, {b"old", b"new", *OTHER}),
        (forced, {b"new"}),
        (grown, {b"old", b"olde", b"older", b"old\0\0"}),
        (moved(in_place, settle=False), {b"old", b"new", *OTHER}),
        (moved(in_place, settle=True), {b"new", *OTHER}),
        (moved(forced, settle=False), {b"old", b"new"}),
        (moved(forced, settle=True), {b"new"}),
        (Path.unlink, {b"old", None}),
        (lambda path: path.with_name("g").write_bytes(b""), {b"old"}),
    ],
)
def test_what_a_power_failure_after_the_work_may_leave(tmp_path, write, found):
    (tmp_path / "f").write_bytes(b"old")
    with Disk(tmp_path) as disk:
        write(tmp_path / "f")
    assert {files.get("f") for done, files in disk.after_power_loss() if done} == found


def test_a_file_is_lost_with_its_folder(tmp_path):
    with Disk(tmp_path) as disk:
        (tmp_path / "g").mkdir()
        moved(forced, settle=True)(tmp_path / "g" / "f")
    left = [files for done, files in disk.after_power_loss() if done]
    assert sorted(left, key=len) == [{}, {"g/f": b"new"}]


def test_of_too_many_folders_some_are_drawn(tmp_path):
    for number in range(20):
        (tmp_path / str(number)).touch()
    with Disk(tmp_path) as disk:
        for number in range(20):
            (tmp_path / str(number)).unlink()
    left = [files for done, files in disk.after_power_loss(100) if done]
    assert 50 < len(left) <= 100
