"""How the commands print."""

import sys


class Interrupted(Exception):  # noqa: N818 - it is not an error
    """Ctrl-C, with a message that says what was saved."""


class Ended(Exception):  # noqa: N818 - it is not an error
    """The ranks have ended with this exit code, and have said why."""

    def __init__(self, code: int) -> None:
        self.code = code


def say(line: str) -> None:
    """Print a line on standard output at once, also in a pipe. A file's name in it may not be text.

    In data-parallel training, only rank 0 prints.
    """
    from scratchnet.files import writes_here  # imported here, because it needs NumPy

    if not writes_here():
        return
    if sys.stdout and sys.stdout.isatty():
        line = line.replace("\t", " ")  # then an epoch's line fits into 80 columns
    print(line.encode(errors="replace").decode(), flush=True)
