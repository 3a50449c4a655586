"""The page itself: where it may be written, and writing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scratchnet.errors import SettingError
from scratchnet.files import write_whole
from scratchnet.learner import Learner
from scratchnet.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "index.html"
_OURS = b'<meta name="generator" content="scratchnet'
_HEAD = 2048  # bytes in which it says whose it is


def check_report_folder(folder: str | Path) -> Path:
    """The page's path in the folder, which need not be there yet, if a page can be written to it.

    Raises:
        SettingError: it is a file, cannot be written to, has no parent, or holds an index.html that is
            no report; nothing was changed.
    """
    import tempfile
    from pathlib import Path

    folder = Path(folder)
    page = folder / PAGE
    try:
        if folder.exists() and not folder.is_dir():
            raise SettingError(f"{folder}: is a file; a report is written to a folder: name another")
        place = folder if folder.exists() else folder.parent
        if not place.is_dir():
            raise SettingError(f"{folder}: there is no folder {place}; make it first")
        if page.is_dir() or (page.exists() and _OURS not in _head(page)):
            raise SettingError(f"{page}: is there already and is no report; name another folder")
        with tempfile.TemporaryDirectory(dir=place):  # whether it can be written to is known by trying
            pass
    except OSError as error:
        raise SettingError(f"{folder}: cannot be written: {error.strerror}") from error
    return page


def write_report(folder: str | Path, learner: Learner) -> Path:
    """Write a page about a training: `index.html`, which needs no other file, no network, no script.

    Curves, confusion matrix, accuracy by class, the first layer's weights, the worst mistakes, settings,
    and times beside the original's. An earlier report there is replaced, once the new one is whole.
    Results are those of the network as it is: where that is not as the last epoch has left it, the
    page says so.

    Args:
        folder: made if it is not there.
        learner: with a `MetricsCollector`, after `fit`; of other images than
            `FashionMnistDataLoader`'s no pictures are shown.

    Returns:
        The page's path.

    Raises:
        OperandError: it is no Learner, or nothing like a MetricsCollector measures it.
        SettingError: no epoch was trained yet, or the folder will not do: see `check_report_folder`.
    """
    page = check_report_folder(folder)
    from scratchnet.report.gathered import gather

    content = _render(gather(learner))
    try:
        page.parent.mkdir(exist_ok=True)
        write_whole(page, lambda file: file.write(content))
    except OSError as error:
        raise SettingError(f"{page}: cannot be written: {error.strerror}") from error
    return page


def _render(report: object) -> bytes:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from scratchnet.duration import duration
    from scratchnet.report import original, pictures

    environment = Environment(
        loader=PackageLoader("scratchnet.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    text = environment.get_template("page.html").render(
        report=report, original=original, area=pictures, version=__version__
    )
    return text.encode(errors="replace")


def _head(page: Path) -> bytes:
    with page.open("rb") as file:
        return file.read(_HEAD)
