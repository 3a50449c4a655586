"""A loader's passes in arrays at fixed addresses, which a captured epoch reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from backends import Array, active, to_device
from scratchnet.data.batches import Batch, each_array, named_arrays

if TYPE_CHECKING:
    from scratchnet.data.arrays import ArrayDataLoader


class ResidentPass:
    """A loader's pass, gathered each time into arrays at fixed addresses.

    Args:
        loader: the loader of the samples. It keeps its own arrays, so the samples are on the device
            twice, unless the loader does not shuffle.

    Attributes:
        parts: (inputs, targets) or (inputs, targets, weights) in the order of the pass.
        num_batches: the number of batches.
    """

    def __init__(self, loader: ArrayDataLoader) -> None:
        self.loader, self.num_batches = loader, len(loader)
        moves = bool(loader.shuffle)
        self.parts = each_array(lambda array: array.copy() if moves else array, loader.parts)
        self._views = loader.views(self.parts)[: self.num_batches]
        self._size = loader.batch_size if loader.shuffle == "batches" else 1
        self._order: Array | None = None

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches: views, transformed as the loader does it."""
        return map(self.loader.transformed, self._views, range(self.num_batches))

    def draw(self) -> None:
        """Draw the order of the next pass, and copy it to the device."""
        order = self.loader.next_order()
        if order is not None:
            order = to_device(order[: self.loader.num_samples // self._size])
        self._order = order

    def gather(self) -> None:
        """Gather the samples in the order that was drawn."""
        if self._order is None:
            return
        full, size = len(self._order), self._size
        pairs = zip(named_arrays("", self.loader.parts), named_arrays("", self.parts), strict=True)
        for (_, source), (_, target) in pairs:
            rows, end = (full, size, *source.shape[1:]), full * size
            active().take_rows(source[:end].reshape(rows), self._order, target[:end].reshape(rows))
            target[end:] = source[end:]  # the short batch, which comes last in every pass
