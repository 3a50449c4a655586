"""Standard output, and the terminal, if there is one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def print_if_possible(line: str) -> None:
    """Print a line; nothing if standard output is missing, closed or cannot be written to."""
    if hasattr(sys.stdout, "write") and not getattr(sys.stdout, "closed", False):
        print(line)


def terminal() -> Console | None:
    """Return standard output as a terminal to draw on; None for a pipe, a notebook or TERM=dumb."""
    try:
        if not sys.stdout.isatty():
            return None
    except (AttributeError, ValueError, OSError):  # it is None, has no isatty, or is closed
        return None
    from rich.console import Console

    console = Console()
    return console if console.is_terminal and not console.is_dumb_terminal else None
