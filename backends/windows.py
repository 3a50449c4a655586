"""Windows: the places of an image that convolution and pooling read for each result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

Pair: TypeAlias = tuple[int, int]
"""A number for the rows, and one for the columns."""


class Windows(NamedTuple):
    """How windows of one size lie on a padded image.

    Attributes:
        kernel: the rows and columns of a window.
        stride: the distance between two windows.
        padding: the rows to add (above, below) the image, and the columns to add (left of, right of) it.
        dilation: the distance between two elements of a window.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)

    def __repr__(self) -> str:
        """Show the kernel, and the settings that differ from their defaults."""
        defaults = self._field_defaults.items()
        others = (
            f", {name}={getattr(self, name)}" for name, each in defaults if getattr(self, name) != each
        )
        return f"Windows({self.kernel}{''.join(others)})"

    @property
    def extent(self) -> Pair:
        """The rows and columns of the image that one window spans."""
        (rows, columns), (down, right) = self.kernel, self.dilation
        return (rows - 1) * down + 1, (columns - 1) * right + 1

    def padded(self, size: Pair) -> Pair:
        """Return the rows and columns of an image of this size after padding."""
        return size[0] + sum(self.padding[0]), size[1] + sum(self.padding[1])

    def result(self, size: Pair) -> Pair:
        """Return the number of windows on an image of this size, down and across."""
        (high, wide), (down, right) = self.padded(size), self.stride
        return (high - self.extent[0]) // down + 1, (wide - self.extent[1]) // right + 1

    def positions(self, count: Pair) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
        """Return each position in the window: its row, its column, and the elements of the padded image.

        The elements are two slices. They select one element for each window, if `count` is the number of
        windows.
        """
        for row in range(self.kernel[0]):
            for column in range(self.kernel[1]):
                starts = row * self.dilation[0], column * self.dilation[1]
                rows, columns = (
                    slice(start, start + step * (number - 1) + 1, step)
                    for start, step, number in zip(starts, self.stride, count, strict=True)
                )
                yield row, column, (rows, columns)

    def inside(self, size: Pair) -> tuple[slice, slice]:
        """Return where in the padded image the image of this size lies: its rows and columns."""
        (above, _), (left, _) = self.padding
        return slice(above, above + size[0]), slice(left, left + size[1])

    @property
    def pads(self) -> bool:
        """Whether there is any padding."""
        return any(map(any, self.padding))
