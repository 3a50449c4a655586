"""Identify a set of images by its content. The names of files and folders prove nothing.

MNIST has the same file names, format and shapes as Fashion-MNIST, and one can train on its digits too.
"""

from __future__ import annotations

import struct

import numpy as np

from scratchnet.data.readers import CLASS_NAMES, SIDE, Samples

FASHION_MNIST = "Fashion-MNIST"
OF_DIGITS = "MNIST"
MNIST = "MNIST (not Fashion-MNIST)"
DIGITS = "what looks like digits of MNIST (not Fashion-MNIST)"
UNKNOWN = "images in Fashion-MNIST's form (not the official set)"

_KNOWN = {
    "train": {
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9": FASHION_MNIST,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5": OF_DIGITS,
    },
    "valid": {
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34": FASHION_MNIST,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2": OF_DIGITS,
    },
}
"""The SHA-256 of the official files, unpacked: images, then labels."""

_FRAME = np.ones((SIDE, SIDE), bool)  # the pixels of the border
_FRAME[1:-1, 1:-1] = False


def known(mode: str, samples: Samples) -> str:
    """Return "MNIST" or "Fashion-MNIST" for the official split, however it was packed; otherwise "".

    Only the complete split, in its order, gets the name, because results on another split cannot be
    compared.
    """
    return _KNOWN[mode].get(_digest(samples.pixels) + _digest(samples.labels), "")


def identify(mode: str, samples: Samples) -> str:
    """Return what these samples are that should be Fashion-MNIST: one of the four names above.

    Digits are recognized by their border of one pixel. It is empty in 98.3 % of 5,000 images of MNIST,
    and in 0.033 % of Fashion-MNIST's images (at most 0.1 % of a class). The majority of the images
    decides. This is wrong for a hundred images of one class once in 10¹⁸ times.
    """
    if name := known(mode, samples):
        return MNIST if name == OF_DIGITS else name
    images = samples.pixels
    empty = ~images[:, _FRAME].any(axis=1) & images.any(axis=(1, 2))
    return DIGITS if empty.mean() > 0.5 else UNKNOWN


def class_names(source: str) -> tuple[str, ...]:
    """Return the names of the ten classes of a data set in Fashion-MNIST's form, by the set's name."""
    garments = source in (FASHION_MNIST, UNKNOWN) or source.startswith("synthetic garments")
    return CLASS_NAMES if garments else tuple("0123456789")


def _digest(array: np.ndarray) -> str:
    """Return the SHA-256 of the array's IDX file."""
    import hashlib

    digest = hashlib.sha256(bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape))
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
