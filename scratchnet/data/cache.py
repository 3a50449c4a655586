"""Parsed files kept for the second time, under the fingerprint of their content.

An entry is an uncompressed .npz, whose members carry a CRC: an entry that is damaged, or of another
version, is made anew. Files are told apart by their SHA-256, so a changed file is never mistaken.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from scratchnet.data.readers import Samples
from scratchnet.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

_VERSION = 1
_WORTH_IT = 1 << 20  # bytes; a smaller file parses as fast as its entry would load


def cache_folder() -> Path:
    """`SCRATCHNET_CACHE`, or scratchnet's folder among the user's caches."""
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


def cached(parse: Callable[..., Samples], *paths: Path) -> Samples:
    """`parse(*paths)`, or what it gave for files of the same content before."""
    if not all(path.is_file() for path in paths) or paths[0].stat().st_size < _WORTH_IT:
        return parse(*paths)
    import hashlib
    import zipfile

    digest = hashlib.sha256(f"{_VERSION} {parse.__name__}".encode())
    for path in paths:
        digest.update(path.read_bytes())
    entry = cache_folder() / "parsed" / f"{digest.hexdigest()}.npz"
    try:
        with np.load(entry) as arrays:
            return Samples(arrays["pixels"], arrays["labels"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        samples = parse(*paths)
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        write_whole(entry, lambda file: np.savez(file, **samples._asdict()))
    except OSError as error:
        warnings.warn(
            f"parsed data cannot be cached in {entry.parent} ({error.strerror}); set "
            "SCRATCHNET_CACHE to a folder that can be written",
            stacklevel=2,
        )
    return samples
