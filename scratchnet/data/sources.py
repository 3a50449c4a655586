"""Find the files of a data set in a folder, or download Fashion-MNIST."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backends.errors import printable
from scratchnet.data.cache import cache_folder
from scratchnet.errors import DataError, DataNotFoundError, DownloadError
from scratchnet.files import make_folder, name_of, writes_here

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

_IDX = re.compile(
    r"(?:(?P<split>.+)[-_])?(?P<part>train|t10k|test|valid)-(?P<kind>images|labels)[-.]idx[13]-ubyte(\.gz)?"
)
_CSV = re.compile(r"(?:(?P<split>.+)[-_])?(?P<part>train|t10k|test|valid)\.csv(\.gz)?")
_FASHION = "", "fashion-mnist"


def splits_in(folder: Path, mode: str, pattern: re.Pattern[str]) -> dict[str, tuple[Path, ...]]:
    """Return the files of a mode of each set in a folder, by the start of their names; gzip first."""
    found: dict[str, dict[str, str]] = {}
    names = _names_in(folder)
    names.sort(key=lambda name: ("valid" not in name, not name.endswith(".gz"), name))
    for name in names:  # a set for validation comes before one for tests
        match = pattern.fullmatch(name)
        if match and (match["part"] == "train") == (mode == "train"):
            named = match.groupdict()
            found.setdefault(named["split"] or "", {}).setdefault(named.get("kind", "csv"), name)
    for pair in found.values():
        for kind, idx, other in (("images", "idx3", "labels"), ("labels", "idx1", "images")):
            if kind not in pair and other in pair:  # the reader will say that this one is not there
                start, _, end = pair[other].rpartition(other)
                pair[kind] = start + kind + re.sub("idx[13]", idx, end)
    kinds = ("images", "labels") if pattern is _IDX else ("csv",)
    return {split: tuple(folder / pair[kind] for kind in kinds) for split, pair in found.items()}


def files_in(folder: Path, mode: str) -> tuple[Path, ...] | None:
    """Return Fashion-MNIST's files of a mode: two of IDX or one of CSV; None without files."""
    for pattern in (_IDX, _CSV):
        found = splits_in(folder, mode, pattern)
        if paths := next((found[split] for split in _FASHION if split in found), None):
            return paths
    return None


def holds_idx(folder: Path) -> bool:
    """Whether a folder holds IDX files of images, of any mode."""
    return any(splits_in(folder, mode, _IDX) for mode in MODES)


def tables_in(folder: Path, alone: bool = False) -> dict[str, Path]:
    """Return the paths of `train.csv` and `valid.csv`, by mode; nothing if one is not there.

    Raises:
        DataError: `alone`, and there are several such pairs.
    """
    found = {mode: splits_in(folder, mode, _CSV) for mode in MODES}
    both = [split for split in found["train"] if split in found["valid"]]
    if alone and len(both) > 1:
        names = ", ".join(found["train"][split][0].name for split in both)
        raise DataError(
            f"{folder}: holds several tables for training: {names}; give each its own folder"
        )
    return {mode: found[mode][both[0]][0] for mode in MODES} if both else {}


def find(folder: str | Path, mode: str, split: str | None) -> tuple[str, tuple[Path, ...]]:
    """Return the files of a mode of any set in MNIST's form, and the beginning of their names.

    Raises:
        DataNotFoundError: the folder does not hold such files.
        DataError: it holds several sets, and `split` names none of them.
    """
    place = _folder(folder)
    found = splits_in(place, mode, _IDX) or splits_in(place, mode, _CSV)
    if not found:
        missing = "no such folder" if not place.exists() else f"no {mode} files in MNIST's form"
        raise DataNotFoundError(
            f"{place}: {missing}; they have names such as train-images-idx3-ubyte.gz and "
            "train-labels-idx1-ubyte.gz (t10k-… or test-… for validation), or mnist_train.csv"
        )
    names = [split, f"emnist-{split}"] if split is not None else list(found) if len(found) == 1 else []
    chosen = next((name for name in names if name in found), None)
    if chosen is None:
        given = "several sets" if split is None else f"no set {split!r}"
        known = ", ".join(repr(name.removeprefix("emnist-")) for name in sorted(found))
        raise DataError(f"{place}: holds {given}; give as split one of {known}")
    return chosen, found[chosen]


def name_of_folder(folder: Path) -> str:
    """Return a folder's name, as the name of unknown data. It does not claim to be an official split."""
    place = type(folder)(os.path.abspath(folder))  # of "..", too
    while place.name in ("raw", "gzip"):  # KMNIST/raw, as torchvision has it; EMNIST's archive has gzip
        place = place.parent
    name = printable(place.name) or "images"
    return f"{name} (not the official split)" if name.lower() in ("mnist", "fashion-mnist") else name


def locate(folder: str | Path | None, mode: str) -> tuple[Path, ...] | None:
    """Return the files to read for a mode; None for synthetic garments.

    If a folder is given, by argument or `SCRATCHNET_DATA`, only that folder is searched. Otherwise this
    looks in data/fashion-mnist of the working directory and in the user's cache, and then downloads.

    Raises:
        DataNotFoundError: the given folder does not hold the files.
        DownloadError: no folder holds the files, and no mirror could be reached.
    """
    asked = folder or os.environ.get("SCRATCHNET_DATA")
    if asked == SYNTHETIC:
        return None
    if asked:
        return _files_asked_for(_folder(asked), mode)
    own, fetched = places()
    if found := files_in(own, mode):
        return found
    found = files_in(fetched, mode)
    if found and all(path.exists() for path in found):
        return found
    return files_in(fetch(fetched, overwrite=True), mode)  # also the remains of an interrupted download


def places() -> tuple[Path, Path]:
    """Return the folders to search if none is given."""
    from pathlib import Path

    return Path("data") / "fashion-mnist", cache_folder() / "fashion-mnist"


def place_of(asked: str | Path) -> Path:
    """Return the path that was asked for.

    Raises:
        SettingError: it is no path.
        DataError: it cannot be read.
    """
    from pathlib import Path

    try:
        place = Path(name_of(asked, "data")).expanduser()
    except RuntimeError as error:  # ~nobody
        raise DataNotFoundError(f"{asked}: there is no such user; give the folder's path") from error
    _names_in(place)
    return place


@contextmanager
def looking_into(folder: Path) -> Iterator[None]:
    """Turn an `OSError` into a `DataError` that names the folder, or what it holds, and the cause."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: cannot be looked into: {error.strerror}; check its name, its "
            "links and its permissions"
        ) from error


def _names_in(folder: Path) -> list[str]:
    """Return the names of what a folder holds; nothing if it is not there, or is not a folder."""
    with looking_into(folder):
        try:
            return os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return []


def _folder(asked: str | Path) -> Path:
    folder = place_of(asked)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is not a folder; give the folder that holds the data set")
    return folder


def _files_asked_for(folder: Path, mode: str) -> tuple[Path, ...]:
    found = files_in(folder, mode)
    if found is None:
        others = splits_in(folder, mode, _IDX) | splits_in(folder, mode, _CSV)
        if others:
            raise DataNotFoundError(
                f"{folder}: holds {', '.join(sorted(others))}, and no {mode} files of Fashion-MNIST; "
                "read it with MnistDataLoader, or give another folder"
            )
        missing = "no such folder" if not folder.exists() else f"no {mode} files of Fashion-MNIST"
        raise DataNotFoundError(
            f"{folder}: {missing}; fetch them with: scratchnet data fetch --data {folder}"
        )
    return found


def fetch(folder: Path | None = None, overwrite: bool = False) -> Path:
    """Download the missing official files, verify each, and return the folder.

    Args:
        folder: where the files are to be; by default a folder in the user's cache.
        overwrite: whether a file may be replaced that has the name of an official one and is another,
            such as a file of MNIST. In the cache, it is always replaced.

    Raises:
        DownloadError: no mirror has the official file.
        DataError: the folder cannot be written to, or holds another file of that name.
    """
    from scratchnet.replacing import check_replaceable  # read where it is needed

    overwrite = overwrite or folder is None
    folder = folder or cache_folder() / "fashion-mnist"
    try:
        make_folder(folder)
        missing = [name for name in OFFICIAL if not is_official(folder / name)]
        for path in (folder / name for name in missing):
            if not path.is_symlink():  # a link is replaced itself, and what it leads to stays
                check_replaceable(path, "official file", is_official, overwrite, DataError)
        for name in missing:
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
    if not (console.is_terminal and writes_here()):
        yield lambda _: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(name, total=OFFICIAL[name][0])
        yield lambda size: progress.advance(task, size)
