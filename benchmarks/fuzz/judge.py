"""Read a file in an independent way: without NumPy's parsers and without safetensors."""

from __future__ import annotations

import gzip
import json
import re
import struct
import zlib
from math import prod
from typing import Any, NamedTuple

import numpy as np

from benchmarks.fuzz import trainings
from benchmarks.fuzz.inputs import KIND

Arrays = dict[str, np.ndarray]

_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "C64": "<c8", "I64": "<i8", "I32": "<i4", "I16": "<i2",
    "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
_PLAIN_ROW = re.compile(rb"\d{1,3}(,\d{1,3}){784}\r?")


class Verdict(NamedTuple):
    """What a reader may return."""

    arrays: Arrays | None
    """The right arrays; None if the file has no meaning and must be refused."""
    must: bool
    """Whether it must be read. Otherwise a reader may be stricter, and refuse it."""
    size: int
    """The unpacked bytes of the content, which explain memory."""


def judge(reader: str, files: tuple[bytes, ...]) -> Verdict:
    """Return the verdict on these contents."""
    if reader in ("checkpoint", "classifier"):
        arrays, must = _safetensors(files[0])
        if reader == "classifier":
            arrays = _classifier(files[0], arrays)
        return Verdict(arrays, must and arrays is not None, len(files[0]))
    if reader == "training":
        arrays, _ = _safetensors(files[0])
        return Verdict(arrays and _training(arrays), files[0] == trainings.content(), len(files[0]))
    contents, strict = zip(*map(_gunzip, files[:2]), strict=True)
    size = sum(map(len, contents)) + sum(map(len, files))
    if None in contents or not all(contents):
        return Verdict(None, False, size)
    if reader == "csv":
        arrays, must = _csv(contents[0])
    else:
        arrays, must = _idx(*contents), True
    return Verdict(arrays, must and all(strict) and arrays is not None, size)


def _gunzip(raw: bytes) -> tuple[bytes, bool]:
    """Return the content, empty if there is none, and whether zlib, the stricter reader, agrees."""
    if raw[:2] != b"\x1f\x8b":
        return raw, True
    try:
        content, rest = b"", raw
        while rest:
            member = zlib.decompressobj(31)
            content += member.decompress(rest)
            if not member.eof:
                raise zlib.error("truncated")
            rest = member.unused_data
    except zlib.error:
        try:
            return gzip.decompress(raw), False
        except (OSError, EOFError, zlib.error):
            return b"", True
    return content, True


def _idx(images: bytes, labels: bytes) -> Arrays | None:
    if images[:4] != b"\0\0\x08\3" or labels[:4] != b"\0\0\x08\1" or len(images) < 16 or len(labels) < 8:
        return None
    (count, *sides), (numbers,) = struct.unpack(">3I", images[4:16]), struct.unpack(">I", labels[4:8])
    if sides != [28, 28] or count != numbers or not count:
        return None
    if len(images) != 16 + 784 * count or len(labels) != 8 + count or max(labels[8:]) > 9:
        return None
    return {"pixels": _uint8(images[16:]).reshape(count, 784), "labels": _uint8(labels[8:])}


def _csv(content: bytes) -> tuple[Arrays | None, bool]:
    header, *rows = content.split(b"\n")
    if not re.fullmatch(rb'(\xef\xbb\xbf)?[ "\r]*label[ "\r]*', header.split(b",")[0], re.IGNORECASE):
        return None, False
    must, table = len(header) < 10_000, []
    for row in rows:
        text = row.strip(b" \t\r")
        must = must and (not row or _PLAIN_ROW.fullmatch(row) is not None)
        if not text:
            continue
        fields = [field.strip(b" \t\r") for field in text.split(b",")]
        if len(fields) != 785 or not all(re.fullmatch(rb"0*\d{1,3}", field) for field in fields):
            return None, False
        table.append([int(field[-3:]) for field in fields])
    if not table or max(map(max, table)) > 255 or max(row[0] for row in table) > 9:
        return None, False
    array = np.array(table).astype(np.uint8)
    return {"pixels": array[:, 1:], "labels": array[:, 0]}, must


def _header(content: bytes) -> tuple[dict[str, Any], int] | None:
    size = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else 1 << 64
    if 8 + size > len(content):
        return None
    try:
        header = json.loads(content[8 : 8 + size].decode())
    except (ValueError, RecursionError):
        return None
    return (header, 8 + size) if isinstance(header, dict) else None


def _safetensors(content: bytes) -> tuple[Arrays | None, bool]:
    """Whether it must be read: as the format's own writer writes, in any order, names once."""
    found = _header(content)
    if found is None:
        return None, False
    header, start = found
    meta = header.pop("__metadata__", {})
    must = isinstance(meta, dict) and all(isinstance(each, str) for each in meta.values())
    must = must and content[8:9] == b"{" and content.count(b'"dtype"', 0, start) == len(header)
    arrays, ends = {}, []
    for name, told in header.items():
        if not isinstance(told, dict):
            return None, False
        shape, offsets = _naturals(told.get("shape")), _naturals(told.get("data_offsets"))
        dtype = str(told.get("dtype"))
        if shape is None or offsets is None or len(offsets) != 2 or dtype not in _TYPES:
            return None, False
        begin, end = offsets
        if end - begin != prod(shape) * np.dtype(_TYPES[dtype]).itemsize or start + end > len(content):
            return None, False
        must = must and len(told) == 3 and len(shape) <= 32 and max([0, *shape]) < 1 << 31
        must = must and not any("\ud800" <= each <= "\udfff" for each in name)
        ends.append((begin, end))
        if len(shape) > 64 or max([0, *shape]) >= 1 << 62:
            return None, False  # not an array of NumPy
        arrays[name] = np.frombuffer(content[start + begin : start + end], _TYPES[dtype]).reshape(shape)
    ends.sort()
    whole = [begin for begin, _ in ends] == [0, *(end for _, end in ends)][: len(ends)]
    whole = whole and (ends[-1][1] if ends else 0) == len(content) - start
    return (arrays, must) if whole else (None, False)


def _classifier(content: bytes, arrays: Arrays | None) -> Arrays | None:
    found = _header(content)
    meta = found[0].get("__metadata__") if found else None
    if arrays is None or not isinstance(meta, dict) or meta.get("kind") != KIND["kind"]:
        return None
    for name in {"fc1.bias", "fc2.bias"} & arrays.keys():
        if arrays[name].ndim == 2 and len(arrays[name]) == 1:  # as version 0.1 wrote them
            arrays[name] = arrays[name][0]
    hidden = arrays["fc1.bias"].size if "fc1.bias" in arrays else 0
    shapes = {"fc1.bias": (hidden,), "fc1.weight": (hidden, 784), "fc2.bias": (10,),
              "fc2.weight": (10, hidden), "mean_image": (1, 784)}  # fmt: skip
    fits = hidden and {name: array.shape for name, array in arrays.items()} == shapes
    if not fits or any(each.dtype != "f4" or not np.isfinite(each).all() for each in arrays.values()):
        return None
    return arrays


def _training(arrays: Arrays) -> Arrays | None:
    """Return the state of a float32 network, and the float64 figures with which training continues."""
    found = {}
    for name, array in arrays.items():
        figures = not name.startswith("net.")
        if array.dtype != ("<f8" if figures else "<f4"):
            return None
        if figures and array.ndim != 1 + (name == "evaluator.epochs"):
            return None
        found[name] = array
    return found


def _naturals(value: Any) -> list[int] | None:
    if not isinstance(value, list) or not all(
        type(each) is int and 0 <= each < 1 << 64 for each in value
    ):
        return None
    return value


def _uint8(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)
