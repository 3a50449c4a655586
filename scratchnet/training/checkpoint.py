"""Saved models: safetensors files, which hold arrays and text, and no code."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from backends.errors import one_line, printable
from scratchnet.data.batches import native
from scratchnet.errors import CheckpointError
from scratchnet.files import digest_of, name_of, write_whole, writes_here, writing
from scratchnet.replacing import check_replaceable

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 2
"""The number of the format of all kinds of files; docs/reference/files.md has the formats."""

TRAINING = "scratchnet training"
"""The kind of a file that holds a whole training run."""

_ENTRY, _DIGEST = "scratchnet", "sha256"
_RESERVED = "__metadata__"  # the entry in which safetensors keeps text


def save(
    path: str | Path,
    state: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> None:
    """Save arrays by name, such as `net.state_dict()`. The file is written completely or not at all.

    In data-parallel training, only rank 0 writes.

    Args:
        path: the file. An earlier file that `save` wrote is replaced once the new one is complete and on
            the disk.
        state: host arrays by name.
        metadata: text by name, which is saved too. A SHA-256 of everything is added, as "sha256".
        overwrite: whether the file may replace any other one, such as that of another program, or the
            checkpoint of a training run.

    Raises:
        CheckpointError: the file cannot be written, a value is not an array of numbers, a name is not
            text or is one that a file cannot have, the metadata have a "sha256", or the path is that of
            another file, which is still there.
        SettingError: this is not a path.
    """
    name_of(path, "save")
    if writes_here():
        check_saved_replaceable(path, overwrite)
        write(path, state, metadata)


def check_saved_replaceable(path: str | Path, overwrite: bool) -> None:
    """Check that `save` may write to the path.

    Raises:
        CheckpointError: another file is there, and may not be overwritten.
    """
    from pathlib import Path

    with writing(path, CheckpointError):
        check_replaceable(Path(path), "saved network", _is_saved, overwrite, CheckpointError)


def write(
    path: str | Path,
    state: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
    begin: Callable[[str], object] | None = None,
) -> str:
    """Do what `save` does, over any file, and return the SHA-256 that the file names.

    `begin` is called with it before anything is written.
    """
    import json
    from pathlib import Path

    from safetensors import SafetensorError
    from safetensors.numpy import save as to_bytes

    path = Path(os.path.realpath(path))  # follow a link
    _check_named(path, state, "arrays")
    _check_named(path, metadata or {}, "text")
    text = dict(sorted((metadata or {}).items()))
    for name, each in text.items():
        if not isinstance(each, str):
            told = f"metadata[{name!r}] is {type(each).__name__}"
            raise CheckpointError(f"{path}: only arrays of numbers and text can be saved: {told}")
    if _RESERVED in state:
        raise CheckpointError(f"{path}: {_RESERVED} is the text in the file; give another name")
    if _DIGEST in text:
        raise CheckpointError(f"{path}: {_DIGEST} is the digest of the file itself; give another name")
    try:
        # safetensors assumes the byte order of the machine
        arrays = {name: native(np.asarray(array, order="C")) for name, array in state.items()}
        digest = digest_of(arrays, text)
        # In one entry, because safetensors would write several entries in a random order.
        content = to_bytes(arrays, {_ENTRY: json.dumps(text | {_DIGEST: digest})})
    except UnicodeEncodeError as error:
        raise CheckpointError(
            f"{path}: {error.object!r} cannot be written as UTF-8; give another name"
        ) from error
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        told = one_line(error)  # a name may contain a line break
        raise CheckpointError(f"{path}: only arrays of numbers and text can be saved: {told}") from error
    if begin:
        begin(digest)
    with writing(path, CheckpointError):
        write_whole(path, lambda file: file.write(content))
    return digest


def load(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays in a saved file, on the host, for `net.load_state_dict`.

    Raises:
        CheckpointError: the file does not exist, is not a safetensors file, is damaged, or has a newer
            format.
        SettingError: this is not a path.
    """
    return read(path)[0]


def load_metadata(path: str | Path) -> dict[str, str]:
    """Return the text in a saved file, by name.

    Raises:
        CheckpointError: the file does not exist, is not a safetensors file, is damaged, or has a newer
            format.
        SettingError: this is not a path.
    """
    return read(path)[1]


def facts_of(path: str | Path) -> tuple[str, str] | None:
    """Return the kind of a file that `save` wrote, and its SHA-256, without reading its arrays.

    Returns:
        None if this is another file, or a damaged one. The kind is "" if it has none.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
        text = _text(path, metadata)
    except (SafetensorError, OSError, CheckpointError):
        return None
    return (text.get("kind", ""), text.get(_DIGEST, "")) if _ENTRY in metadata else None


def read(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return what `load` and `load_metadata` return, in one pass over the file."""
    name_of(path, "load")
    arrays, text, _ = read_with_digest(path)
    return arrays, text


def read_with_digest(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str], str]:
    """Return what `read` returns, and the SHA-256 that the file names."""
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
    return arrays, text, expected or ""


def _check_named(path: Path, given: object, what: str) -> None:
    """Raise an error if this is not a mapping whose names are text."""
    if not isinstance(given, Mapping):
        kind = type(given).__name__
        raise CheckpointError(f"{path}: a {kind} cannot be saved; give a dict of {what} by name")
    for name in given:
        if not isinstance(name, str):
            told = one_line(repr(name))
            raise CheckpointError(f"{path}: a name is {told}; the names of {what} must be text")


def _is_saved(path: Path) -> bool:
    """Whether the file is one that `save` may replace: it wrote it, and it is no whole training run."""
    facts = facts_of(path)
    return facts is not None and facts[0] != TRAINING


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
