"""Start processes in tests: each has a time limit, and none outlives its test.

A process leads its own group, with its children. At the limit the whole group is killed. Then everything
that waits for the process, or reads its output, goes on, and the test fails.
"""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from threading import Timer

PIPE = subprocess.PIPE
LIMIT = 300
"""Seconds. Far more than any of these processes needs, even on a busy machine."""


class LimitReached(Exception):
    """A process was killed because it had not ended in time."""


@contextmanager
def started(*command, limit=LIMIT, environment=None, **options):
    """Start a process. Kill it and its children after `limit` seconds, and at the end of the block.

    It imports what the tests import. `environment` has variables by name; None removes one.
    """
    path = os.pathsep.join(map(os.path.abspath, sys.path))
    variables = os.environ | {"PYTHONPATH": path} | (environment or {})
    options["env"] = {name: value for name, value in variables.items() if value is not None}
    process = subprocess.Popen(command, start_new_session=True, **options)
    reached = []
    timer = Timer(limit, lambda: (reached.append(limit), _kill_group(process)))
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        _kill_group(process)
        process.wait(LIMIT)
        if reached:
            raise LimitReached(f"{command} had not ended after {limit} s")


def run(*command, given=None, text=True, **options):
    """Run a process with `given` as its input. Return its exit code and its output."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    written = None, None
    try:
        with started(*command, text=text, **pipes, **options) as process:
            written = process.communicate(given)
    except LimitReached as error:
        error.add_note("It had written: {}\n{}".format(*written))
        raise
    return subprocess.CompletedProcess(command, process.returncode, *written)


def python(*arguments, **options):
    return run(sys.executable, *arguments, **options)


def shell(*arguments, **options):
    return python("-m", "scratchnet", *arguments, **options)


def _kill_group(process):
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
