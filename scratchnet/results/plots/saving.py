"""Check where a picture can be saved, and save it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scratchnet.errors import SettingError
from scratchnet.files import name_of, write_whole, writes_here, writing
from scratchnet.replacing import MARK, check_replaceable, is_picture

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")
_MARKS = {"png": "Software", "svg": "Creator"}  # the names that the formats have for the program


def check_plot_path(path: str | Path | None, overwrite: bool = False) -> None:
    """Check that a picture can be saved at the path. Without a path, do nothing.

    Raises:
        SettingError: this is not a path, it ends in neither .png nor .svg, its folder does not exist, it
            is not a file, another program wrote the file that is there, or matplotlib cannot start.
    """
    from importlib import import_module
    from pathlib import Path

    if path is None:
        return
    name_of(path, "plot")
    try:
        import_module("matplotlib")
    except ValueError as error:  # because of a setting, such as MPLBACKEND
        raise SettingError(f"{path}: cannot be drawn: matplotlib: {error}") from error
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise SettingError(f"{path}: a picture is saved as .png or .svg; end the name in one")
    if not path.parent.is_dir():
        raise SettingError(f"{path}: there is no folder {path.parent}; make it first")
    with writing(path):
        check_replaceable(path, "picture", is_picture, overwrite)


def save_figure(figure: Figure, path: str | Path | None, overwrite: bool = False) -> None:
    """Save the figure. Without a path, or if another process writes the results, do nothing.

    Raises:
        SettingError: it cannot be written, or another program wrote the file that is there. It is still
            there.
    """
    from pathlib import Path

    if path is None or not writes_here():
        return
    path = Path(path)
    form = path.suffix[1:].lower()
    with writing(path):
        check_replaceable(path, "picture", is_picture, overwrite)
        write_whole(path, lambda file: figure.savefig(file, format=form, metadata={_MARKS[form]: MARK}))
