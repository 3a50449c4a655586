"""Saved models: safetensors files, which hold arrays and text, and no code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from backends.errors import one_line, printable
from scratchnet.data.batches import native
from scratchnet.errors import CheckpointError
from scratchnet.files import check_no_device, digest_of, write_whole, writes_here, writing

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 2
"""The number of the format of all kinds of files; docs/reference/files.md has the formats."""
_ENTRY, _DIGEST = "scratchnet", "sha256"


def save(
    path: str | Path, state: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Save arrays by name, such as `net.state_dict()`. The file is written completely or not at all.

    In data-parallel training, only rank 0 writes.

    Args:
        path: the file. An existing file is replaced once the new one is complete and on the disk.
        state: host arrays by name.
        metadata: text by name, which is saved too. A SHA-256 of everything is added, as "sha256".

    Raises:
        CheckpointError: the file cannot be written, or a value is not an array of numbers, or the
            metadata have a "sha256".
    """
    if not writes_here():
        return
    import json
    from pathlib import Path

    from safetensors import SafetensorError
    from safetensors.numpy import save as to_bytes

    path = Path(os.path.realpath(path))  # follow a link
    # safetensors assumes the byte order of the machine
    arrays = {name: native(np.asarray(array, order="C")) for name, array in state.items()}
    text = dict(sorted((metadata or {}).items()))
    if not all(isinstance(each, str) for each in text.values()):
        raise CheckpointError(f"{path}: only arrays of numbers and text can be saved: {text}")
    if _DIGEST in text:
        raise CheckpointError(f"{path}: {_DIGEST} is the digest of the file itself; give another name")
    try:
        # In one entry, because safetensors would write several entries in a random order.
        content = to_bytes(arrays, {_ENTRY: json.dumps(text | {_DIGEST: digest_of(arrays, text)})})
    except (SafetensorError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"{path}: only arrays of numbers and text can be saved: {error}"
        ) from error
    with writing(path, CheckpointError):
        check_no_device(path)
        write_whole(path, lambda file: file.write(content))


def load(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays in a saved file, on the host, for `net.load_state_dict`.

    Raises:
        CheckpointError: the file does not exist, is not a safetensors file, is damaged, or has a newer
            format.
    """
    return read(path)[0]


def load_metadata(path: str | Path) -> dict[str, str]:
    """Return the text in a saved file, by name.

    Raises:
        CheckpointError: the file does not exist, is not a safetensors file, is damaged, or has a newer
            format.
    """
    return read(path)[1]


def read(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return what `load` and `load_metadata` return, in one pass over the file."""
    from safetensors import SafetensorError, safe_open

    if os.path.exists(path) and not os.path.isfile(path):  # opening a pipe would wait for its writer
        raise CheckpointError(f"{path}: is a folder, a pipe or a device; give a file")
    try:
        with safe_open(path, framework="numpy") as file:  # not a mapping: it has only keys()
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        told = one_line(error)  # a name in the file may contain a line break
        raise CheckpointError(f"{path}: is not a safetensors file, or is damaged: {told}") from error
    except (TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: holds a dtype that NumPy does not know: {error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: holds a shape that NumPy cannot have: {error}") from error
    text = _text(path, metadata)
    _check_format(path, text)  # first, because a newer format may have another digest
    expected = text.pop(_DIGEST, None)
    if _ENTRY in metadata and expected != digest_of(arrays, text):
        raise CheckpointError(f"{path}: is damaged: its content is not what was saved")
    return arrays, text


def _text(path: str | Path, metadata: dict[str, str]) -> dict[str, str]:
    """Return the metadata that `save` wrote; for another program's file, that program's metadata."""
    if _ENTRY not in metadata:
        return dict(metadata)
    import json

    try:
        text = json.loads(metadata[_ENTRY])
    except (ValueError, RecursionError):
        text = None
    if not isinstance(text, dict) or not all(isinstance(each, str) for each in text.values()):
        raise CheckpointError(f"{path}: is damaged: its description cannot be read")
    return text


def _check_format(path: str | Path, text: Mapping[str, str]) -> None:
    """Raise an error for a file of this library that has a newer format than this release knows."""
    number, known = text.get("format", "1"), map(str, range(1, FORMAT + 1))
    if text.get("kind", "").startswith("scratchnet ") and number not in known:
        raise CheckpointError(
            f"{path}: was written by a newer scratchnet: its format is {printable(number)}, and this "
            f"release knows {FORMAT}; update scratchnet"
        )
