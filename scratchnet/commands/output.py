"""How the commands speak."""


class Interrupted(Exception):  # noqa: N818 - it is no error
    """Ctrl-C, with something better to say than that nothing was saved."""


def say(line: str) -> None:
    """A line on standard output, at once, also in a pipe."""
    print(line, flush=True)
