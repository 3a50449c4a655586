"""The Fashion-MNIST loader: it also finds or downloads the files, and draws synthetic garments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scratchnet.data.cache import cached
from scratchnet.data.identity import DIGITS, MNIST, UNKNOWN, class_names, identify
from scratchnet.data.images import check_image_settings
from scratchnet.data.mnist import MnistDataLoader
from scratchnet.data.readers import Samples, read_csv, read_idx_pair
from scratchnet.data.sources import locate, name_of_folder
from scratchnet.errors import OtherDataWarning, warn_the_user

if TYPE_CHECKING:
    from pathlib import Path


class FashionMnistDataLoader(MnistDataLoader):
    """Fashion-MNIST in batches: pixels / 255, float32, minus the mean image of the training set.

    The samples are shuffled once by the seed, then the first `take` are kept. Training data subtract
    their own mean. Validation data need the training mean: call `valid.zero_center(train.mean_image)`.

    Args:
        mode: "train" or "valid".
        batch_size: the number of images per batch. The last batch may be shorter.
        take: the number of samples to keep; None keeps all.
        seed: for the first shuffle, and for the order of each pass.
        folder: the folder of the files, IDX or CSV, gzip or plain. "synthetic" draws garments by code.
            None looks in `SCRATCHNET_DATA`, data/fashion-mnist and the user's cache, and then downloads.
        shuffle: "batches", True, or False; see `ArrayDataLoader`.

    Attributes:
        class_names: the ten classes. "0" to "9" for digits, and for other images in a folder or files
            whose name does not contain "fashion".
        image_shape: (28, 28).
        mean_image: (1, 784), the mean of these images before centering.
        source: "Fashion-MNIST" if the files hold the official split, judged by their content. Otherwise
            what they hold, or that the garments are synthetic.

    Warns:
        OtherDataWarning: the files hold MNIST, or what looks like it.

    Raises:
        SettingError: an argument is out of range.
        DataError: a file is damaged or of another kind.
        DataNotFoundError: the given folder does not hold the files.
        DownloadError: the files are not on this machine, and no mirror has them.
    """

    def __init__(
        self,
        mode: str,
        batch_size: int,
        take: int | None = None,
        seed: int = 231,
        folder: str | Path | None = None,
        shuffle: bool | str | None = "batches",
    ) -> None:
        check_image_settings(mode, batch_size, take, seed, shuffle)
        samples, source = load_samples(mode, folder)
        self._begin_images(
            samples, batch_size, mode=mode, take=take, seed=seed, shuffle=shuffle, source=source,
            class_names=class_names(source),
        )  # fmt: skip


def load_samples(mode: str, folder: str | Path | None = None) -> tuple[Samples, str]:
    """Return the samples of a mode in the order of the files, and what they are.

    Warns:
        OtherDataWarning: they are digits.
    """
    paths = locate(folder, mode)
    if paths is None:
        from scratchnet.data.synthetic import NAME, synthetic_garments

        return synthetic_garments(mode), NAME
    samples = cached(read_csv if len(paths) == 1 else read_idx_pair, *paths)
    source, place = identify(mode, samples), paths[0].parent
    if source in (MNIST, DIGITS):
        warn_the_user(
            f"{place} holds {source}; for Fashion-MNIST give another folder, filled with: "
            "scratchnet data fetch --data FOLDER",
            OtherDataWarning,
        )
    name = name_of_folder(place)
    if source == UNKNOWN and "fashion" not in f"{name} {paths[0].name}".lower():
        return samples, name  # the form alone does not show that these are garments
    return samples, source
