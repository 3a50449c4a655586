"""A cache of parsed files, named by the fingerprint of their content.

An entry is a zip file with the bytes of pixels, labels and the images' shape, and a CRC of each. It has
no header that could be wrong, and no code. A damaged entry, or one of another version, is replaced.
Files are identified by their SHA-256, so a changed file is never confused with the old one.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from scratchnet.data.readers import FASHION, Form, Samples
from scratchnet.files import make_folder, write_whole

if TYPE_CHECKING:
    from pathlib import Path

_VERSION = 3
_WORTH_IT = 1 << 20  # bytes; parsing a smaller file is as fast as loading its entry


def cache_folder() -> Path:
    """Return `SCRATCHNET_CACHE`, or scratchnet's folder in the user's cache."""
    from pathlib import Path

    if chosen := os.environ.get("SCRATCHNET_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "scratchnet"


def cached(parse: Callable[..., Samples], *paths: Path, form: Form = FASHION) -> Samples:
    """Return `parse(*paths, form)`, or its earlier result for files with the same content."""
    entry = entry_of(parse, *paths, form=form)
    if entry is None:
        return parse(*paths, form)
    if (samples := _load(entry, form)) is not None:
        return samples
    samples = parse(*paths, form)
    if entry_of(parse, *paths, form=form) != entry:  # the files have changed in the meantime
        return samples
    folder = entry.parent
    try:
        make_folder(folder)
        if folder.is_symlink():
            raise OSError(0, "it is a link to another folder")
        if entry.exists() and not entry.is_file():
            entry.unlink()  # a pipe, which is not ours
        write_whole(entry, lambda file: _save(file, samples))
    except OSError as error:
        warnings.warn(
            f"parsed data cannot be cached in {folder} ({error.strerror}); set "
            "SCRATCHNET_CACHE to a folder that can be written",
            stacklevel=2,
        )
    return samples


def entry_of(parse: Callable[..., Samples], *paths: Path, form: Form = FASHION) -> Path | None:
    """Return the entry's path; None if there should be none, or if parsing will raise the error."""
    import hashlib

    digest = hashlib.sha256(f"{_VERSION} {parse.__name__}".encode())
    try:
        if not all(path.is_file() and path.stat().st_size <= form.most for path in paths):
            return None
        if paths[0].stat().st_size < _WORTH_IT:
            return None
        for path in paths:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError:
        return None
    return cache_folder() / "parsed" / f"{digest.hexdigest()}.zip"


def _save(file: BinaryIO, samples: Samples) -> None:
    import zipfile

    with zipfile.ZipFile(file, "w") as members:
        shape = np.array(samples.pixels.shape[1:], "<u4")
        for name, array in {**samples._asdict(), "shape": shape}.items():
            members.writestr(zipfile.ZipInfo(name), array.tobytes())  # the same bytes at any time


def _load(entry: Path, form: Form) -> Samples | None:
    """Return the entry, if it is complete and holds images and labels of this form."""
    import zipfile

    try:
        if not entry.is_file():
            return None
        with zipfile.ZipFile(entry) as members:
            found = members.infolist()
            if any(each.file_size != each.compress_size for each in found):
                return None  # packed; ours are not
            if sum(each.file_size for each in found) > entry.stat().st_size:
                return None  # the size is wrong
            pixels, labels = (np.frombuffer(members.read(name), np.uint8) for name in Samples._fields)
            height, width = np.frombuffer(members.read("shape"), "<u4").tolist()
        samples = Samples(pixels.reshape(len(labels), height, width), labels)
        fits = form.shape in (None, (height, width)) and labels.max() < form.classes
        return samples if fits and pixels.size else None
    except Exception:  # whatever is wrong with the entry, the files themselves are there
        return None
