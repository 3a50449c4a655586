"""`scratchnet data`: download the data set, verify it, and index data in many files."""

from pathlib import Path
from typing import Annotated

import typer

from scratchnet.cli.output import say
from scratchnet.errors import DataError

data = typer.Typer(
    help="Fetch or verify the data set, or index other data in many files.", no_args_is_help=True
)

_OVERWRITE = Annotated[
    bool, typer.Option("--overwrite", help="Also replace a file that is something else.")
]
_FOLDER = Annotated[Path | None, typer.Option("--data", help="Folder; by default the user's cache.")]


@data.command("fetch")
def fetch_command(folder: _FOLDER = None, overwrite: _OVERWRITE = False) -> None:
    """Download the missing official files, and verify each by its SHA-256."""
    from scratchnet.data.sources import fetch

    where = fetch(folder, overwrite)
    say(f"Fashion-MNIST, four files, verified, in {where}")


@data.command("verify")
def verify_command(folder: _FOLDER = None) -> None:
    """Compare the files with the official SHA-256; exit 2 unless all four are official."""
    from scratchnet.data.sources import OFFICIAL, is_official

    place = folder or _found()
    wrong, others = [], False
    for name in OFFICIAL:
        path = place / name
        state = "missing"
        if path.exists():
            state = "official" if is_official(path) else "not the official file"
            others |= state != "official"
        say(f"{state:22}{path}")
        if state != "official":
            wrong.append(name)
    if wrong:
        raise DataError(
            f"{len(wrong)} of {len(OFFICIAL)} files in {place} are not the official ones; fetch them "
            f"with: scratchnet data fetch --data {place}{' --overwrite' * others}"
        )


@data.command("index")
def index_command(
    folder: Annotated[Path, typer.Argument(help="The folder of the files.", show_default=False)],
    target: Annotated[
        list[str] | None,
        typer.Option(help="A column to predict, of Parquet files; repeat it for several."),
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option(help="A column of the inputs; by default all others.")
    ] = None,
    overwrite: _OVERWRITE = False,
) -> None:
    """Write FOLDER/index.json for data in many files; exit 2 if a file cannot be in it."""
    from scratchnet.data.streaming.index import check_index_replaceable, look_through, said, save

    check_index_replaceable(folder, overwrite)
    columns = target[0] if target and len(target) == 1 else target
    index, problems = look_through(folder, columns, feature or None)
    if index is None:
        for problem in problems:
            say(problem)
        raise DataError(f"{folder}: no index is written; {len(problems)} lines above say what to fix")
    save(index)
    say(f"{index.path}: {said(index)}")


def _found() -> Path:
    from scratchnet.data.sources import locate

    files = locate(None, "train")
    if files is None:
        raise DataError("SCRATCHNET_DATA is synthetic: there are no files to verify")
    return files[0].parent
