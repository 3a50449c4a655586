"""Check where the page may be written, and write it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from scratchnet.errors import OperandError, SettingError
from scratchnet.files import check_place, make_folder, name_of, write_whole, writes_here, writing
from scratchnet.replacing import MARK, check_replaceable, is_page
from scratchnet.training.learner import Learner

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "index.html"
_CONTROLS = {*range(32), *range(127, 160)} - set(map(ord, "\t\n\r"))
_NO_TEXT = dict.fromkeys({*_CONTROLS, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}, "\ufffd")
"""Characters in names that are no text: those that control a device, such as an escape, and those that
change the direction of what follows, such as U+202E.
"""


def check_report_folder(folder: str | Path, overwrite: bool = False) -> Path:
    """Return the page's path in the folder, which may not exist yet, if it can be written there.

    Raises:
        OperandError: this is not a path.
        SettingError: it has no name, is a file, cannot be created or written to, has no parent, or holds
            an index.html that is not a report and may not be overwritten. Nothing was changed.
    """
    folder = _path_of(folder)
    page = folder / PAGE
    with writing(folder):
        if folder.exists() and not folder.is_dir():
            raise SettingError(f"{folder}: is a file; a report is written to a folder: name another")
        if not folder.exists() and folder.is_symlink():
            raise SettingError(
                f"{folder}: is a link to a folder that is not there; make it, or name another"
            )
        if not folder.exists() and not folder.parent.is_dir():
            raise SettingError(f"{folder}: there is no folder {folder.parent}; make it first")
        check_replaceable(page, "report", is_page, overwrite)
        _try(page)
    return page


def write_report(folder: str | Path, learner: Learner, overwrite: bool = False) -> Path:
    """Write a page about a training run: `index.html`, one file that loads nothing else.

    It shows curves of everything that was measured, the worst mistakes and the settings. For classes
    also the confusion matrix and the accuracy by class; for several labels a table by label; for numbers
    predicted against true ones, and residuals; for images the first layer's weights; and for
    Fashion-MNIST the times next to the original's. An earlier report is replaced once the new one is
    complete. The results are those of the network as it is now. If it has changed since the last epoch,
    the page says so. In data-parallel training, only rank 0 writes.

    Args:
        folder: created if it does not exist.
        learner: with a `MetricsCollector`, after `fit`. The page calls samples images, and shows them,
            if the data set is one of the library's own or has the form (n, channels, height, width).
        overwrite: whether the page may replace an index.html that scratchnet did not write.

    Returns:
        The page's path.

    Raises:
        OperandError: this is not a Learner, its evaluator is not a MetricsCollector, or the folder
            is not a path.
        SettingError: no epoch was trained yet, or the page cannot be written there; see
            `check_report_folder`.
    """
    if not writes_here():
        return _path_of(folder) / PAGE
    page = check_report_folder(folder, overwrite)
    from scratchnet.results.report.gathered import gather

    content = _render(gather(learner))
    with writing(page):
        make_folder(page.parent)
        write_whole(page, lambda file: file.write(content))
    return page


def _path_of(folder: str | Path) -> Path:
    from pathlib import Path

    if not isinstance(folder, (str, os.PathLike)):
        kind = type(folder).__name__
        raise OperandError(f"write_report: folder is a {kind}; the order is folder, learner")
    if not str(folder):
        raise SettingError("a report is written to a folder: name a folder; the present one is called .")
    return Path(name_of(folder, "write_report"))


def _render(report: object) -> bytes:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from scratchnet.results.report import original, pictures
    from scratchnet.results.words import counted, duration, figure

    environment = Environment(
        loader=PackageLoader("scratchnet.results.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "counted": counted, "figure": figure}
    text = environment.get_template("page.html").render(
        report=report, original=original, area=pictures, mark=MARK
    )
    return text.translate(_NO_TEXT).encode(errors="replace")


def _try(page: Path) -> None:
    """Try to create the folder or to write to it, because only the attempt shows whether it works."""
    if page.parent.exists():
        check_place(page)
    else:
        page.parent.mkdir()
        page.parent.rmdir()
