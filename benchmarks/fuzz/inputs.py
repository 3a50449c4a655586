"""Valid files and changes to them. An input depends only on its seed and its number."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.fuzz import trainings

Rng = np.random.Generator
READERS = ("idx", "csv", "checkpoint", "classifier", "cache", "training")
KIND = {"kind": "scratchnet classifier 1", "trained_on": "nothing"}

_BOMB = gzip.compress(bytes(16 << 20), 9)
_NUMBERS = (0, 1, 2, 3, 28, 255, 256, 784, 1 << 16, 1 << 31, (1 << 32) - 1)
_HUGE = (*_NUMBERS, -1, 1.5, 1 << 40, 1 << 62, (1 << 63) - 1, 1 << 64, "1", None)
_FIELDS = (
    b"", b"256", b"-1", b"+1", b"1.0", b"1e2", b"nan", b"inf", b"1_0", b"0x1", b'"1"', b" 7 ", b"\xa07",
    b"\xb2", "٣".encode(), b"00000000000000007", b"9" * 5000, b"1 2", b"1\r2", b"\0", b"7\t", b"#",
    b"10",
)  # fmt: skip
_DTYPES = (
    "F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "C64", "I64", "I32",
    "I16", "I8", "U64", "U32", "U16", "U8", "BOOL", "f32", "O", "F\n32", "", 7,
)  # fmt: skip


class Input(NamedTuple):
    """The contents of the files for a reader, and how they were changed."""

    files: tuple[bytes, ...]
    how: str


def draw(reader: str, seed: int, number: int) -> Input:
    """Return the input of that number."""
    rng = np.random.default_rng([seed, READERS.index(reader), number])
    if reader == "cache":
        images, labels = _idx(rng, 3)
        how, entry = _damaged(rng, _entry(rng, images[16:], labels[8:]))
        return Input((images, labels, entry), how)
    if reader == "training":
        first, content = _either(rng, trainings.lie, trainings.content())
        how, content = _damaged(rng, content) if rng.random() < 0.5 else ("left", content)
        return Input((content,), f"{first}, {how}, plain")
    if reader == "idx":
        which, parts = int(rng.integers(2)), list(_idx(rng, int(rng.integers(4))))
        first, parts[which] = _either(rng, _lie_idx, parts[which])
        how, parts[which] = _damaged(rng, parts[which])
        packing, parts[which] = _packed(rng, parts[which])
        return Input(tuple(parts), f"file {which}: {first}, {how}, {packing}")
    made, lie = (_csv, _lie_csv) if reader == "csv" else (_model, _lie_model)
    first, content = _either(rng, lie, made(rng))
    how, content = _damaged(rng, content)
    packing, content = (
        _packed(rng, content) if reader == "csv" or rng.random() < 0.05 else ("plain", content)
    )
    return Input((content,), f"{first}, {how}, {packing}")


def _either(
    rng: Rng, lie: Callable[[Rng, bytes], tuple[str, bytes]], content: bytes
) -> tuple[str, bytes]:
    return lie(rng, content) if rng.random() < 0.6 else ("as it is", content)


def _damaged(rng: Rng, content: bytes) -> tuple[str, bytes]:
    """Cut off, add, change, move bytes, or leave them alone."""
    how = str(
        rng.choice(["left", "cut", "longer", "flipped", "overwritten", "spliced", "dropped", "filled"])
    )
    data, start, end = bytearray(content), *sorted(rng.integers(0, len(content) + 1, 2).tolist())
    if how == "cut":
        del data[start:]
    elif how == "longer":
        data += rng.bytes(int(rng.integers(1, 40))) if rng.random() < 0.5 else bytes(end - start)
    elif how == "flipped" and data:
        for place in rng.integers(0, len(data), int(rng.integers(1, 5))):
            data[place] ^= 1 << int(rng.integers(8))
    elif how == "overwritten":
        data[start : start + 8] = struct.pack(rng.choice(["<Q", ">Q"]), int(rng.choice(_NUMBERS)))
    elif how == "spliced":
        data[start:start] = content[start:end]
    elif how == "dropped":
        del data[start:end]
    elif how == "filled":
        data[start:end] = bytes([int(rng.choice([0, 32, 44, 49, 255]))]) * (end - start)
    return how, bytes(data)


def _packed(rng: Rng, content: bytes) -> tuple[str, bytes]:
    """Return it plain, or packed by gzip in a right or a wrong way."""
    if rng.random() < 0.5:
        return "plain", content
    packed, half = gzip.compress(content, 1, mtime=0), len(content) // 2
    if rng.random() < 0.01:
        return "bomb", packed + _BOMB
    flagged = bytearray(packed)
    flagged[3] = int(rng.integers(256))  # header fields that do not exist
    forms = {
        "gzip": packed, "nested": gzip.compress(packed, 1),
        "in members": gzip.compress(content[:half], 1) + gzip.compress(content[half:], 1),
        "and zeros": packed + bytes(9), "and garbage": packed + rng.bytes(9), "flagged": bytes(flagged),
        "damaged gzip": _damaged(rng, packed)[1],
    }  # fmt: skip
    how = str(rng.choice(list(forms)))
    return how, forms[how]


def _idx(rng: Rng, count: int) -> tuple[bytes, bytes]:
    pixels = rng.integers(0, 256, count * 784, np.uint8) * (rng.random(count * 784) < 0.3)
    labels = rng.integers(0, 10 if rng.random() < 0.9 else 12, count, np.uint8)
    head = struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28), struct.pack(">4BI", 0, 0, 8, 1, count)
    return head[0] + pixels.astype(np.uint8).tobytes(), head[1] + labels.tobytes()


def _lie_idx(rng: Rng, content: bytes) -> tuple[str, bytes]:
    ndim = content[3]
    shape = list(struct.unpack_from(f">{ndim}I", content, 4))
    shape[int(rng.integers(ndim))] = int(rng.choice(_NUMBERS))
    kinds = [(8, ndim), (13, ndim), (8, 4 - ndim), (int(rng.integers(256)), int(rng.integers(256)))]
    kind = kinds[int(rng.choice(4, p=[0.7, 0.1, 0.1, 0.1]))]
    if rng.random() < 0.1:
        shape = shape[::-1]
    return f"shape {shape}", struct.pack(f">4B{ndim}I", 0, 0, *kind, *shape) + content[4 + 4 * ndim :]


def _csv(rng: Rng) -> bytes:
    rows = [b",".join([b"label", *(b"pixel%d" % i for i in range(1, 785))])]
    for _ in range(int(rng.integers(4))):
        pixels = rng.integers(0, 256, 784) * (rng.random(784) < 0.3)
        rows.append(b",".join(b"%d" % each for each in (rng.integers(10), *pixels)))
    return (b"\n" if rng.random() < 0.8 else b"\r\n").join([*rows, b""])


def _lie_csv(rng: Rng, content: bytes) -> tuple[str, bytes]:
    rows = content.split(b"\n")
    row, what = (
        int(rng.integers(len(rows))),
        str(rng.choice(["field", "fields", "header", "blank", "end"])),
    )
    fields = rows[row].split(b",")
    place = int(rng.integers(len(fields)))
    if what == "field":
        fields[place] = _FIELDS[int(rng.integers(len(_FIELDS)))]
        rows[row] = b",".join(fields)
    elif what == "fields":
        rows[row] = b",".join(fields[:place] if rng.random() < 0.5 else [*fields, b"0"])
    elif what == "header":
        heads = (b"", b"\xef\xbb\xbflabel", b'"label"', b"LABEL,x", b"label", b"0", b"\xff\xfel\0")
        rows[0] = heads[int(rng.integers(len(heads)))]
    elif what == "blank":
        rows[row:row] = [b"", b" \t", b" " * int(rng.choice([1, 5000, 20_000]))]
    else:
        rows[-1:] = [b"\x1a", b"\0"][: int(rng.integers(3))]
    return f"{what} of row {row + 1}", b"\n".join(rows)


def safetensors(header: bytes, body: bytes) -> bytes:
    """Return a file with this header and body."""
    return struct.pack("<Q", len(header)) + header + body


def _model(rng: Rng) -> bytes:
    row = (1,) if rng.random() < 0.3 else ()  # as version 0.1 wrote a bias
    shapes = {"fc1.bias": (*row, 2), "fc1.weight": (2, 784), "fc2.bias": (*row, 10),
              "fc2.weight": (10, 2), "mean_image": (1, 784)}  # fmt: skip
    header: dict[str, Any] = {"__metadata__": KIND}
    body = b""
    for name, shape in shapes.items():
        array = rng.standard_normal(shape).astype("<f4")
        if rng.random() < 0.02:
            array.flat[0] = rng.choice([np.nan, np.inf])
        offsets = [len(body), len(body) + array.nbytes]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
        body += array.tobytes()
    return safetensors(json.dumps(header).encode(), body)


def _lie_model(rng: Rng, content: bytes) -> tuple[str, bytes]:
    size = struct.unpack("<Q", content[:8])[0]
    header, body = json.loads(content[8 : 8 + size]), content[8 + size :]
    name, other = rng.choice([each for each in header if each != "__metadata__"], 2)
    told, lie = header[name], _HUGE[int(rng.integers(len(_HUGE)))]
    how = str(rng.choice([
        "dtype", "shape", "empty", "axes", "offsets", "overlap", "name", "missing", "metadata", "twice",
        "deep", "bytes", "size", "key", "spaces",
    ]))  # fmt: skip
    if how == "dtype":
        told["dtype"] = _DTYPES[int(rng.integers(len(_DTYPES)))]
    elif how == "shape":
        told["shape"][int(rng.integers(len(told["shape"])))] = lie
    elif how == "empty":
        header["none"] = {"dtype": "F32", "shape": [lie, 0], "data_offsets": [0, 0]}
    elif how == "axes":
        told["shape"] += [1] * int(rng.choice([1, 31, 63, 65, 1000]))
    elif how == "offsets":
        told["data_offsets"][int(rng.integers(2))] = lie
    elif how == "overlap":
        told["data_offsets"] = header[other]["data_offsets"]
    elif how == "name":
        if rng.random() < 0.5:
            told["data_offsets"] = [4, 0]
        names = ("", "new\nline", "\x1b[31m", "x" * 100_000, "\ud800", "é", "../up")
        header[names[int(rng.integers(len(names)))]] = header.pop(name)
    elif how == "missing":
        del header[name]
    elif how == "metadata":
        metas: tuple[Any, ...] = (
            None,
            [],
            {"kind": 1},
            {"kind": "another"},
            KIND | {"trained_on": "a\nb\x1b"},
            "text",
        )
        header["__metadata__"] = metas[int(rng.integers(len(metas)))]
    elif how == "key":
        told["more" if rng.random() < 0.5 else "shape"] = lie
    text = json.dumps(header).encode()
    if how == "twice":
        again = {"dtype": "I32", "shape": told["shape"], "data_offsets": told["data_offsets"]}
        text = text[:-1] + b", " + json.dumps(name).encode() + b": " + json.dumps(again).encode() + b"}"
    elif how == "deep":
        text = rng.choice([b"[", b'{"a":']) * int(rng.choice([10, 200, 100_000]))
    elif how == "bytes":
        text = text.replace(b"F32", b"F\xff2", 1)
    elif how == "spaces":
        text = b" " * int(rng.integers(2)) + text + b" " * int(rng.integers(9))
    if how == "size":
        length = int(
            rng.choice(np.array([0, 1, size - 1, size + 1, 1 << 31, 99_999_999, (1 << 64) - 1], "u8"))
        )
        return how, struct.pack("<Q", length) + text + body
    return how, safetensors(text, body)


def _entry(rng: Rng, pixels: bytes, labels: bytes) -> bytes:
    """Return a cache entry, right or hostile."""
    file, other = io.BytesIO(), rng.random() < 0.5
    packing = zipfile.ZIP_DEFLATED if other and rng.random() < 0.3 else zipfile.ZIP_STORED
    members = {"pixels": pixels, "labels": labels}
    if other:
        name = str(rng.choice(list(members)))
        wrong = (b"", members[name] + b"\x0b", members[name][1:], b"\xff" * 3, members[name] * 2)
        members[name] = wrong[int(rng.integers(len(wrong)))]
    with zipfile.ZipFile(file, "w", packing) as entry:
        for name, content in members.items():
            entry.writestr(zipfile.ZipInfo(name), content, packing)
    return file.getvalue()
