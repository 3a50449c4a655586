"""Kill work at one of its moments.

A moment is a call, not a time: each call that opens or changes a file, and each `moment(...)` of the
work itself. So a test can try all of them in turn, and does not depend on the clock.
"""

import os
import signal
import traceback

from disk import Disk

_left = 0


def moment(what):
    """Mark a moment at which the process may be killed."""
    global _left
    _left -= 1
    if _left == 0:
        print(what, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


def is_killed(fatal, folder, work, *arguments):
    """Run work in a folder, in a fork; kill it at its n-th moment (0: never). Return whether it died.

    For a process without threads.
    """
    child = os.fork()
    if not child:
        _do(fatal, folder, work, *arguments)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), "the work failed; see its traceback above"
    return code != 0


def _do(fatal, folder, work, *arguments):
    global _left
    try:
        with Disk(folder, lambda call, name: moment(f"before {call}")):
            _left = fatal
            work(*arguments)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
