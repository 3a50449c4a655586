"""Change what is inside of a file whose outside would hide the change: packed, counted or checked."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

Mutate = Callable[[bytes], bytes]

_PNG = b"\x89PNG\r\n\x1a\n"
_VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3.5, 1e300, float("nan"), float("inf"), 1 << 31, 1 << 63, 1 << 70,
    "", "1", "x", "é\n\x1b", "\0", "..", "/etc/passwd", "\ud800", "O", "<i4", "U5", "datetime64[s]", [],
    [1], ["a"], [[]], {}, {"a": {}}, [1 << 40, 1 << 40],
)  # fmt: skip


def changed(content: bytes, mutate: Mutate, rng: Random) -> bytes:
    """Return another content: half of the time changed as it is, or else inside of its form.

    Args:
        content: any bytes.
        mutate: changes bytes without knowing what they are.
        rng: makes the choices.
    """
    inside = next((inside for sign, inside in _INSIDE if content[sign[0] :].startswith(sign[1])), None)
    if inside is None or rng.random() < 0.5:
        return mutate(content)
    try:
        return inside(content, mutate, rng)
    except Exception:  # an input that is damaged already may fail in any way
        return mutate(content)


def _gzip(content: bytes, mutate: Mutate, rng: Random) -> bytes:
    return gzip.compress(mutate(gzip.decompress(content)), 1, mtime=0)


def _zip(content: bytes, mutate: Mutate, rng: Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {each.filename: archive.read(each) for each in archive.infolist()}
    name = rng.choice(sorted(members))
    inside = members[name]
    if rng.random() < 0.2:
        members[mutate(name.encode()).decode("latin-1")] = members.pop(name)
    elif rng.random() < 0.8 and inside.startswith(b"\x93NUMPY"):  # the header, and its length
        size = 10 + int.from_bytes(inside[8:10], "little")
        header = mutate(inside[10:size])[:60_000]
        members[name] = inside[:8] + struct.pack("<H", len(header)) + header + inside[size:]
    else:
        members[name] = mutate(inside)
    made = io.BytesIO()
    packing = rng.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(made, "w", packing) as archive:
        for each, held in members.items():
            archive.writestr(zipfile.ZipInfo(each), held, packing)
    return made.getvalue()


def _png(content: bytes, mutate: Mutate, rng: Random) -> bytes:
    place, made = len(_PNG), [_PNG]
    while place + 8 <= len(content):
        (size,) = struct.unpack_from(">I", content, place)
        made.append(content[place + 4 : place + 8 + size])
        place += 12 + size
    which = rng.randrange(1, len(made))
    made[which] = mutate(made[which])
    chunks = [
        struct.pack(">I", len(e) - 4) + e + struct.pack(">I", zlib.crc32(e))
        for e in made[1:]
        if len(e) > 3
    ]
    return b"".join([_PNG, *chunks])


def _parquet(content: bytes, mutate: Mutate, rng: Random) -> bytes:
    """Change the footer, and its length at the end."""
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer = mutate(content[start:-8])
    return content[:start] + footer + struct.pack("<I", len(footer)) + b"PAR1"


def _safetensors(content: bytes, mutate: Mutate, rng: Random) -> bytes:
    """Change the header, which is JSON, and its length."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = (_json if rng.random() < 0.5 else _text)(content[8:start], mutate, rng)
    return struct.pack("<Q", len(header)) + header + content[start:]


def _text(content: bytes, mutate: Mutate, rng: Random) -> bytes:
    return mutate(content)


def _json(content: bytes, mutate: Mutate, rng: Random) -> bytes:
    """Put another value somewhere, or take one away."""
    whole = json.loads(content)
    inside, places = whole, _places(whole)
    while places:
        place = rng.choice(places)
        deeper = _places(inside[place])
        if deeper and rng.random() < 0.8:
            inside, places = inside[place], deeper
            continue
        how = rng.random()
        if how < 0.15:
            del inside[place]
        elif how < 0.3 and isinstance(inside, dict):
            inside[rng.choice(["", "a\nb", "more", "kind", "net.x"])] = inside.pop(place)
        elif how < 0.5 and isinstance(inside[place], str):
            inside[place] = mutate(inside[place].encode()).decode("latin-1")
        else:
            inside[place] = rng.choice(_VALUES)
        break
    return json.dumps(whole).encode()


def _places(inside: Any) -> list[Any]:
    if isinstance(inside, dict):
        return list(inside)
    return list(range(len(inside))) if isinstance(inside, list) else []


_INSIDE = (
    ((0, b"\x1f\x8b"), _gzip), ((0, b"PK\x03\x04"), _zip), ((0, _PNG), _png), ((0, b"PAR1"), _parquet),
    ((8, b"{"), _safetensors), ((0, b"{"), _json),
)  # fmt: skip
"""Where a sign stands, the sign, and what changes the inside of such a file."""
