"""Random numbers that are the same on every backend, on the CPU."""

from __future__ import annotations

import numpy as np

from backends.plain.library import Array
from backends.plain.random import Random


class NumPyRandom(Random):
    """Random numbers that are the same on every backend, with few passes over memory."""

    def random_bits(self, key: tuple[int, int], draws: Array, count: int) -> Array:
        """As the plain twin, by NumPy's own Philox."""
        counter = np.zeros(4, np.uint64)
        counter[1] = draws
        philox = np.random.Philox(key=np.array(key, np.uint64), counter=counter)
        words = philox.random_raw(-(-count // 2)).astype("<u8", copy=False)
        return words.view("<u4")[:count]
