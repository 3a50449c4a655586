"""The Fashion-MNIST loader: it turns files into centered float32 images on the device."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backends import Array, to_device, to_host, xp
from scratchnet.data.arrays import ArrayDataLoader
from scratchnet.data.cache import cached
from scratchnet.data.identity import DIGITS, MNIST, class_names, identify
from scratchnet.data.order import check_settings
from scratchnet.data.readers import PIXELS, SIDE, Samples, read_csv, read_idx_pair
from scratchnet.data.sources import MODES, locate
from scratchnet.errors import DataError, OperandError, OtherDataWarning, SettingError, ShapeError

if TYPE_CHECKING:
    from pathlib import Path

_ROWS_AT_ONCE = 256  # 800 kB as float32, which stay in the processor's cache between two passes


class FashionMnistDataLoader(ArrayDataLoader):
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
        shuffle: "batches", "samples" or None; see `ArrayDataLoader`.

    Attributes:
        class_names: the ten classes; "0" to "9" for digits.
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
        shuffle: str | None = "batches",
    ) -> None:
        if mode not in MODES:
            raise SettingError(f'mode is {mode!r}; it must be "train" or "valid"')
        if take is not None and (not isinstance(take, (int, np.integer)) or take < 1):
            raise SettingError(f"take is {take!r}; it must be a positive integer or None")
        check_settings(batch_size, seed, shuffle)
        samples, self.source = load_samples(mode, folder)
        order = np.random.default_rng(seed).permutation(len(samples.labels))[:take]
        chosen = samples.pixels if take is None else samples.pixels[order]
        mean = (
            (chosen.sum(axis=0, dtype=np.int64) / (255 * len(order)))
            .astype(np.float32)
            .reshape(1, PIXELS)
        )
        self.centred = mode == "train"
        images = scale(samples.pixels, order, mean if self.centred else None)
        labels = samples.labels[order].astype(np.int64)
        self.mean_image = to_device(mean)
        self._subtracted = self.mean_image if self.centred else None
        super().__init__(
            to_device(images), to_device(labels), batch_size,
            seed=seed, shuffle=shuffle, class_names=class_names(self.source), mode=mode,
        )  # fmt: skip

    def zero_center(self, mean: Array) -> None:
        """Subtract the training set's mean image, in place.

        Raises:
            DataError: a mean has already been subtracted.
            ShapeError: the mean is not (1, 784).
        """
        if self.centred:
            raise DataError(
                f"zero_center: these {self.mode} data are centred already; training data centre "
                "themselves"
            )
        if mean.shape != self.mean_image.shape:
            raise ShapeError(
                f"zero_center: a mean of shape {mean.shape}; {self.mean_image.shape} was expected"
            )
        self.inputs -= mean
        self.centred, self._subtracted = True, mean

    def pixels(self, which: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return images as they were before scaling and centering: (k, 28, 28), uint8, on the host.

        Args:
            which: k positions in the loader's own order, from 0 on.

        Raises:
            OperandError: these are not positions.
            DataError: there is no such image.
        """
        given = np.asarray(which)
        if given.ndim != 1 or (len(given) and given.dtype.kind not in "iu"):
            raise OperandError(
                "pixels: give a list of places, integers from 0 on; of a mask numpy.flatnonzero(mask)"
            )
        rows = given.astype(np.int64)
        beyond = rows[(rows < 0) | (rows >= self.num_samples)]
        if len(beyond):
            raise DataError(f"pixels: image {beyond[0]}; these {self.mode} data have {self.num_samples}")
        images = xp.take(self.inputs, to_device(rows), axis=0)
        if self._subtracted is not None:
            images = images + self._subtracted
        grey: np.ndarray = np.rint(to_host(images) * 255).clip(0, 255).astype(np.uint8)
        return grey.reshape(-1, SIDE, SIDE)


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
    source = identify(mode, samples)
    if source in (MNIST, DIGITS):
        warnings.warn(
            f"{paths[0].parent} holds {source}; for Fashion-MNIST give another folder, filled with: "
            "scratchnet data fetch --data FOLDER",
            OtherDataWarning,
            stacklevel=2,
        )
    return samples, source


def scale(pixels: np.ndarray, order: np.ndarray, mean: np.ndarray | None) -> np.ndarray:
    """Return the rows of pixels in this order, as pixels / 255 - mean, float32."""
    images = np.empty((len(order), PIXELS), np.float32)
    for start in range(0, len(order), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        np.divide(pixels[order[part]], np.float32(255), out=images[part])
        if mean is not None:
            images[part] -= mean
    return images
