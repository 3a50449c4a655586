"""Transforms of images of shape (n, channels, height, width)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backends import Array, xp
from scratchnet.data.transforms.transform import RandomTransform, Transform, check_array
from scratchnet.errors import SettingError, ShapeError
from scratchnet.layers.arguments import is_number, probability, size, sizes

_LEVELS = 128  # of the areas and of the shapes of erased rectangles


class Pad(Transform):
    """Add a border of a value around each image.

    Args:
        padding: the width on all sides; or (left and right, top and bottom); or (left, top, right,
            bottom).
        value: what the border has.

    Raises:
        SettingError: padding is something else.
    """

    def __init__(self, padding: int | Sequence[int], value: float = 0) -> None:
        self.padding, self.value = padding, _value("Pad", value)
        self._sides = _sides("Pad", padding)

    def __call__(self, x: Array) -> Array:
        """Pad images: (n, channels, height, width).

        Raises:
            ShapeError: x has another number of axes.
            SettingError: the dtype of x cannot hold the value.
        """
        _check_images("Pad", x)
        return _padded("Pad", x, self._sides, self.value)


class CenterCrop(Transform):
    """Cut the middle out of each image. An image that is smaller gets a border of zeros.

    Args:
        size: (height, width) of the result, or one number for both.

    Raises:
        SettingError: size is something else.
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = sizes("CenterCrop", "size", size, 2)

    def __call__(self, x: Array) -> Array:
        """Crop images: (n, channels, height, width).

        Raises:
            ShapeError: x has another number of axes.
        """
        _check_images("CenterCrop", x)
        (h, w), (height, width) = self.size, x.shape[2:]
        left, top = max(w - width, 0), max(h - height, 0)
        if left or top:
            x = _padded("CenterCrop", x, (left // 2, top // 2, (left + 1) // 2, (top + 1) // 2), 0)
        above, before = round((x.shape[2] - h) / 2), round((x.shape[3] - w) / 2)
        return x[:, :, above : above + h, before : before + w]


class RandomCrop(RandomTransform):
    """Cut a random part out of each image. In evaluation it is `CenterCrop(size)`.

    Args:
        size: (height, width) of the result, or one number for both.
        padding: a border of zeros that the images get first; see `Pad`.

    Raises:
        SettingError: size or padding is something else.
    """

    def __init__(self, size: int | Sequence[int], padding: int | Sequence[int] = 0) -> None:
        self.size, self.padding = sizes("RandomCrop", "size", size, 2), padding
        self._sides = _sides("RandomCrop", padding)

    def __call__(self, x: Array) -> Array:
        """Crop images: (n, channels, height, width).

        Raises:
            ShapeError: x has another number of axes, or the padded images are smaller than the crop.
        """
        _check_images("RandomCrop", x)
        if any(self._sides):
            x = _padded("RandomCrop", x, self._sides, 0)
        (h, w), (n, channels, height, width) = self.size, x.shape
        if h > height or w > width:
            raise ShapeError(
                f"RandomCrop: size {self.size} is larger than the images with their padding, "
                f"{(height, width)}; give a smaller size or more padding"
            )
        drawn = self.generator.bits((2, n), axis=1)
        tops, lefts = _below(drawn[0], height - h + 1), _below(drawn[1], width - w + 1)
        # The place of each element of the result within its plane, then within the whole array.
        rows = (tops[:, None] + xp.arange(h)) * width + lefts[:, None]
        within = rows[:, None, :, None] + xp.arange(w)
        planes = xp.arange(n * channels).reshape(n, channels, 1, 1) * (height * width)
        return xp.take(x.reshape(-1), planes + within)

    def for_evaluation(self) -> CenterCrop:
        """Return the crop of the middle."""
        return CenterCrop(self.size)


class RandomHorizontalFlip(RandomTransform):
    """Mirror each image, left to right, with probability p.

    Args:
        p: the probability.

    Raises:
        SettingError: p is not a number from 0 to 1.
    """

    _index: tuple[Any, ...] = (..., slice(None, None, -1))

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability(type(self).__name__, "p", p)

    def __call__(self, x: Array) -> Array:
        """Flip some of the images: (n, channels, height, width).

        Raises:
            ShapeError: x has another number of axes.
        """
        _check_images(type(self).__name__, x)
        chosen = _chosen(self.generator.bits((len(x),)), self.p)
        return xp.where(chosen[:, None, None, None], x[self._index], x)


class RandomVerticalFlip(RandomHorizontalFlip):
    """Turn each image upside down with probability p. See `RandomHorizontalFlip`."""

    _index = (..., slice(None, None, -1), slice(None))


class RandomErasing(RandomTransform):
    """Overwrite a random rectangle of each image with probability p.

    Source: Zhong et al., Random Erasing Data Augmentation, 2017.

    Args:
        p: the probability.
        scale: the smallest and the largest area of the rectangle, as a part of the image.
        ratio: the smallest and the largest ratio of its height to its width.
        value: what the rectangle is filled with.

    Area and ratio are drawn from 128 values each, evenly spaced (the ratio: on a logarithmic scale). As
    in torchvision, a rectangle that does not fit is not drawn.

    Raises:
        SettingError: p is not a number from 0 to 1, or a range is invalid.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float = 0,
    ) -> None:
        self.p, self.value = probability("RandomErasing", "p", p), _value("RandomErasing", value)
        self.scale, self.ratio = _range("scale", scale, 1), _range("ratio", ratio, np.inf)

    def __call__(self, x: Array) -> Array:
        """Erase parts of the images: (n, channels, height, width).

        Raises:
            ShapeError: x has another number of axes, or no rectangle fits.
            SettingError: the dtype of x cannot hold the value.
        """
        _check_images("RandomErasing", x)
        n, _, height, width = x.shape
        sizes = self._sizes(height, width)
        drawn = self.generator.bits((4, n), axis=1)
        heights, widths = xp.take(sizes, _below(drawn[1], sizes.shape[1]), axis=1)
        tops, lefts = _below(drawn[2], height - heights + 1), _below(drawn[3], width - widths + 1)
        rows, columns = xp.arange(height), xp.arange(width)
        in_rows = (rows >= tops[:, None]) & (rows < (tops + heights)[:, None])
        in_columns = (columns >= lefts[:, None]) & (columns < (lefts + widths)[:, None])
        erased = _chosen(drawn[0], self.p)[:, None, None] & in_rows[:, :, None] & in_columns[:, None, :]
        return xp.where(erased[:, None], _filled("RandomErasing", (), self.value, x.dtype), x)

    def _sizes(self, height: int, width: int) -> Array:
        """Return the heights and widths to choose from, (2, count), on the device.

        The host computes them, because roots and exponentials round differently on other devices.
        """

        def make() -> np.ndarray:
            steps = (np.arange(_LEVELS) + 0.5) / _LEVELS
            low, high = self.scale
            area = height * width * (low + (high - low) * steps)[:, None]
            ratio = np.exp(np.log(self.ratio[0]) + np.log(self.ratio[1] / self.ratio[0]) * steps)
            sizes = (
                np.rint([np.sqrt(area * ratio), np.sqrt(area / ratio)]).astype(np.int64).reshape(2, -1)
            )
            fits = (sizes[0] < height) & (sizes[1] < width)
            if not fits.any():
                raise ShapeError(
                    f"RandomErasing: no rectangle of scale {self.scale} and ratio {self.ratio} fits "
                    f"into images of {(height, width)}; give a smaller scale"
                )
            return sizes[:, fits]

        return self._constant((height, width), make)


def _check_images(name: str, x: Any) -> None:
    """Raise an error unless x is an array of the active backend, (n, channels, height, width)."""
    check_array(name, x)
    if x.ndim != 4:
        raise ShapeError(
            f"{name}: inputs have shape {x.shape}, but images must be (n, channels, height, width); "
            "reshape them"
        )


def _below(bits: Array, count: Any) -> Array:
    """Return random 32-bit integers as integers from 0 to count - 1; count may be an array."""
    count = count if isinstance(count, int) else count.astype(np.uint64)
    return (bits.astype(np.uint64) * count >> 32).astype(np.int64)


def _chosen(bits: Array, p: float) -> Array:
    """Return which of the samples a transform changes."""
    return bits.astype(np.uint64) < round(p * (1 << 32))


def _padded(name: str, x: Array, sides: tuple[int, ...], value: float) -> Array:
    left, top, right, bottom = sides
    n, channels, height, width = x.shape
    out = _filled(name, (n, channels, top + height + bottom, left + width + right), value, x.dtype)
    out[:, :, top : top + height, left : left + width] = x
    return out


def _filled(name: str, shape: tuple[int, ...], value: float, dtype: Any) -> Array:
    """Return a new array full of a value.

    Raises:
        SettingError: the dtype cannot hold the value.
    """
    try:
        with np.errstate(invalid="ignore"):
            fits = dtype.kind == "f" or np.full((), value, dtype) == value
    except OverflowError:
        fits = False
    if not fits:
        raise SettingError(
            f"{name}: value is {value!r}, which {dtype} cannot hold; convert the images to float32 first"
        )
    return xp.full(shape, value, dtype)


def _sides(name: str, padding: Any) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom)."""
    given = padding if isinstance(padding, (tuple, list)) else [padding]
    if len(given) not in (1, 2, 4):
        raise SettingError(
            f"{name}: padding is {padding!r}; give one integer, (left and right, top and bottom), or "
            "(left, top, right, bottom)"
        )
    left, top, right, bottom = [size(name, "padding", each, 0) for each in given] * (4 // len(given))
    return left, top, right, bottom


def _range(what: str, given: Any, most: float) -> tuple[float, float]:
    """Return the ends of a range of positive numbers."""
    ends = given if isinstance(given, (tuple, list)) and len(given) == 2 else ()
    if not (ends and all(map(is_number, ends)) and 0 < ends[0] <= ends[1] <= most):
        up_to = "" if most == np.inf else f", up to {most}"
        raise SettingError(
            f"RandomErasing: {what} is {given!r}; give (smallest, largest), positive{up_to}"
        )
    return float(ends[0]), float(ends[1])


def _value(name: str, given: Any) -> float:
    if not is_number(given):
        raise SettingError(f"{name}: value is {given!r}; it must be a number")
    number: float = given
    return number
