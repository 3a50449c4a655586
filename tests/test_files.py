"""What the library writes is whole and safe, whichever call fails and whenever the power does."""

import errno
import os
import threading
import warnings
from itertools import count

import pytest
from disk import NAMELESS, Disk
from faults import faults
from processes import python
from works import WORKS, surround

from scratchnet.errors import ScratchnetError
from scratchnet.files import write_whole

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
        or (
            call in ("open", "unlink", "close") and name.endswith("-00.part")
        )  # what a killed process has left
        or (call in ("unlink", "close") and name.endswith(".lock"))  # it is not locked then
        or (error == errno.EINTR and "write" in call)  # Python then tries again
    )


@pytest.mark.guarantee("Whichever call to the system fails, the old or the new file is there, whole.")
@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_whichever_call_fails_the_old_or_the_new_file_is_there(folders, work, error):
    folder = folders()
    work.prepare(folder)
    before, first = work.read(folder), names(folder)
    assert told(work, folder) == []
    after, last = work.read(folder), names(folder)
    assert not any(name.startswith(".") for name in last)
    threads = set(threading.enumerate())
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
            if not (work.steps or fault.failed[0][1].endswith("/")):
                assert found == before, fault.failed
        else:
            assert not needed
            assert found == after, fault.failed
        if not (dead or "unlink" in dict(fault.failed)):
            left = names(folder) - first - last
            assert not [each for each in left if not each.startswith("f/events")], fault.failed
        assert not disk.open, fault.failed
        assert threads.issuperset(threading.enumerate()), fault.failed


def refusing(**errors):
    """Let the calls for a folder fail, each with its error."""

    def before(call, name):
        if call in errors and name.endswith("/"):
            raise OSError(errors[call], os.strerror(errors[call]))

    return before


@pytest.mark.parametrize("error", REFUSED, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_folder_that_refuses_to_be_read_or_forced_to_the_disk_is_no_failure(
    folders, monkeypatch, call, error
):
    def refuse(*_):
        raise OSError(error, os.strerror(error))

    work, folder = WORKS["fit over an older"], folders()
    work.prepare(folder)
    with Disk(folder, refusing(**{call: error})), monkeypatch.context() as patch:
        for name in ("fchmod", "scandir"):
            patch.setattr(os, name, refuse)
        assert told(work, folder) == []
    assert work.read(folder) == 2
    assert names(folder) == {"f"}


def test_an_error_while_a_part_is_removed_does_not_hide_the_first_one(folders):
    def before(call, name):
        number = {"fsync": errno.ENOSPC, "unlink": errno.EACCES}.get(call)
        if number:
            raise OSError(number, os.strerror(number))

    folder = folders()
    with Disk(folder, before):
        (line,) = told(WORKS["model"], folder)
    assert line == f"{folder / 'f'}: cannot be written: No space left on device"


@pytest.mark.parametrize(
    ("option", "name"),
    [("save", "net"), ("checkpoint", "run"), ("plot", "plot.png"), ("report", "report")],
)
def test_a_command_ends_with_one_line(command, tmp_path, tmp_path_factory, monkeypatch, option, name):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("temporary")))

    def full(call, where):
        if call == "fsync" and name in where:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    smallest = ["train", "--data", "synthetic", "--take", "1", "--hidden", "1", "--epochs", "1"]
    with Disk(tmp_path, full):
        code, _, error = command(*smallest, f"--{option}", tmp_path / name)
    (line,) = error.splitlines()
    assert code == 2
    assert line.startswith(f"scratchnet: {tmp_path / name}")
    line, _, elsewhere = line.partition("; the model is in ")
    assert line.endswith("cannot be written: No space left on device")
    assert bool(elsewhere) == (option == "save")


SAFE = {name: work for name, work in WORKS.items() if not work.is_log}


@pytest.mark.guarantee("After a power failure, the old or the new file is there, whole.")
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


@pytest.mark.parametrize("name", ["model over an older", "report over an older"])
@pytest.mark.guarantee("After a power failure, the old or the new file is there, whole.")
def test_a_power_failure_after_an_error_leaves_the_old_or_the_new_file(folders, tmp_path, name):
    work, lost = WORKS[name], tmp_path / "lost"
    lost.mkdir()
    folder = folders()
    work.do(folder)
    after = work.read(folder)
    for fault in faults([errno.EIO]):
        folder = folders()
        work.prepare(folder)
        before = work.read(folder)
        with Disk(folder, fault) as disk:
            told(work, folder)
        for _, there in disk.after_power_loss():
            restore(lost, there)
            assert work.read(lost) in (before, after), fault.failed


def restore(folder, there):
    for each in folder.rglob("*"):
        if each.is_file():
            each.unlink()
    for name, content in there.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


IN_ANOTHER_CONTAINER = """
import os, sys
from pathlib import Path
from scratchnet.files import write_whole

def kill(*_):
    raise ProcessLookupError  # no process of this container has the number

os.kill = kill
write_whole(Path(sys.argv[1]), lambda file: file.write(b"fast"))
"""


@pytest.mark.skipif(os.name == "nt", reason="here no part is removed")
def test_what_another_container_still_writes_is_not_removed(tmp_path):
    def write(file):
        assert python("-c", IN_ANOTHER_CONTAINER, tmp_path / "f").returncode == 0
        assert (tmp_path / "f").read_bytes() == b"fast"
        file.write(b"slow")

    write_whole(tmp_path / "f", write)
    assert (tmp_path / "f").read_bytes() == b"slow"
    assert names(tmp_path) == {"f"}
