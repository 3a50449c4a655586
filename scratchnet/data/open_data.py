"""Find out what data set lies at a path, and open it for training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from backends import to_host
from backends.errors import some_of
from scratchnet.data.cifar import cifar_loader, holds_cifar
from scratchnet.data.csv_file import CsvDataLoader
from scratchnet.data.fashion_mnist import FashionMnistDataLoader
from scratchnet.data.image_folder import (
    ENDINGS,
    ImageFolder,
    folder_of_classes,
    holds_pictures,
    holds_train_and_valid,
    not_read,
)
from scratchnet.data.images import ImagesLoader
from scratchnet.data.loader import DataLoader
from scratchnet.data.mnist import MnistDataLoader
from scratchnet.data.reading import CIFAR, FOLDER, IMAGES, TABLE, Reading
from scratchnet.data.sources import MODES, SYNTHETIC, holds_idx, place_of, tables_in
from scratchnet.data.split import VALID_FRACTION
from scratchnet.data.table import Column, first_row
from scratchnet.data.transforms import Standardize
from scratchnet.errors import DataError, DataNotFoundError, SettingError

if TYPE_CHECKING:
    from pathlib import Path

_FOR_THE_MEAN = 500  # images of a folder; the mean of all would need a pass over the files
_WORKERS = 2
_NAMED = 8  # classes
_COLUMNS_OF_LABELS = "binary", "multilabel"  # of one column too, targets are (n, 1), as outputs are
_DIVIDED = (
    f"{VALID_FRACTION:.0%} of the samples, drawn by the seed, are for validation, as the data have no "
    "validation set of their own"
)
_KNOWN = (
    "files in MNIST's form (train-images-idx3-ubyte.gz, …), CIFAR's (data_batch_1.bin or train.bin, …), "
    "tables (train.csv and valid.csv), or a folder of images for each class"
)


class Choice(NamedTuple):
    """What the user may say about a data set. None where nothing was said."""

    feature: Sequence[str] | None = None
    """The columns of a table to learn from."""
    target: Sequence[str] | None = None
    """The columns to predict; of CIFAR-100, "fine" or "coarse"."""
    task: str | None = None
    split: str | None = None
    """The set, if a folder in MNIST's form holds several."""
    size: int | None = None
    """The height and width to which image files are resized."""


ALL_GUESSED = Choice()


class Opened(NamedTuple):
    """A data set."""

    train: DataLoader
    valid: DataLoader
    reading: Reading
    facts: tuple[str, ...] = ()
    """What was guessed and what was drawn, for people."""


def open_data(
    place: str | Path | None,
    batch_size: int,
    take: int | None = None,
    seed: int = 231,
    choice: Choice = ALL_GUESSED,
) -> Opened:
    """Open the data set at a path for training.

    Args:
        place: a folder in MNIST's form, of CIFAR-10 or CIFAR-100, of tables `train.csv` and `valid.csv`,
            or of images in one folder for each class, which may lie in `train` and `valid`; or the file
            of a table, or of CIFAR as .npz. "synthetic" draws garments. None looks for Fashion-MNIST.
        batch_size: the number of samples per batch.
        take: the number of samples to keep of each set; None keeps all.
        seed: for the order, and for the choice of the samples for validation.
        choice: see `Choice`.

    Raises:
        DataNotFoundError: there is no such path, or no data set is known there.
        DataError: a file is damaged, or the data do not fit what was asked for.
        DownloadError: Fashion-MNIST is not on this machine, and no mirror has it.
        SettingError: an option does not fit this kind of data.
    """
    place = place or os.environ.get("SCRATCHNET_DATA")
    settings: dict[str, Any] = {"batch_size": batch_size, "take": take, "seed": seed}
    form = form_of(place, choice)
    _check(choice, form, str(place or "Fashion-MNIST"))
    if place is None or place == SYNTHETIC:
        train, valid = (FashionMnistDataLoader(mode, folder=place, **settings) for mode in MODES)
        return _centred(train, valid, IMAGES)
    opened = _OPENERS[form](place_of(place), settings, choice)
    if opened.reading.task == "classification" and len(opened.reading.class_names) < 2:
        name = ", ".join(opened.reading.class_names)
        raise DataError(f"{place}: all samples are of one class, {name!r}; add samples of another")
    if form == TABLE:
        return opened
    told = f"classification{_listed('classes', opened.reading.class_names)}"
    return opened._replace(facts=(told, *opened.facts))


def form_of(place: str | Path | None, choice: Choice) -> str:
    """Return the form of the data set at a path; see `Reading.form`.

    Raises:
        DataNotFoundError: there is no such path, or no data set is known there.
    """
    place = place or os.environ.get("SCRATCHNET_DATA")
    if place is None or place == SYNTHETIC:
        return IMAGES
    path = place_of(place)
    if path.is_file():
        return CIFAR if path.suffix == ".npz" else TABLE
    if not path.is_dir():
        raise DataNotFoundError(
            f"{path}: no such file or folder; Fashion-MNIST is fetched with: scratchnet data fetch "
            f"--data {path}"
        )
    if holds_idx(path):
        return IMAGES
    if tables := tables_in(path):
        images = not choice.target and first_row(tables["train"])[0][0].lower() == "label"
        return IMAGES if images else TABLE
    if holds_cifar(path):
        return CIFAR
    if holds_pictures(path):
        return FOLDER
    raise DataNotFoundError(f"{path}: holds no data set of a known form: {_KNOWN}")


def _check(choice: Choice, form: str, where: str) -> None:
    """Raise `SettingError` for an option that does not fit this form of data."""
    what = {
        IMAGES: "images in MNIST's form", CIFAR: "CIFAR", FOLDER: "a folder of images", TABLE: "a table",
    }[form]  # fmt: skip
    unfit = {
        "feature": bool(choice.feature) and form != TABLE,
        "target": bool(choice.target) and form not in (TABLE, CIFAR),
        "split": choice.split is not None and form != IMAGES,
        "size": choice.size is not None and form != FOLDER,
        "task": form != TABLE and choice.task not in (None, "classification"),
    }
    for option, wrong in unfit.items():
        if wrong:
            fix = "its task is classification" if option == "task" else "leave it out"
            raise SettingError(f"--{option}: {where} is {what}; {fix}")


def _images(path: Path, settings: dict[str, Any], choice: Choice) -> Opened:
    settings = settings | {"folder": path, "split": choice.split}
    first = MnistDataLoader("train", **settings)
    second = MnistDataLoader("valid", class_names=first.class_names, **settings)
    if second.image_shape != first.image_shape:
        raise DataError(
            f"{path}: the training images have {first.image_shape} pixels, and those for validation "
            f"{second.image_shape}; they must have the same"
        )
    return _centred(first, second, IMAGES)


def _cifar(path: Path, settings: dict[str, Any], choice: Choice) -> Opened:
    make = cifar_loader(path, choice.target or ())
    train, valid = (make(mode, folder=path, **settings) for mode in MODES)
    return _centred(train, valid, CIFAR)


def _centred(train: ImagesLoader, valid: ImagesLoader, form: str) -> Opened:
    valid.zero_center(train.mean_image)
    shape = (1, *train.image_shape) if form == IMAGES else train.inputs.shape[1:]
    names = train.class_names or ()
    mean = to_host(train.mean_image)
    return Opened(train, valid, Reading(form, shape, "classification", names, mean, np.ones_like(mean)))


def _folder(path: Path, settings: dict[str, Any], choice: Choice) -> Opened:
    size = None if choice.size is None else (choice.size, choice.size)
    whole = not holds_train_and_valid(path)
    path = folder_of_classes(path) if whole else path
    options: Any = {"size": size, "valid_fraction": VALID_FRACTION if whole else None}
    options |= {name: settings[name] for name in ("take", "seed")}
    parts = {mode: ImageFolder(path, mode=mode, **options) for mode in MODES}
    images = parts["train"]
    some = range(0, len(images), -(-len(images) // _FOR_THE_MEAN))
    means = [images.image(place).mean(axis=(1, 2), dtype=np.float64) for place in some]
    mean = np.stack(means).mean(axis=0).astype(np.float32).reshape(-1, 1, 1)
    shape, names = images.image(0).shape, images.class_names or ()
    reading = Reading(
        FOLDER, shape, "classification", names, mean, np.ones_like(mean),
        drawn_by=settings["seed"] if whole else None,
    )  # fmt: skip
    transform = Standardize(reading.mean, reading.std)
    train, valid = (
        DataLoader(
            part, settings["batch_size"], seed=settings["seed"], workers=_WORKERS, mode=mode,
            transform=transform,
        )
        for mode, part in parts.items()
    )  # fmt: skip
    facts = [_DIVIDED] if whole else []
    beside = [each for part in parts.values() for each in not_read(part.folder)]
    if beside := list(dict.fromkeys(beside)):
        facts.append(
            f"not read: {beside[0]}{f' and {len(beside) - 1} more' if beside[1:] else ''}; an image is "
            f"a file ({' '.join(ENDINGS)}) in the folder of its class"
        )
    return Opened(train, valid, reading, tuple(facts))


def _table(path: Path, settings: dict[str, Any], choice: Choice) -> Opened:
    files = tables_in(path, alone=True) if path.is_dir() else {"train": path, "valid": path}
    whole = path.is_file()
    first = first_row(files["train"])
    targets = _targets(files["train"], first, choice.target)
    given: Any = targets[0] if len(targets) == 1 and choice.task not in _COLUMNS_OF_LABELS else targets
    settings = settings | {"valid_fraction": VALID_FRACTION if whole else None}
    asked = _columns(first, choice.feature) if choice.feature else None
    train = CsvDataLoader(files["train"], given, features=asked, task=choice.task, **settings)
    features = [each if train.has_header else int(each) for each in train.feature_names]
    valid = CsvDataLoader(
        files["valid"], given, features=features, task=train.task, class_names=train.class_names,
        mode="valid", **settings,
    )  # fmt: skip
    scale = Standardize.of(train.inputs)
    scale.std[scale.std < np.finfo(np.float32).tiny] = 1  # float32 could not divide by it
    for loader in (train, valid):
        loader.inputs[...] = scale(loader.inputs)
    reading = Reading(
        TABLE, (len(features),), train.task or "", train.class_names or (),
        scale.mean.astype(np.float32), scale.std.astype(np.float32), tuple(features),
        tuple(each if train.has_header else int(each) for each in train.target_names),
        drawn_by=settings["seed"] if whole else None,
    )  # fmt: skip
    facts = [_task_of(train, guessed=choice.task is None), *([_DIVIDED] if whole else ())]
    return Opened(train, valid, reading, tuple(facts))


def _task_of(train: CsvDataLoader, guessed: bool) -> str:
    """Describe the task of a table in a line."""
    named = _listed("labels" if train.task == "multilabel" else "classes", train.class_names or ())
    change = "; guessed, change it with --task" if guessed else ""
    return f"target {train.target_name}: {train.task}{named}{change}"


def _listed(what: str, names: Sequence[str]) -> str:
    """Return how many names there are, and the first of them; nothing if there are none."""
    return f", {len(names)} {what}: {some_of(names, _NAMED)}" if names else ""


def _targets(path: Path, first: tuple[list[str], bool], asked: Sequence[str] | None) -> list[Column]:
    row, _ = first
    if not asked:
        raise SettingError(
            f"{path}: which column is to be predicted? Give --target COLUMN, the name or the number "
            f"from 0 on (-1 is the last); the first row is {some_of(map(repr, row), 12)}"
        )
    return _columns(first, asked)


def _columns(first: tuple[list[str], bool], asked: Sequence[str]) -> list[Column]:
    """Return columns by name or by number. A number is a name only if the first row has names."""
    row, has_names = first

    def column(text: str) -> Column:
        if not text.removeprefix("-").isdecimal():
            return text
        place = -len(row) <= int(text) < len(row)
        return text if text in row and (has_names or not place) else int(text)

    return [column(each) for each in asked]


_OPENERS = {IMAGES: _images, CIFAR: _cifar, FOLDER: _folder, TABLE: _table}
