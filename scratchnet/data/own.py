"""Loaders that are not the library's: any iterable of batches with a length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any

from scratchnet.data.batches import Batch, as_batch
from scratchnet.data.loader import DataLoader
from scratchnet.errors import OperandError


class OwnLoader(DataLoader):
    """Gives the batches of an iterable with a length, such as a list of batches.

    Args:
        batches: yields (inputs, targets) or (inputs, targets, weights), of arrays or Variables.
    """

    def __init__(self, batches: Any) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches, on the device."""
        return map(as_batch, self.batches)

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.batches)


def as_loader(given: Any) -> DataLoader:
    """Return a loader as it is, and any other iterable of batches as a loader.

    Raises:
        OperandError: it cannot be iterated over more than once, or has no length.
    """
    if isinstance(given, DataLoader):
        return given
    if not isinstance(given, Iterable) or isinstance(given, (Iterator, str, bytes, dict)):
        raise OperandError(
            f"{type(given).__name__} given, a loader expected: sn.ArrayDataLoader, sn.DataLoader, a "
            "list of batches, or a class with __iter__ and __len__"
        )
    if not isinstance(given, Sized):
        raise OperandError(
            f"{type(given).__name__}: a loader needs __len__, its number of batches; define it"
        )
    return OwnLoader(given)
