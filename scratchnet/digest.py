"""What arrays and text hash to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def digest_of(arrays: Mapping[str, np.ndarray], text: Mapping[str, str] | None = None) -> str:
    """A SHA-256 of host arrays by name, their shapes and dtypes, and of text by name."""
    import hashlib

    digest = hashlib.sha256(repr(sorted((text or {}).items())).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(repr((name, array.dtype.str, array.shape)).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
