"""Work that is killed at one of its moments.

A moment is not a time but a call: those that write a file and give it its name, and each `moment(...)`
of the work itself. So all of them can be tried, one after the other, and no clock decides.
"""

import io
import os
import signal
import stat
import traceback
from pathlib import Path

_left = 0


def moment(what):
    """Where the process may be killed."""
    global _left
    _left -= 1
    if _left == 0:
        print(what, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


def is_killed(fatal, work, *arguments):
    """Whether the work, in a fork of this process, gets to its n-th moment and dies there; 0 is none.

    For a process without threads.
    """
    child = os.fork()
    if not child:
        _do(fatal, work, *arguments)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), "the work failed; see its traceback above"
    return code != 0


def _do(fatal, work, *arguments):
    global _left
    _left = fatal
    Path.open, Path.replace, os.fsync = _open, _replace, _fsync
    try:
        work(*arguments)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


class _File(io.BufferedWriter):
    def write(self, content):
        moment("before a write")
        middle = len(content) // 2
        super().write(content[:middle])
        self.flush()
        moment("amid a write")
        return middle + super().write(content[middle:])


def _open(path, mode="r", *options, open_it=Path.open, **more):
    return _File(io.FileIO(path, "x")) if mode == "xb" else open_it(path, mode, *options, **more)


def _replace(path, target, replace_it=Path.replace):
    moment("before a file has its name")
    return replace_it(path, target)


def _fsync(descriptor):
    """Nothing but a moment: what a kill leaves behind needs no disk."""
    moment("before the folder is safe" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "written")
