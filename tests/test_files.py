"""What the library writes is whole and safe, whichever call fails and whenever the power does."""

import errno
import os
import threading
import warnings
from itertools import count

import pytest
from disk import NAMELESS, Disk, faults
from works import WORKS, surround

from scratchnet.errors import ScratchnetError

ERRORS = errno.EIO, errno.ENOSPC, errno.EACCES, errno.EINVAL, errno.EINTR
REFUSED = errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Return new folders, one after the other, each ready for the works."""

    numbers = count()

    def new():
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        surround(monkeypatch, folder)
        return folder

    return new


def told(work, folder):
    """Do the work, and return its error and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            work.do(folder)
        except ScratchnetError as error:
            return [str(error), *(str(each.message) for each in caught)]
    return [str(each.message) for each in caught]


def names(folder):
    return {each.relative_to(folder).as_posix() for each in folder.rglob("*")}


def may_be_ignored(error, call, name):
    """Whether the work may succeed although this call has failed."""
    return (
        (call in ("open", "fsync") and name.endswith("/") and error in REFUSED)
        or (call == "open" and name.endswith(NAMELESS))  # tempfile then takes a file with a name
        or (call == "unlink" and name.endswith("-00.part"))  # what a killed process has left
        or (error == errno.EINTR and "write" in call)  # Python then tries again
    )


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_whichever_call_fails_the_old_or_the_new_file_is_there(folders, work, error):
    folder = folders()
    work.prepare(folder)
    before, first = work.read(folder), names(folder)
    assert told(work, folder) == []
    after, last = work.read(folder), names(folder)
    threads = threading.enumerate()
    for fault in faults([error], [False] if error == errno.EINTR else [False, True]):
        folder = folders()
        work.prepare(folder)
        with Disk(folder, fault) as disk:
            said = told(work, folder)
        dead = fault.lasting and error != errno.ENOSPC  # then nothing can be cut or removed
        if not (dead and work.is_log and said):
            found = work.read(folder)
            assert found in (before, *work.steps, after), fault.failed
        needed = [each for each in fault.failed if not may_be_ignored(error, *each)]
        if said:
            (line,) = said
            assert "\n" not in line
            assert f"{folder}" in line
            assert work.name in line
            assert os.strerror(error) in line
            assert needed or error == errno.EINTR, fault.failed
        else:
            assert not needed
            assert found == after, fault.failed
        if not (dead or "unlink" in dict(fault.failed)):
            left = names(folder) - first - last
            assert not [each for each in left if not each.startswith("f/events")], fault.failed
        assert not disk.open, fault.failed
        assert threading.enumerate() == threads, fault.failed


SAFE = {name: work for name, work in WORKS.items() if not work.is_log}


@pytest.mark.guarantee("content-before-name")
@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="here a folder cannot be opened")
@pytest.mark.parametrize("work", SAFE.values(), ids=SAFE)
def test_whenever_the_power_fails_the_old_or_the_new_file_is_there(folders, tmp_path, work):
    folder, lost = folders(), tmp_path / "lost"
    lost.mkdir()
    work.prepare(folder)
    before = work.read(folder)
    with Disk(folder) as disk:
        work.do(folder)
    after = work.read(folder)
    assert before != after
    for done, there in disk.after_power_loss():
        restore(lost, there)
        assert work.read(lost) in ((after,) if done else (before, *work.steps, after)), there.keys()


def restore(folder, there):
    for each in folder.rglob("*"):
        if each.is_file():
            each.unlink()
    for name, content in there.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
