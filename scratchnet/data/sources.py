"""Find the data set in a folder, or download it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scratchnet.data.cache import cache_folder
from scratchnet.errors import DataError, DataNotFoundError, DownloadError

if TYPE_CHECKING:
    from pathlib import Path

SYNTHETIC = "synthetic"
"""This name, in place of a folder, asks for garments drawn by code."""

MODES = ("train", "valid")

OFFICIAL: dict[str, tuple[int, str]] = {
    "train-images-idx3-ubyte.gz": (
        26_421_880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    "train-labels-idx1-ubyte.gz": (
        29_515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    "t10k-images-idx3-ubyte.gz": (
        4_422_102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        5_148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}
"""The four official files: their sizes in bytes, and their SHA-256."""

MIRRORS = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)

_IDX = {"train": "train", "valid": "t10k"}
_CSV = {"train": "fashion-mnist_train.csv", "valid": "fashion-mnist_test.csv"}


def files_in(folder: Path, mode: str) -> tuple[Path, ...] | None:
    """Return a folder's files of a mode: two of IDX or one of CSV, gzip first; None without files."""
    images, labels = (f"{_IDX[mode]}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
    for names in ((f"{images}.gz", f"{labels}.gz"), (images, labels),
                  (f"{_CSV[mode]}.gz",), (_CSV[mode],)):  # fmt: skip
        paths = tuple(folder / name for name in names)
        if any(path.exists() for path in paths):
            return paths
    return None


def locate(folder: str | Path | None, mode: str) -> tuple[Path, ...] | None:
    """Return the files to read for a mode; None for synthetic garments.

    If a folder is given, by argument or `SCRATCHNET_DATA`, only that folder is searched. Otherwise this
    looks in data/fashion-mnist of the working directory and in the user's cache, and then downloads.

    Raises:
        DataNotFoundError: the given folder does not hold the files.
        DownloadError: no folder holds the files, and no mirror could be reached.
    """
    from pathlib import Path

    asked = folder or os.environ.get("SCRATCHNET_DATA")
    if asked == SYNTHETIC:
        return None
    if asked:
        try:
            return _files_asked_for(Path(asked).expanduser(), mode)
        except RuntimeError as error:  # ~nobody
            raise DataNotFoundError(f"{asked}: there is no such user; give the folder's path") from error
        except DataError:
            raise
        except OSError as error:
            raise DataError(f"{asked}: cannot be looked into: {error.strerror}") from error
    own, fetched = places()
    if found := files_in(own, mode):
        return found
    found = files_in(fetched, mode)
    if found and all(path.exists() for path in found):
        return found
    return files_in(fetch(fetched), mode)  # also the remains of an interrupted download


def places() -> tuple[Path, Path]:
    """Return the folders to search if none is given."""
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
    """Download the missing official files, verify each, and return the folder.

    Raises:
        DownloadError: no mirror has the official file.
        DataError: the folder cannot be written to.
    """
    folder = folder or cache_folder() / "fashion-mnist"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in OFFICIAL:
            if not is_official(folder / name):
                _fetch_one(name, folder)
    except DownloadError:
        raise
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return folder


def is_official(path: Path) -> bool:
    """Whether the file has the size and SHA-256 of the official file of its name."""
    import hashlib

    size, sha256 = OFFICIAL[path.name]
    if not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _fetch_one(name: str, folder: Path) -> None:
    """Download a file from the first mirror that has it. It gets its name only when verified."""
    from scratchnet.data.download import MirrorError, Official, download  # read where it is needed

    causes, official = [], Official(*OFFICIAL[name])
    for mirror in MIRRORS:
        try:
            with _progress(name) as tell:
                download(mirror + name, folder / name, official, tell)
        except MirrorError as error:
            causes.append(f"{mirror.split('/')[2]}: {error}")
        else:
            return
    raise DownloadError(
        f"{name} is not on this machine and cannot be fetched ({'; '.join(causes)}); put the files "
        f"into {places()[0]}, or use the synthetic garments: --data {SYNTHETIC}"
    )


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(name, total=OFFICIAL[name][0])
        yield lambda size: progress.advance(task, size)
