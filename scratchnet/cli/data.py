"""`scratchnet data`: download the data set, and verify it."""

from pathlib import Path
from typing import Annotated

import typer

from scratchnet.cli.output import say
from scratchnet.errors import DataError

data = typer.Typer(help="Fetch or verify the data set.", no_args_is_help=True)

_FOLDER = Annotated[Path | None, typer.Option("--data", help="Folder; by default the user's cache.")]


@data.command("fetch")
def fetch_command(folder: _FOLDER = None) -> None:
    """Download the missing official files, and verify each by its SHA-256."""
    from scratchnet.data.sources import fetch

    where = fetch(folder)
    say(f"Fashion-MNIST, four files, verified, in {where}")


@data.command("verify")
def verify_command(folder: _FOLDER = None) -> None:
    """Compare the files with the official SHA-256; exit 2 unless all four are official."""
    from scratchnet.data.sources import OFFICIAL, is_official

    place = folder or _found()
    wrong = []
    for name in OFFICIAL:
        path = place / name
        state = "missing"
        if path.exists():
            state = "official" if is_official(path) else "not the official file"
        say(f"{state:22}{path}")
        if state != "official":
            wrong.append(name)
    if wrong:
        raise DataError(
            f"{len(wrong)} of {len(OFFICIAL)} files in {place} are not the official ones; fetch them "
            f"with: scratchnet data fetch --data {place}"
        )


def _found() -> Path:
    from scratchnet.data.sources import locate

    files = locate(None, "train")
    if files is None:
        raise DataError("SCRATCHNET_DATA is synthetic: there are no files to verify")
    return files[0].parent
