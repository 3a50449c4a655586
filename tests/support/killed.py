"""Kill work at one of its moments.

A moment is a call, not a time: the calls that write a file and give it its name, and each `moment(...)`
of the work itself. So a test can try all of them in turn, and does not depend on the clock.
"""

import io
import os
import signal
import stat
import traceback
from pathlib import Path

_left = 0


def moment(what):
    """Mark a moment at which the process may be killed."""
    global _left
    _left -= 1
    if _left == 0:
        print(what, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


def is_killed(fatal, work, *arguments):
    """Run the work in a fork, and kill it at its n-th moment (0: never). Return whether it died.

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
    """Do nothing except mark a moment: a killed process leaves its files even without fsync."""
    moment("before the folder is safe" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "written")
