"""The loader for MNIST and all data sets in its form."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from scratchnet.data.cache import cached
from scratchnet.data.identity import class_names as names_of
from scratchnet.data.identity import known
from scratchnet.data.images import ImagesLoader, check_image_settings
from scratchnet.data.readers import ANY_IMAGES, Samples, read_bytes, read_csv, read_idx_pair
from scratchnet.data.sources import find, name_of_folder
from scratchnet.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


class MnistDataLoader(ImagesLoader):
    """MNIST, Fashion-MNIST, KMNIST, EMNIST, or any set in that form, in batches.

        train = sn.MnistDataLoader("train", 128, "data/emnist", split="letters")
        valid = sn.MnistDataLoader("valid", 128, "data/emnist", split="letters")
        valid.zero_center(train.mean_image)

    Images may have any size, and labels any number of classes up to 256. Inputs are (n, h·w): pixels /
    255, float32, minus the mean image of the training set. The samples are shuffled once by the seed,
    then the first `take` are kept. Training data subtract their own mean. Validation data need the
    training mean: call `valid.zero_center(train.mean_image)`.

    The folder has IDX files such as `train-images-idx3-ubyte.gz` and `train-labels-idx1-ubyte.gz`
    (`t10k-…` or `test-…` for validation), or CSV files such as `mnist_train.csv` and `mnist_test.csv`.
    Both may be gzip or plain. A CSV file has a header, then the label and the pixels of an image in each
    row. Its images are square, unless the header names the pixels by row and column: `label,1x1,1x2,…`.

    EMNIST's images (files `emnist-…`) are stored transposed, and are turned upright. Its letters have
    labels from 1, which become labels from 0.

    Args:
        mode: "train" or "valid".
        batch_size: the number of images per batch. The last batch may be shorter.
        folder: the folder of the files.
        take: the number of samples to keep; None keeps all.
        seed: for the first shuffle, and for the order of each pass.
        shuffle: "batches", True, or False; see `ArrayDataLoader`.
        split: which set to read, if the folder has several: the beginning of the file names, such as
            "letters" for `emnist-letters-train-…`.
        class_names: the names of the classes. By default those of a known set, or of EMNIST's file
            `emnist-…-mapping.txt`; otherwise the numbers of the classes.
        transform: see `ArrayDataLoader`.

    Attributes:
        image_shape: (h, w).
        class_names: see above.
        mean_image: (1, h·w), the mean of these images before centering.
        source: "MNIST" or "Fashion-MNIST" if the files hold the official split, judged by their content.
            Otherwise the name of the folder, and the split.

    Raises:
        SettingError: an argument is out of range.
        DataError: a file is damaged or of another kind, or the folder has several sets.
        DataNotFoundError: the folder does not hold the files.
    """

    def __init__(
        self,
        mode: str,
        batch_size: int,
        folder: str | Path,
        take: int | None = None,
        seed: int = 231,
        shuffle: bool | str | None = "batches",
        split: str | None = None,
        *,
        class_names: Iterable[str] | None = None,
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        check_image_settings(mode, batch_size, take, seed, shuffle)
        samples, source, names = read_samples(mode, folder, split)
        self._begin_images(
            samples, batch_size, mode=mode, take=take, seed=seed, shuffle=shuffle, source=source,
            class_names=names if class_names is None else class_names, transform=transform,
        )  # fmt: skip

    def _begin_images(self, samples: Samples, batch_size: int, **settings: Any) -> None:
        shape = samples.pixels.shape[1:]
        super().__init__(
            samples.pixels.reshape(len(samples.pixels), -1), samples.labels, batch_size, mean_axes=(0,),
            image_shape=shape, as_shown=lambda images: images.reshape(-1, *shape), **settings,
        )  # fmt: skip


def read_samples(
    mode: str, folder: str | Path, split: str | None = None
) -> tuple[Samples, str, tuple[str, ...]]:
    """Return the samples of a mode in the order of the files, the name of the data, and the classes."""
    prefix, paths = find(folder, mode, split)
    parse = read_csv if len(paths) == 1 else read_idx_pair
    pixels, labels = samples = cached(parse, *paths, form=ANY_IMAGES)
    source = known(mode, samples)
    if source:
        return samples, source, names_of(source)
    name = name_of_folder(paths[0].parent)
    classes = [str(each) for each in range(int(labels.max()) + 1)]
    if prefix.startswith("emnist-"):
        characters = _mapping(paths[0].with_name(f"{prefix}-mapping.txt"))
        if characters:
            classes = [characters.get(int(each), each) for each in classes]
        stored = labels
        pixels, labels = from_emnist(pixels, labels, prefix == "emnist-letters")
        classes = classes if labels is stored else classes[1:]
    return Samples(pixels, labels), f"{name}, {prefix}" if prefix else name, tuple(classes)


def from_emnist(pixels: np.ndarray, labels: Any, letters: bool) -> tuple[np.ndarray, Any]:
    """Return EMNIST's images upright, as they are stored transposed, and labels of letters from 0.

    Labels may be None.
    """
    if letters and labels is not None and labels.min() > 0:
        labels = labels - np.uint8(1)
    return np.ascontiguousarray(pixels.transpose(0, 2, 1)), labels


def _mapping(path: Path) -> dict[int, str]:
    """Return the characters of each label, from lines such as "1 65 97"; nothing without the file."""
    if not os.path.exists(path):
        return {}
    try:
        rows = [[int(each) for each in row.split()] for row in read_bytes(path, ANY_IMAGES).splitlines()]
        return {label: "".join(map(chr, codes)) for label, *codes in filter(None, rows)}
    except (ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: a row is not a label and the codes of its characters") from error
