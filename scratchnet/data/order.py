"""The order of the samples in each pass, which depends on a seed and on the number of earlier passes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from scratchnet.errors import SettingError

SHUFFLES = (True, "samples", "batches", False, None)
_AT_ONCE = 8
"""Windows whose samples are mixed: more mix better, and take more memory."""


class Order:
    """Draws the order of each pass.

    Args:
        samples: the number of samples.
        batch_size: the number of samples per batch.
        seed: for all passes.
        shuffle: True or "samples" draws every sample anew in each pass; "batches" draws the order of
            batches that stay the same; False or None keeps the order.
        drop_last: whether a training pass leaves out a last batch that is shorter.
        window: the number of neighboring samples that are read together. A shuffle then draws the order
            of the windows, and mixes the samples of a few of them. None mixes all samples.

    Attributes:
        passes: the number of passes that have begun.

    Raises:
        SettingError: a setting is out of its range.
    """

    def __init__(
        self,
        samples: int,
        batch_size: int,
        seed: int,
        shuffle: bool | str | None,
        drop_last: bool,
        window: int | None,
    ) -> None:
        check_settings(batch_size, seed, shuffle)
        if not isinstance(drop_last, (bool, np.bool_)):
            raise SettingError(f"drop_last is {drop_last!r}; it must be True or False")
        if drop_last and samples < batch_size:
            raise SettingError(
                f"drop_last: no batch is left, because {samples} samples are fewer than a batch of "
                f"{batch_size}; give a smaller batch_size"
            )
        self.samples, self.batch_size, self.seed = samples, int(batch_size), int(seed)
        self.by_sample = shuffle in (True, "samples") and shuffle is not None
        self.by_batch = shuffle == "batches"
        self.drop_last, self.window = bool(drop_last), window
        self.passes = 0

    @property
    def full(self) -> int:
        """The number of batches of `batch_size` samples."""
        return self.samples // self.batch_size

    @property
    def num_batches(self) -> int:
        """The number of batches in a training pass."""
        return self.full if self.drop_last else -(-self.samples // self.batch_size)

    def next(self) -> np.ndarray | None:
        """Begin a pass. Return the order of its samples or of its batches; None if it stays as it is."""
        rng = np.random.default_rng([self.seed, self.passes])
        self.passes += 1
        if self.by_batch:  # the short batch, if any, comes last
            return np.append(rng.permutation(self.full), np.arange(self.full, self.num_batches))
        if not self.by_sample:
            return None
        return rng.permutation(self.samples) if self.window is None else self._by_window(rng)

    def index_batches(self, order: np.ndarray | None, begin: int = 0) -> Iterator[np.ndarray]:
        """Yield the positions of the samples of each batch of a pass, from batch `begin` on."""
        size = self.batch_size
        for number in range(begin, self.num_batches):
            place = int(order[number]) if self.by_batch and order is not None else number
            part = np.arange(place * size, min((place + 1) * size, self.samples))
            yield order[part] if self.by_sample and order is not None else part

    def in_order(self) -> Iterator[np.ndarray]:
        """Yield the positions of the samples of each batch, of all samples in their own order."""
        for start in range(0, self.samples, self.batch_size):
            yield np.arange(start, min(start + self.batch_size, self.samples))

    def _by_window(self, rng: np.random.Generator) -> np.ndarray:
        window = self.window or 1
        starts = rng.permutation(-(-self.samples // window)) * window
        order = np.empty(self.samples, np.int64)
        filled = 0
        for first in range(0, len(starts), _AT_ONCE):
            group = starts[first : first + _AT_ONCE]
            mixed = np.concatenate([np.arange(s, min(s + window, self.samples)) for s in group])
            order[filled : filled + len(mixed)] = rng.permutation(mixed)
            filled += len(mixed)
        return order


def check_settings(batch_size: int, seed: int, shuffle: bool | str | None) -> None:
    """Raise `SettingError` if a setting is invalid for every loader."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise SettingError(f"batch_size is {batch_size!r}; it must be a positive integer")
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise SettingError(f"seed is {seed!r}; it must be an integer from 0 on")
    if not any(shuffle is each or (isinstance(shuffle, str) and shuffle == each) for each in SHUFFLES):
        raise SettingError(f'shuffle is {shuffle!r}; it must be True (every sample), "batches" or False')


def check_mode(mode: str) -> None:
    """Raise `SettingError` for an unknown mode."""
    if mode not in ("train", "valid"):
        raise SettingError(f'mode is {mode!r}; it must be "train" or "valid"')
