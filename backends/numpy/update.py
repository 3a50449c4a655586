"""The update rules of the optimizers, on the CPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from backends.errors import ReadOnlyError
from backends.plain.library import Array
from backends.plain.update import Rule, Target, Update
from backends.setting import Setting

BLOCK = 1 << 15
_SMALL = 1e-25
"""A smaller sum of squares may have lost digits in float32."""


class NumPyUpdate(Update):
    """The update rules of the optimizers, with few passes over memory."""

    def update(
        self, rule: Rule, settings: Mapping[str, Any], learning_rate: Setting, targets: Sequence[Target]
    ) -> None:
        """As the plain twin, block by block, so that all arrays of a block stay in the cache.

        Raises:
            ReadOnlyError: a parameter is read-only. None has been updated.
        """
        if not all(each.parameter.flags.writeable for each in targets):
            raise read_only_error([each.parameter for each in targets])
        for parameter, gradient, arrays, scalars in targets:
            if scalars:
                scalars[0][...] += 1
            apply = rule.make(self, float, learning_rate.number, *scalars, **settings)
            with np.errstate(under="ignore"):
                for block in _blocks(rule.by_element, parameter, gradient, *arrays):
                    apply(*block)

    def norm(self, x: Array, order: float) -> Array:
        """As the plain twin. BLAS computes the sum of squares, if nothing overflows."""
        if order == 2:
            flat = x.ravel(order="K")
            with np.errstate(over="ignore", under="ignore"):
                squares = flat.dot(flat)
            if _SMALL < squares < np.inf and x.dtype.char in "fd":
                return np.asarray(np.sqrt(squares, dtype=np.float64))
        return np.asarray(super().norm(x, order))


def read_only_error(parameters: Sequence[Array]) -> ReadOnlyError:
    """Return the error for the first parameter that is read-only."""
    place = next(i for i, each in enumerate(parameters) if not each.flags.writeable)
    return ReadOnlyError(
        f"the optimizer's parameter {place} of shape {parameters[place].shape} is read-only; give it "
        "memory of its own: parameter.data = parameter.data.copy()"
    )


def _blocks(by_element: bool, *arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the same part of all arrays, one part after the other.

    The first array and the states, which have its memory order, are changed in place through the parts.
    """
    parameter = arrays[0]
    if not by_element:
        yield arrays
        return
    turned = parameter.flags.f_contiguous and not parameter.flags.c_contiguous
    arrays = tuple(each.T for each in arrays) if turned else arrays
    if parameter.size <= BLOCK or not arrays[0].flags.c_contiguous:
        yield arrays
        return
    flat = [each.reshape(-1) for each in arrays]  # a gradient in another order is copied
    for start in range(0, parameter.size, BLOCK):
        yield tuple(each[start : start + BLOCK] for each in flat)
