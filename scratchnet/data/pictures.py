"""The samples of any loader as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from backends import active, to_device, to_host, xp
from scratchnet.core.function import array_of
from scratchnet.data.arrays import ArrayDataLoader
from scratchnet.data.images import places_of
from scratchnet.data.loader import DataLoader
from scratchnet.data.samples import parts_of
from scratchnet.errors import OperandError

_CHANNELS = 1, 3, 4


def has_pictures(loader: Any) -> bool:
    """Whether the samples are surely images: the loader has pixels, or they are (channels, h, w)."""
    if hasattr(loader, "pixels"):
        return True
    array = _first_input(loader)
    shape = () if array is None else array.shape
    return len(shape) == 3 and shape[0] in _CHANNELS and min(shape) > 0 and max(shape[1:]) > 1


def pixels_of(loader: Any, which: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return samples as pictures, (k, h, w) or (k, h, w, 3), uint8, on the host.

    A loader's own `pixels` come first. Otherwise the samples are (h, w), (channels, h, w), (h, w, 3), or
    the h² pixels of a square. Floating values from 0 to 1, or from 0 to 255, are shown as they are.
    Other values are stretched, for each picture alone.

    Args:
        loader: a loader whose samples can be taken one by one: of arrays, or of a data set.
        which: k positions in the loader's own order, from 0 on.

    Raises:
        OperandError: these are not positions, or the samples are no images.
        DataError: there is no such sample.
    """
    if hasattr(loader, "pixels"):
        return np.asarray(loader.pixels(which))
    places = places_of(loader, which)
    if isinstance(loader, ArrayDataLoader) and isinstance(loader.inputs, active().array_type):
        values = to_host(xp.take(loader.inputs, to_device(places), axis=0))
    elif _first_input(loader) is not None:
        samples = [parts_of(loader.dataset[int(place)], "")[0] for place in places]
        values = np.stack([np.asarray(each) for each in samples]) if samples else np.zeros((0, 1, 1))
    else:
        raise OperandError(
            f"a {type(loader).__name__} gives no single images; give a FashionMnistDataLoader, an "
            "ArrayDataLoader or a DataLoader of a data set, with one input of images"
        )
    return _as_bytes(_as_pictures(values))


def _first_input(loader: Any) -> np.ndarray | Any:
    """Return the input of a sample; None if it is not one array, or cannot be taken alone."""
    if isinstance(loader, ArrayDataLoader):
        return loader.inputs[0] if isinstance(loader.inputs, active().array_type) else None
    if not isinstance(loader, DataLoader) or not hasattr(loader, "dataset"):
        return None
    given = array_of(parts_of(loader.dataset[0], "sample 0")[0])
    return None if isinstance(given, (tuple, dict)) else np.asarray(given)


def _as_pictures(values: np.ndarray) -> np.ndarray:
    """Return (k, h, w) or (k, h, w, 3) of samples in any of the known forms."""
    shape = values.shape[1:]
    if len(shape) == 1 and math.isqrt(shape[0]) ** 2 == shape[0]:
        values = values.reshape(-1, math.isqrt(shape[0]), math.isqrt(shape[0]))
    elif len(shape) == 3:
        if shape[0] not in _CHANNELS and shape[-1] in _CHANNELS:
            values = np.moveaxis(values, -1, 1)
        if values.shape[1] not in (3, 4):
            gray: np.ndarray = values.mean(axis=1) if values.shape[1] > 1 else values[:, 0]
            return gray
        return np.moveaxis(values[:, :3], 1, -1)
    elif len(shape) != 2:
        raise OperandError(
            f"samples of shape {shape} are no images; they must be (h, w), (channels, h, w) or h² pixels"
        )
    return values


def _as_bytes(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint8:
        return values
    values = values.astype(np.float64)
    low, high = values.min(initial=0), values.max(initial=0)
    if low < 0 or high > 255:
        axes = tuple(range(1, values.ndim))
        low, high = values.min(axes, keepdims=True), values.max(axes, keepdims=True)
        values = (values - low) / np.where(high > low, high - low, 1) * 255
    elif high <= 1:
        values = values * 255
    shown: np.ndarray = np.rint(values).clip(0, 255).astype(np.uint8)
    return shown
