"""Where the data set is: in a folder, or to be fetched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scratchnet.data.cache import cache_folder
from scratchnet.errors import DataError, DataNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

SYNTHETIC = "synthetic"
"""In place of a folder: the garments drawn by code."""

MODES = ("train", "valid")

SHA256 = {
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
"""The four official files, and what they hash to."""

MIRRORS = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)

_IDX = {"train": "train", "valid": "t10k"}
_CSV = {"train": "fashion-mnist_train.csv", "valid": "fashion-mnist_test.csv"}
_SECONDS_TO_CONNECT = 10


class DownloadError(DataNotFoundError):
    """The data set is not on this machine and no mirror could be reached."""


def files_in(folder: Path, mode: str) -> tuple[Path, ...] | None:
    """The files of a mode in a folder: two of IDX or one of CSV, gzip first; None if not there."""
    images, labels = (f"{_IDX[mode]}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
    for names in ((f"{images}.gz", f"{labels}.gz"), (images, labels),
                  (f"{_CSV[mode]}.gz",), (_CSV[mode],)):  # fmt: skip
        paths = tuple(folder / name for name in names)
        if any(path.exists() for path in paths):
            return paths
    return None


def locate(folder: str | Path | None, mode: str) -> tuple[Path, ...] | None:
    """The files to read for a mode; None for the synthetic garments.

    A folder asked for, by argument or `SCRATCHNET_DATA`, is the only one looked at. Else the
    working directory's data/fashion-mnist, the user's cache, and at last a download into it.

    Raises:
        DataNotFoundError: the folder asked for does not hold the files.
        DownloadError: they are nowhere, and no mirror could be reached.
    """
    from pathlib import Path

    asked = folder or os.environ.get("SCRATCHNET_DATA")
    if asked == SYNTHETIC:
        return None
    if asked:
        return _files_asked_for(Path(asked).expanduser(), mode)
    for place in places():
        if found := files_in(place, mode):
            return found
    return files_in(fetch(), mode)


def places() -> tuple[Path, Path]:
    """The folders looked at where none is asked for."""
    from pathlib import Path

    return Path("data") / "fashion-mnist", cache_folder() / "fashion-mnist"


def _files_asked_for(folder: Path, mode: str) -> tuple[Path, ...]:
    if folder.is_file():
        raise DataError(f"{folder}: is a file; give the folder that holds the data set")
    found = files_in(folder, mode)
    if found is None:
        missing = "no such folder" if not folder.exists() else f"no {mode} files of Fashion-MNIST"
        raise DataNotFoundError(
            f"{folder}: {missing}; fetch them with: scratchnet data fetch --data {folder}"
        )
    return found


def fetch(folder: Path | None = None) -> Path:
    """Download what is missing of the four official files, each verified; returns the folder.

    Raises:
        DownloadError: no mirror gave the official file.
        DataError: the folder cannot be written.
    """
    folder = folder or cache_folder() / "fashion-mnist"
    for name, sha256 in SHA256.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != sha256:
            _download(name, sha256, folder)
    return folder


def sha256_of(path: Path) -> str:
    """The file's SHA-256."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(name: str, sha256: str, folder: Path) -> None:
    """One file from the first mirror that has it; it takes its name only when it is verified."""
    import pooch
    import requests

    causes = []
    for mirror in MIRRORS:
        try:
            with _progress(name) as bar:
                downloader = pooch.HTTPDownloader(progressbar=bar or False, timeout=_SECONDS_TO_CONNECT)
                pooch.retrieve(mirror + name, f"sha256:{sha256}", name, folder, downloader=downloader)
        except requests.RequestException as error:
            causes.append(f"{mirror.split('/')[2]}: {type(error).__name__}")
        except ValueError:  # pooch's word for another hash; it has removed the file
            causes.append(f"{mirror.split('/')[2]}: not the official file")
        except OSError as error:
            raise DataError(f"{folder}: cannot be written: {error.strerror}") from error
        else:
            return
    raise DownloadError(
        f"{name} is not on this machine and cannot be fetched ({'; '.join(causes)}); put the files "
        f"into {places()[0]}, or use the synthetic garments: --data {SYNTHETIC}"
    )


class _Bar:
    """Pooch's idea of a progress bar, shown by rich."""

    def __init__(self, progress: Any, task: Any) -> None:
        self.total, self._progress, self._task = 0, progress, task

    def update(self, size: int) -> None:
        self._progress.update(self._task, total=self.total, advance=size)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        """The whole display is closed by its context."""


@contextmanager
def _progress(name: str) -> Iterator[_Bar | None]:
    """A progress bar on a terminal; in a pipe none."""
    import logging

    import pooch
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    pooch.get_logger().setLevel(logging.WARNING)
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress, progress.add_task(name, total=None))
