"""How the commands print."""

import sys


class Interrupted(Exception):  # noqa: N818 - it is not an error
    """Ctrl-C, with a message that says what was saved."""


def say(line: str) -> None:
    """Print a line on standard output at once, also in a pipe. A file's name in it may not be text."""
    if sys.stdout and sys.stdout.isatty():
        line = line.replace("\t", " ")  # then an epoch's line fits into 80 columns
    print(line.encode(errors="replace").decode(), flush=True)
