"""How the commands speak."""


def say(line: str) -> None:
    """A line on standard output, at once, also in a pipe."""
    print(line, flush=True)
