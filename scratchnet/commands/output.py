"""How the commands speak."""


def say(line: str) -> None:
    """A line on standard output, at once, also in a pipe; a file's name in it may be no text."""
    print(line.encode(errors="replace").decode(), flush=True)
