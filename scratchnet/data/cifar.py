"""The loaders for CIFAR-10 and CIFAR-100, in the binary form or as .npz."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from backends.errors import one_line, some_of
from scratchnet.data.images import ImagesLoader, check_image_settings
from scratchnet.data.npy import member, read_array
from scratchnet.data.readers import Form, Samples, check_file, read_bytes
from scratchnet.data.sources import looking_into, name_of_folder, place_of
from scratchnet.errors import DataError, DataNotFoundError, SettingError

if TYPE_CHECKING:
    from pathlib import Path
    from zipfile import ZipFile

_SHAPE = 3, 32, 32
_PIXELS = 3 * 32 * 32
_FORM = Form("CIFAR", "copy or download it again", 1 << 29)  # 50,000 images are 154 MB


class _Labels(NamedTuple):
    """One kind of labels, and the files that have it."""

    files: Mapping[str, tuple[str, ...]]
    """The names of the files of each mode."""
    pickles: tuple[str, ...]
    """Names of files of the Python version."""
    archive: str
    """The name of the archive with the binary version."""
    size: int
    """The number of bytes before each image."""
    place: int
    """Which of them is this label."""
    names: tuple[str, ...]


_BINARY_100: dict[str, tuple[str, ...]] = {"train": ("train.bin",), "valid": ("test.bin",)}
_CIFAR10 = _Labels(
    {"train": tuple(f"data_batch_{n}.bin" for n in range(1, 6)), "valid": ("test_batch.bin",)},
    ("data_batch_1", "test_batch", "batches.meta"), "cifar-10-binary.tar.gz", 1, 0,
    ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)  # fmt: skip
_FINE = _Labels(
    _BINARY_100, ("train", "test", "meta"), "cifar-100-binary.tar.gz", 2, 1,
    (
        "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
        "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
        "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup",
        "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house",
        "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man",
        "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid",
        "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy",
        "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal",
        "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar",
        "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
        "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
    ),
)  # fmt: skip
_COARSE = _FINE._replace(
    place=0,
    names=(
        "aquatic_mammals", "fish", "flowers", "food_containers", "fruit_and_vegetables",
        "household_electrical_devices", "household_furniture", "insects", "large_carnivores",
        "large_man-made_outdoor_things", "large_natural_outdoor_scenes",
        "large_omnivores_and_herbivores", "medium_mammals", "non-insect_invertebrates", "people",
        "reptiles", "small_mammals", "trees", "vehicles_1", "vehicles_2",
    ),
)  # fmt: skip


class Cifar10DataLoader(ImagesLoader):
    """CIFAR-10 in batches: (n, 3, 32, 32), pixels / 255, float32, minus the mean of each channel.

        train = sn.Cifar10DataLoader("train", 128, "data/cifar-10-batches-bin")
        valid = sn.Cifar10DataLoader("valid", 128, "data/cifar-10-batches-bin")
        valid.zero_center(train.mean_image)

    The samples are shuffled once by the seed, then the first `take` are kept. Training data subtract
    their own mean. Validation data need the training mean: call `valid.zero_center(train.mean_image)`.

    The files are those of the binary version (https://www.cs.toronto.edu/~kriz/cifar.html), or one .npz
    file with x_train, y_train, x_test and y_test, as users of Keras save it. The Python version consists
    of pickles. They can run any code when they are read, so they are refused.

    Args:
        mode: "train" or "valid".
        batch_size: the number of images per batch. The last batch may be shorter.
        folder: the folder of the binary files, or the path of the .npz file.
        take: the number of samples to keep; None keeps all.
        seed: for the first shuffle, and for the order of each pass.
        shuffle: True, "batches" or False; see `ArrayDataLoader`.
        transform: a function of a batch's inputs, such as a random crop; see `ArrayDataLoader`.

    Attributes:
        class_names: the names of the classes.
        image_shape: (32, 32, 3).
        mean_image: (1, 3, 1, 1), the mean of each channel before centering.
        source: the name of the folder or of the .npz file.

    Raises:
        SettingError: an argument is out of range.
        DataError: a file is damaged or of another kind.
        DataNotFoundError: the files are not there.
    """

    def __init__(
        self,
        mode: str,
        batch_size: int,
        folder: str | Path,
        take: int | None = None,
        seed: int = 231,
        shuffle: bool | str | None = True,
        *,
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        self._begin_files(_CIFAR10, mode, batch_size, folder, take, seed, shuffle, transform)

    def _begin_files(
        self, kind: _Labels, mode: str, batch_size: int, folder: str | Path, take: int | None, seed: int,
        shuffle: bool | str | None, transform: Callable[[Any], Any] | None,
    ) -> None:  # fmt: skip
        check_image_settings(mode, batch_size, take, seed, shuffle)
        samples, name = _read(place_of(folder), mode, kind)
        super().__init__(
            *samples, batch_size, mode=mode, take=take, seed=seed, shuffle=shuffle, source=name,
            class_names=kind.names, mean_axes=(0, 2, 3), image_shape=(32, 32, 3),
            as_shown=lambda images: images.transpose(0, 2, 3, 1), transform=transform,
        )  # fmt: skip


class Cifar100DataLoader(Cifar10DataLoader):
    """CIFAR-100 in batches. All is as in `Cifar10DataLoader`, with one argument more.

    Args:
        labels: "fine" for 100 classes, "coarse" for their 20 groups. An .npz file has one of them, which
            must be named here.
    """

    def __init__(
        self,
        mode: str,
        batch_size: int,
        folder: str | Path,
        take: int | None = None,
        seed: int = 231,
        shuffle: bool | str | None = True,
        *,
        labels: str = "fine",
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if labels not in ("fine", "coarse"):
            raise SettingError(f'labels is {labels!r}; it must be "fine" or "coarse"')
        kind = _FINE if labels == "fine" else _COARSE
        self._begin_files(kind, mode, batch_size, folder, take, seed, shuffle, transform)


def read_cifar(place: Path, mode: str, classes: int) -> tuple[Samples, str]:
    """Return images (n, 3, 32, 32) and labels of 10, 20 or 100 classes, in order, and a name."""
    kinds = {len(kind.names): kind for kind in (_CIFAR10, _COARSE, _FINE)}
    if classes not in kinds:
        raise DataError(f"{place}: CIFAR has 10, 20 or 100 classes, not {classes}")
    return _read(place, mode, kinds[classes])


def holds_cifar(folder: Path) -> bool:
    """Whether a folder holds files of CIFAR-10 or CIFAR-100, of the binary version or pickles."""
    return _kind_in(folder) is not None


def cifar_loader(place: Path, labels: Sequence[str] = ()) -> Callable[..., Cifar10DataLoader]:
    """Return the loader for a folder that `holds_cifar`, or for an .npz file.

    Args:
        place: its path. A file whose largest label is from 10 to 19 has CIFAR-100's groups.
        labels: "fine" or "coarse" of CIFAR-100, in a list. Empty follows the file; otherwise fine.

    Raises:
        SettingError: labels are given for CIFAR-10.
        DataError: the file cannot be read.
    """
    kind = _kind_in(place) if place.is_dir() else _kind_of(place)
    if kind is _CIFAR10:
        if labels:
            raise SettingError(f"--target: {place} holds one kind of labels, of CIFAR-10; leave it out")
        return Cifar10DataLoader
    if labels and tuple(labels) not in (("fine",), ("coarse",)):
        raise SettingError(f"--target: {place} is CIFAR-100; give fine or coarse")
    return partial(Cifar100DataLoader, labels=(*labels, "coarse" if kind is _COARSE else "fine")[0])


def _read(place: Path, mode: str, kind: _Labels) -> tuple[Samples, str]:
    """Return the samples, in the order of the files, and the name of the data."""
    if place.is_dir():
        return _binary(place, mode, kind), name_of_folder(place)
    return _npz(place, mode, kind), place.stem


def _kind_in(folder: Path) -> _Labels | None:
    """Return which of the two sets has files in a folder."""
    with looking_into(folder), os.scandir(folder) as entries:
        files = {entry.name for entry in entries if entry.is_file()}
    for kind in (_CIFAR10, _FINE):
        if files & {*kind.files["train"], *kind.files["valid"], *kind.pickles}:
            return kind
    return None


def _kind_of(file: Path) -> _Labels:
    """Return which set an .npz file holds, by its largest label."""
    most = int(_npz(file, "train", _FINE).labels.max())
    return next((kind for kind in (_CIFAR10, _COARSE) if most < len(kind.names)), _FINE)


def _binary(folder: Path, mode: str, kind: _Labels) -> Samples:
    """Read the files of the binary version: for each image, its labels and then its pixels."""
    paths = [folder / name for name in kind.files[mode]]
    missing = [path.name for path in paths if not path.exists()]
    if missing:
        if any((folder / name).is_file() for name in kind.pickles):
            raise DataError(
                f"{folder}: holds the Python version, pickles, which can run any code when they are "
                f"read; unpack the binary version: https://www.cs.toronto.edu/~kriz/{kind.archive}"
            )
        raise DataNotFoundError(
            f"{folder}: {', '.join(missing)} not there; give the folder unpacked from "
            f"https://www.cs.toronto.edu/~kriz/{kind.archive}, or an .npz file"
        )
    parts = []
    for path in paths:
        content = read_bytes(path, _FORM)
        count, rest = divmod(len(content), kind.size + _PIXELS)
        if rest:
            raise DataError(
                f"{path}: {len(content)} bytes are not a multiple of {kind.size + _PIXELS}, the bytes "
                f"of an image and its labels; {_FORM.fix}"
            )
        records = np.frombuffer(content, np.uint8).reshape(count, -1)
        _check_labels(path, records[:, kind.place], kind)
        parts.append(records)
    records = np.concatenate(parts)
    pixels = np.ascontiguousarray(records[:, kind.size :]).reshape(-1, *_SHAPE)
    return Samples(pixels, records[:, kind.place].copy())


def _npz(path: Path, mode: str, kind: _Labels) -> Samples:
    """Read images (n, 32, 32, 3) or (n, 3, 32, 32), and labels (n,) or (n, 1), from an .npz file."""
    import zipfile

    x, y = ("x_train", "y_train") if mode == "train" else ("x_test", "y_test")
    if not path.exists():
        raise DataNotFoundError(f"{path}: no such file or folder")
    try:
        check_file(path)
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(each.file_size for each in members) > _FORM.most:
                raise DataError(f"{path}: holds more than {_FORM.most / 1e6:.0f} MB, unpacked")
            names = [each.filename.removesuffix(".npy") for each in members]
            absent = [name for name in (x, y) if name not in names]
            if absent:
                raise DataError(
                    f"{path}: has no array {absent[0]}, but {some_of(map(repr, names), 8)}; save it "
                    "with numpy.savez(file, x_train=…, y_train=…, x_test=…, y_test=…)"
                )
            images, labels = (_array(path, archive, name) for name in (x, y))
    except DataError:
        raise
    except Exception as error:  # the readers of zip and .npy raise many kinds for a damaged file
        raise DataError(f"{path}: is no .npz file of arrays: {one_line(error)}") from error
    if images.dtype != np.uint8 or images.shape[1:] not in ((32, 32, 3), _SHAPE):
        raise DataError(
            f"{path}: {x} is {images.dtype} of shape {images.shape}; uint8 of (n, 32, 32, 3) was "
            "expected"
        )
    if labels.dtype.kind not in "iu" or labels.shape not in ((len(images),), (len(images), 1)):
        raise DataError(
            f"{path}: {y} is {labels.dtype} of shape {labels.shape}; integers of ({len(images)},) were "
            "expected"
        )
    if not len(images):
        raise DataError(f"{path}: {x} holds no images")
    _check_labels(path, labels.reshape(-1), kind)
    if images.shape[1:] != _SHAPE:
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return Samples(images, labels.reshape(-1))


def _array(path: Path, archive: ZipFile, name: str) -> np.ndarray:
    found = member(path, archive, name)
    with archive.open(found) as stream:
        return read_array(stream, found.file_size)


def _check_labels(path: Path, labels: np.ndarray, kind: _Labels) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= len(kind.names)))
    if len(wrong):
        raise DataError(
            f"{path}: label {labels[wrong[0]]} of image {wrong[0]} is not one of 0 to "
            f"{len(kind.names) - 1}"
        )
