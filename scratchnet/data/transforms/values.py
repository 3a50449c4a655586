"""Transforms of numbers and labels."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from backends import Array, LabelError, active, to_host, xp
from scratchnet.data.transforms.transform import Transform, check_array
from scratchnet.errors import OperandError, SettingError, ShapeError
from scratchnet.functions.shape import axes_of
from scratchnet.layers.arguments import size

_ROWS = 1024  # of an array whose variance is computed, at a time


class Standardize(Transform):
    """(x - mean) / std.

        standardize = sn.transforms.Standardize.of(train_images)

    Args:
        mean: a number; or one for each column or channel, which is axis 1 of a batch; or an array that
            broadcasts with a sample.
        std: the same, positive.

    Attributes:
        mean, std: NumPy arrays, float64.

    The result has the dtype of x, or float32 if x holds integers.

    Raises:
        SettingError: mean or std holds something other than finite numbers, or std is not positive.
    """

    def __init__(self, mean: Any, std: Any) -> None:
        self.mean, self.std = _host_numbers("mean", mean), _host_numbers("std", std)
        if not (self.std > 0).all():
            raise SettingError(f"Standardize: std has {self.std.min()}; each must be positive")

    @classmethod
    def of(cls, array: Any, axis: int | tuple[int, ...] | None = None) -> Standardize:
        """Return the transform that gives this array mean 0 and standard deviation 1.

        Args:
            array: (n, …), of NumPy or the active backend: the training data.
            axis: the axes over which the mean is taken, with axis 0 among them. None takes all except
                axis 1: so each column of a table has its own mean, and each channel of images.

        A column that is constant, apart from rounding, has standard deviation 1, as in scikit-learn.

        Raises:
            ShapeError: the array is empty, or axis 0 is not among the axes.
        """
        x = to_host(array)
        if not x.ndim or not x.size:
            raise ShapeError(f"Standardize.of: the array has shape {x.shape}; give at least one sample")
        every = tuple(i for i in range(x.ndim) if i != 1)
        axes = every if axis is None else axes_of("Standardize.of", axis, x)
        if 0 not in axes:
            raise ShapeError(f"Standardize.of: axis is {axis}; it must have axis 0, the samples")
        parts = [x[i : i + _ROWS] for i in range(0, len(x), _ROWS)]  # float64 of all might not fit
        count = x.size // int(np.prod([n for i, n in enumerate(x.shape) if i not in axes]))
        mean = sum(part.sum(axes, np.float64, keepdims=True) for part in parts) / count
        variance = sum(np.square(part - mean).sum(axes, keepdims=True) for part in parts) / count
        rounding = count * np.finfo(np.float64).eps  # relative, of a sum of so many numbers
        constant = variance <= rounding * variance + np.square(rounding * mean)
        std = np.where(constant, 1, np.sqrt(variance))
        shape = [1 if i in axes else n for i, n in enumerate(x.shape)][1:]
        return cls(mean.reshape(shape), std.reshape(shape))

    def __call__(self, x: Array) -> Array:
        """Standardize x.

        Raises:
            ShapeError: mean or std does not fit the shape of x.
        """
        check_array("Standardize", x)
        if x.dtype.kind != "f":
            x = x.astype(np.float32)
        mean, std = (
            self._constant((name, x.dtype, x.shape[1:]), partial(self._fitted, name, x))
            for name in ("mean", "std")
        )
        return (x - mean) / std

    def _fitted(self, name: str, x: Array) -> np.ndarray:
        """Return mean or std in the dtype of x, so that it broadcasts with x."""
        values: np.ndarray = getattr(self, name)
        shape = values.shape
        if len(shape) == 1 and x.ndim > 1:  # along axis 1
            values = values.reshape(shape + (1,) * (x.ndim - 2))
        try:
            fits = np.broadcast_shapes(values.shape, x.shape[1:]) == x.shape[1:]
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(
                f"Standardize: inputs have shape {x.shape}, and {name} has {shape}; give one number, "
                "one for each column or channel (axis 1), or an array that broadcasts with a sample"
            )
        fitted: np.ndarray = values.astype(x.dtype)
        return fitted


class OneHot(Transform):
    """Labels as vectors: 1 at the label, 0 elsewhere. For targets.

    Args:
        classes: the number of classes.

    Raises:
        SettingError: classes is not a positive integer.
    """

    def __init__(self, classes: int) -> None:
        self.classes = size("OneHot", "classes", classes)

    def __call__(self, x: Array) -> Array:
        """Return float32 (…, classes) for integers of any shape.

        Raises:
            OperandError: x does not hold integers.
            LabelError: a label is out of range, on NumPy. On a GPU its vector is all zeros.
        """
        check_array("OneHot", x)
        if x.dtype.kind not in "iu":
            raise OperandError(f"OneHot: labels have dtype {x.dtype}; they must be integers")
        place = active().first_false((x >= 0) & (x < self.classes))
        if place is not None:
            raise LabelError(
                f"OneHot: label {int(x.reshape(-1)[place])} at position {place} is not one of 0 to "
                f"{self.classes - 1}"
            )
        return (x[..., None] == xp.arange(self.classes)).astype(np.float32)


def _host_numbers(what: str, given: Any) -> np.ndarray:
    """Return a mean or a standard deviation as float64, on the host."""
    try:
        found = np.asarray(given).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise SettingError(f"Standardize: {what} is {given!r}; it must hold numbers") from error
    if not np.isfinite(found).all():
        raise SettingError(f"Standardize: {what} has NaN or infinity; it must hold finite numbers")
    return found
