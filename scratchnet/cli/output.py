"""How the commands speak."""

import sys


class Interrupted(Exception):  # noqa: N818 - it is no error
    """Ctrl-C, with something better to say than that nothing was saved."""


def say(line: str) -> None:
    """A line on standard output, at once, also in a pipe; a file's name in it may be no text."""
    if sys.stdout and sys.stdout.isatty():
        line = line.replace("\t", " ")  # an epoch's then has room in 80 columns
    print(line.encode(errors="replace").decode(), flush=True)
