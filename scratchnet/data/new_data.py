"""Read samples for a trained network: they are prepared as in training, and kept in their order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from backends import to_device, to_host
from scratchnet.data.arrays import ArrayDataLoader
from scratchnet.data.cifar import read_cifar
from scratchnet.data.csv_file import CsvDataLoader
from scratchnet.data.dataset import Dataset
from scratchnet.data.fashion_mnist import load_samples
from scratchnet.data.identity import class_names
from scratchnet.data.image_folder import (
    ENDINGS,
    ImageFiles,
    ImageFolder,
    folder_of_classes,
    holds_pictures,
    holds_train_and_valid,
    images_in,
)  # fmt: skip
from scratchnet.data.loader import DataLoader
from scratchnet.data.mnist import from_emnist, read_samples
from scratchnet.data.readers import ANY_IMAGES, read_csv, read_idx
from scratchnet.data.reading import CIFAR, FOLDER, IMAGES, TABLE, Reading
from scratchnet.data.sources import SYNTHETIC, place_of, tables_in
from scratchnet.data.split import VALID_FRACTION
from scratchnet.data.table import first_row
from scratchnet.errors import DataError, SettingError

if TYPE_CHECKING:
    from pathlib import Path

_AT_ONCE, _PICTURES_AT_ONCE, _WORKERS = 1000, 64, 2


class NewData(NamedTuple):
    """Samples to predict."""

    loader: DataLoader
    """In the order of the files, with targets if they are known."""
    source: str
    """What they are, for people."""
    names: Sequence[str] | None = None
    """The name of each sample, if it has one."""
    class_names: tuple[str, ...] = ()
    """Those of the targets."""


def open_new_data(
    reading: Reading, place: Path | None, folder: str | Path | None, split: str | None = None
) -> NewData:
    """Open samples for a network that was trained on data of this reading.

    Args:
        reading: how the network's data are read.
        place: a file or a folder of samples. None takes the validation set of `folder`.
        folder: a data set; see `open_data`.
        split: see `open_data`.

    Raises:
        DataNotFoundError: there is no such path, or no samples are there.
        DataError: a file is damaged, or the samples are not such as the network has learned.
        SettingError: neither a place nor a folder is given.
    """
    folder = folder or os.environ.get("SCRATCHNET_DATA")
    if place is None and reading.form == IMAGES:
        return _validation_images(reading, folder, split)
    if place is None and folder is None:
        raise SettingError("predict: name the samples, a file or a folder, after the model")
    if place is not None:
        return _OPENERS[reading.form](reading, place_of(place), None)
    given = _OPENERS[reading.form](reading, place_of(folder or ""), reading.drawn_by)
    return given._replace(source=f"{given.source}, validation")


def _validation_images(reading: Reading, folder: str | Path | None, split: str | None) -> NewData:
    if folder is None or folder == SYNTHETIC:
        samples, source = load_samples("valid", folder)
        names = class_names(source)
    else:
        samples, source, names = read_samples("valid", folder, split)
    loader = _loader(reading, source, samples.pixels, samples.labels)
    return NewData(loader, f"{source}, validation", None, names)


def _images(reading: Reading, path: Path, _: int | None) -> NewData:
    """Read a file of images: CSV with labels, IDX, or a picture; or a folder of pictures."""
    if path.is_dir() or path.suffix.lower() in ENDINGS:
        return _pictures(reading, path, None)
    labels: np.ndarray | None = None
    if ".csv" in path.name.lower():
        _, h, w = reading.shape
        pixels, labels = read_csv(path, ANY_IMAGES._replace(shape=(h, w)))
    else:
        pixels = read_idx(path, 3, ANY_IMAGES)
    if path.name.startswith("emnist-"):
        pixels, labels = from_emnist(pixels, labels, path.name.startswith("emnist-letters"))
    return NewData(_loader(reading, str(path), pixels, labels), str(path), None, reading.class_names)


def _cifar(reading: Reading, path: Path, _: int | None) -> NewData:
    """Read the validation set, or a picture."""
    if path.suffix.lower() in ENDINGS:
        return _pictures(reading, path, None)
    (pixels, labels), source = read_cifar(path, "valid", reading.outputs)
    loader = _loader(reading, source, pixels, labels)
    return NewData(loader, source, None, reading.class_names)


def _loader(
    reading: Reading, source: str, pixels: np.ndarray, labels: np.ndarray | None
) -> ArrayDataLoader:
    """Return a loader of pixels from 0 to 255."""
    shape = reading.shape[1:] if reading.form == IMAGES else reading.shape
    if pixels.shape[1:] != shape or not len(pixels):
        raise DataError(f"{source}: {pixels.shape} where images {('n', *shape)} were expected")
    inputs = reading.prepared(pixels.astype(np.float32) / 255)
    known = None if labels is None else labels.astype(np.int64)
    names = reading.class_names
    return ArrayDataLoader(inputs, known, _AT_ONCE, shuffle=False, class_names=names, mode="valid")


def _pictures(reading: Reading, path: Path, seed: int | None) -> NewData:
    """Read a picture, a folder of pictures, or folders of classes or the part that a seed drew."""
    channels, h, w = reading.shape
    options: Any = {"size": (h, w), "channels": channels}
    if path.is_file():
        files, labels = ImageFiles([str(path)], **options), None
    elif (inside := images_in(path)) and not holds_pictures(path):
        files, labels = ImageFiles([str(path / name) for name in inside], **options), None
    else:
        if holds_train_and_valid(path):
            options["mode"] = "valid"
        else:
            path = folder_of_classes(path)
            options |= _drawn(seed)
        files = folder = ImageFolder(path, **options)
        labels = _labels(reading, path, folder)
    loader = DataLoader(
        _Prepared(reading, files, labels), _PICTURES_AT_ONCE, shuffle=False, workers=_WORKERS,
        mode="valid",
    )  # fmt: skip
    loader.class_names = reading.class_names
    names = [os.path.basename(each) for each in files.paths]
    return NewData(loader, str(path), names, reading.class_names)


def _drawn(seed: int | None) -> dict[str, Any]:
    """Return the arguments that choose the samples for validation; nothing without a seed."""
    return {} if seed is None else {"mode": "valid", "valid_fraction": VALID_FRACTION, "seed": seed}


def _labels(reading: Reading, path: Path, folder: ImageFolder) -> list[int]:
    """Return the label that each image has in the network's classes."""
    names = folder.class_names or ()
    unknown = [name for name in names if name not in reading.class_names]
    if unknown:
        known = ", ".join(reading.class_names[:12])
        raise DataError(f"{path}: the class {unknown[0]!r} is not one of the model's, which are {known}")
    return [reading.class_names.index(names[label]) for label in folder.labels]


class _Prepared(Dataset):
    """Image files as the network's inputs, with labels if they are known."""

    def __init__(self, reading: Reading, files: ImageFiles, labels: Sequence[int] | None) -> None:
        self._reading, self._files, self._labels = reading, files, labels

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Any:
        prepared = self._reading.prepared(self._files.image(index)[None])[0]
        return prepared if self._labels is None else (prepared, self._labels[index])


def _table(reading: Reading, path: Path, seed: int | None) -> NewData:
    """Read a table, or the rows of it that a seed drew."""
    part = _drawn(seed) if path.is_file() else {}
    if path.is_dir():
        found = tables_in(path, alone=True)
        if not found:
            raise DataError(f"{path}: holds no tables train.csv and valid.csv; name a table")
        path = found["valid"]
    held, _ = first_row(path)
    known = all(each in held if isinstance(each, str) else each < len(held) for each in reading.targets)
    targets: Any = list(reading.targets) if known else None
    if known and len(targets) == 1 and reading.task not in ("binary", "multilabel"):
        targets = targets[0]
    loader = CsvDataLoader(
        path, targets, _AT_ONCE, features=reading.features, task=reading.task if known else None,
        class_names=reading.class_names or None, shuffle=False, **{"mode": "valid"} | part,
    )  # fmt: skip
    loader.class_names = reading.class_names or None
    loader.inputs[...] = to_device(reading.prepared(to_host(loader.inputs)))
    return NewData(loader, str(path), None, reading.class_names)


_OPENERS = {IMAGES: _images, CIFAR: _cifar, FOLDER: _pictures, TABLE: _table}
