"""Which samples are for training and which for validation, if all are in one place."""

from __future__ import annotations

import numpy as np

from scratchnet.errors import DataError, SettingError
from scratchnet.layers.arguments import size

VALID_FRACTION = 0.2
"""The part for validation that the command line draws, if the data set has none of its own."""


def chosen_of(
    owner: str, count: int, valid_fraction: float | None, take: int | None, seed: int, mode: str
) -> np.ndarray | slice:
    """Return the places of the samples of a mode, in their own order.

    Args:
        owner: the class that asks, for messages.
        count: the number of all samples.
        valid_fraction: the part for validation, drawn by the seed; None leaves all in every mode.
        take: how many samples to keep, drawn by the seed; None keeps all.
        seed: an integer from 0 on.
        mode: "train" or "valid".

    Raises:
        SettingError: an argument is out of range.
        DataError: there are too few samples for both parts.
    """
    if take is not None:
        size(owner, "take", take)
    if valid_fraction is None and take is None:
        return slice(None)
    order = np.random.default_rng(size(owner, "seed", seed, 0)).permutation(count)
    if valid_fraction is not None:
        valid = _count_for_validation(count, valid_fraction)
        order = order[:valid] if mode == "valid" else order[valid:]
    return np.sort(order[:take])


def _count_for_validation(count: int, fraction: float) -> int:
    if not isinstance(fraction, float) or not 0 < fraction < 1:
        raise SettingError(f"valid_fraction is {fraction!r}; it must be between 0 and 1")
    valid = round(count * fraction)
    if not 0 < valid < count:
        raise DataError(
            f"valid_fraction is {fraction}, and there are {count} samples; both parts need one"
        )
    return valid
