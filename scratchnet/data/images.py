"""Images that are completely on the device: pixels / 255, minus the mean of the training images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from backends import Array, to_device, to_host, xp
from scratchnet.data.arrays import ArrayDataLoader
from scratchnet.data.order import check_mode, check_settings
from scratchnet.errors import DataError, OperandError, SettingError, ShapeError

_ROWS_AT_ONCE = 256  # 800 kB of MNIST's images as float32, which stay in the processor's cache


class ImagesLoader(ArrayDataLoader):
    """Base class of the loaders of images and labels that are read from files.

    The samples are shuffled once by the seed, then the first `take` are kept. Training data subtract
    their own mean. Validation data need the training mean: call `valid.zero_center(train.mean_image)`.

    Args:
        images: (n, …), uint8, on the host.
        labels: (n,), integers, on the host.
        mean_axes: the axes over which the mean is computed.
        image_shape: the shape of an image for people: (h, w), or (h, w, channels).
        as_shown: turns float images of the loader's shape into (k, *image_shape).
        source: the name of the data.

    Attributes:
        image_shape: see above.
        mean_image: the mean of these images before centering; its first axis is 1.
        source: see above.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        *,
        mode: str,
        take: int | None,
        seed: int,
        shuffle: bool | str | None,
        class_names: Iterable[str],
        mean_axes: tuple[int, ...],
        image_shape: tuple[int, ...],
        as_shown: Callable[[np.ndarray], np.ndarray],
        source: str,
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        self.source, self.image_shape, self._as_shown = source, image_shape, as_shown
        order = np.random.default_rng(seed).permutation(len(labels))[:take]
        chosen = images if len(order) == len(images) else images[order]
        count = len(order) * np.prod([images.shape[axis] for axis in mean_axes if axis])
        total = chosen.sum(axis=mean_axes, dtype=np.int64, keepdims=True)
        mean = (total / (255 * count)).astype(np.float32)
        self.centred = mode == "train"
        scaled = _scaled(images, order, mean if self.centred else None)
        self.mean_image = to_device(mean)
        self._subtracted = self.mean_image if self.centred else None
        super().__init__(
            to_device(scaled), to_device(labels[order].astype(np.int64)), batch_size,
            seed=seed, shuffle=shuffle, class_names=class_names, transform=transform, mode=mode,
        )  # fmt: skip

    def zero_center(self, mean: Array) -> None:
        """Subtract the mean of the training set, in place.

        Raises:
            DataError: a mean has already been subtracted.
            ShapeError: the mean has another shape than `mean_image`.
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
        """Return images as they were before scaling: (k, *image_shape), uint8, on the host.

        Args:
            which: k positions in the loader's own order, from 0 on.

        Raises:
            OperandError: these are not positions.
            DataError: there is no such image.
        """
        images = xp.take(self.inputs, to_device(places_of(self, which)), axis=0)
        if self._subtracted is not None:
            images = images + self._subtracted
        return self._as_shown(np.rint(to_host(images) * 255).clip(0, 255).astype(np.uint8))


def check_image_settings(mode: str, batch_size: int, take: int | None, seed: int, shuffle: Any) -> None:
    """Raise `SettingError` for a wrong setting, before any file is read."""
    check_mode(mode)
    if take is not None and (not isinstance(take, (int, np.integer)) or take < 1):
        raise SettingError(f"take is {take!r}; it must be a positive integer or None")
    check_settings(batch_size, seed, shuffle)


def places_of(loader: Any, which: Any) -> np.ndarray:
    """Return positions in a loader's own order as integers.

    Raises:
        OperandError: these are not positions.
        DataError: there is no such sample.
    """
    given = np.asarray(which)
    if given.ndim != 1 or (len(given) and given.dtype.kind not in "iu"):
        raise OperandError(
            "pixels: give a list of places, integers from 0 on; of a mask numpy.flatnonzero(mask)"
        )
    places, samples = given.astype(np.int64), getattr(loader, "num_samples", 0)
    beyond = places[(places < 0) | (places >= samples)]
    if len(beyond):
        raise DataError(f"pixels: image {beyond[0]}; these {loader.mode} data have {samples}")
    return places


def _scaled(images: np.ndarray, order: np.ndarray, mean: np.ndarray | None) -> np.ndarray:
    """Return the images in this order, as pixels / 255 - mean, float32."""
    scaled = np.empty((len(order), *images.shape[1:]), np.float32)
    for start in range(0, len(order), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        np.divide(images[order[part]], np.float32(255), out=scaled[part])
        if mean is not None:
            scaled[part] -= mean
    return scaled
