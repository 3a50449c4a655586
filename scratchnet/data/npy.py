"""NumPy's files .npy and .npz, read without trust.

Nothing is parsed as Python, and no array is larger than the bytes that are there for it.
"""

from __future__ import annotations

import math
import re
import zipfile
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

MOST_AXES = 64
"""The axes that an array of NumPy can have."""
MOST_PACKED = 1032
"""One byte of deflate, the packing of .npz, is at most this many bytes unpacked."""
_NO_ARRAY = 1 << 63  # bytes; NumPy counts them so, without the axes of length 0
_LONGEST = 10_000  # bytes of a header; NumPy's own bound
_PART = 1 << 20  # bytes that are read at a time
_VERSIONS = {(1, 0): 2, (2, 0): 4, (3, 0): 4}  # and the bytes of the header's size
_DESCR = re.compile(r"""['"]descr['"]\s*:\s*['"]([<>|=]?[?biufcSUVO]\d{0,4})['"]""")
_ORDER = re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)""")
_SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(([\d,\sL]{0,1000})\)""")
_ENCRYPTED = 0x61  # flags of members that cannot be unpacked


class Header(NamedTuple):
    """What stands before the numbers of an .npy file."""

    shape: tuple[int, ...]
    columns_first: bool
    """Whether it is in Fortran's order."""
    dtype: np.dtype[Any]


def read_header(stream: IO[bytes]) -> Header:
    """Read the header of an .npy file.

    Raises:
        ValueError: it is none, or of an array that does not hold single numbers or text, or that NumPy
            cannot make.
    """
    version = np.lib.format.read_magic(stream)
    if version not in _VERSIONS:
        raise ValueError(f"it is of version {version} of NumPy's format; save it again")
    size = int.from_bytes(stream.read(_VERSIONS[version]), "little")
    text = stream.read(min(size, _LONGEST)).decode("latin-1")
    descr, order, shape = (part.search(text) for part in (_DESCR, _ORDER, _SHAPE))
    whole = len(text) == size and text.startswith("{") and text.rstrip().endswith("}")
    if not (descr and order and shape and whole):
        raise ValueError(
            f"the header of an array is not understood: {text[:80]!r}; save it with numpy.save"
        )
    try:
        dtype = np.dtype(descr[1])
    except TypeError as error:
        raise ValueError(f"an array is of {descr[1]!r}, which NumPy does not know") from error
    texts = shape[1].replace("L", "").split(",")  # Python 2 wrote 3L
    axes = tuple(int(axis) for axis in texts if axis.strip())
    if len(axes) > MOST_AXES:
        raise ValueError(f"an array has {len(axes)} axes; NumPy's arrays have at most {MOST_AXES}")
    if max(dtype.itemsize, 1) * math.prod(filter(None, axes)) >= _NO_ARRAY:
        raise ValueError(f"an array of shape {axes} is too large for NumPy")
    return Header(axes, order[1] == "True", dtype)


def read_array(stream: IO[bytes], size: int) -> np.ndarray:
    """Read an array of numbers from an .npy file of this many bytes.

    Raises:
        ValueError: it does not hold numbers, or its header says more than the file has.
    """
    shape, columns_first, dtype = read_header(stream)
    if dtype.kind not in "biufc":
        pickled = (
            "pickled objects, which can run any code when they are read" if dtype.hasobject else dtype
        )
        raise ValueError(f"an array holds {pickled}; it must hold numbers")
    if math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"an array of shape {shape} is in {size} bytes; save it again")
    array = np.empty(math.prod(shape), dtype)
    content = array.view(np.uint8)
    for start in range(0, len(content), _PART):
        part = np.frombuffer(stream.read(min(_PART, len(content) - start)), np.uint8)
        if not len(part) == min(_PART, len(content) - start):
            raise ValueError(f"an array of shape {shape} ends too early; save it again")
        content[start : start + len(part)] = part
    return array.reshape(shape, order="F" if columns_first else "C")


def member(path: Path, archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return the entry of an array in an .npz file, if its sizes can be true.

    Raises:
        ValueError: it is packed in another way than by NumPy, or its sizes cannot be true.
        KeyError: there is no such array.
    """
    found = archive.getinfo(f"{name}.npy")
    if (
        found.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        or found.flag_bits & _ENCRYPTED
    ):
        raise ValueError(f"{name} is packed as NumPy does not pack it; save it with numpy.savez")
    if not found.file_size / MOST_PACKED <= found.compress_size <= path.stat().st_size:
        raise ValueError(f"the size of {name} cannot be true; save it with numpy.savez")
    return found
