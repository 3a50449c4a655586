"""The number of leaves in which each batch is added up."""

from __future__ import annotations

from typing import Any

import numpy as np

from scratchnet.errors import SettingError

MOST_SHARDS = 4096
"""The largest number of leaves. A process computes each of its leaves by itself, also an empty one."""


def is_shards(given: Any) -> bool:
    """Whether a number of leaves is a power of two, up to `MOST_SHARDS`."""
    known = isinstance(given, (int, np.integer)) and not isinstance(given, bool)
    return known and 0 < given <= MOST_SHARDS and given & (given - 1) == 0


def shards_for(ranks: int, asked: int | None, former: int | None) -> int:
    """Return the number of leaves of a training run.

    Args:
        ranks: the number of processes.
        asked: the number that the user has given, or None.
        former: that of an earlier part of the training run, or None.

    Raises:
        SettingError: the processes do not divide the leaves.
    """
    shards = asked or former or 1 << (ranks - 1).bit_length()
    if shards % ranks:
        *most, last = (str(1 << bit) for bit in range(shards.bit_length()))
        fit = f"{', '.join(most)} or {last}" if most else last
        many = f"{shards} shards" if shards > 1 else "1 shard"
        way_out = ""
        if not asked:
            many += ", with which the training run began"
            way_out = f", or give shards={1 << (ranks - 1).bit_length()}, which changes the last digits"
        raise SettingError(
            f"data_parallel: {ranks} processes do not divide {many}; start {fit}{way_out}"
        )
    return shards
