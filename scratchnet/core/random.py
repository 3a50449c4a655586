"""The random numbers that a network draws while it trains."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from backends import Array, active, check, to_host, xp
from scratchnet.core.share import share
from scratchnet.errors import SettingError


class Philox:
    """A counter-based generator of random numbers, whose counter is an array on the device.

    It is Philox4x64-10. Its numbers depend only on its key and on the number of the draw. So a network
    with the same seed gets the same numbers on every backend, in a captured step, and after a resume.

    Args:
        rng: a seed, or a NumPy generator that draws the key; None uses a random seed.

    Attributes:
        key: two 64-bit integers.
        draws: how often the generator has drawn, a 0-d array, uint64. A draw adds 1 to it on the device.

    Raises:
        SettingError: rng is something else.
    """

    def __init__(self, rng: Any = None) -> None:
        try:
            key = np.random.default_rng(rng).integers(0, 1 << 64, 2, np.uint64)
        except (TypeError, ValueError) as error:
            raise SettingError(
                f"Philox: rng is {rng!r}; give a NumPy generator, an integer of at least 0, or None"
            ) from error
        self.key = int(key[0]), int(key[1])
        self.draws = xp.zeros((), xp.uint64)

    def bits(self, shape: tuple[int, ...], axis: int = 0) -> Array:
        """Draw uniform 32-bit integers: an array of this shape, uint32.

        Args:
            shape: of the array.
            axis: the axis that counts the samples. If a batch is divided among processes, each draws
                the numbers that one process would draw for these samples.

        Raises:
            WrongArrayError: the generator was created on another backend than the active one.
        """
        check("Philox", "its counter `draws`", self.draws)  # a kernel would read a wrong address
        mine = share.get()
        begin, whole = (0, 0) if mine is None or not shape else mine.place(shape[axis])
        before, behind = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        if before == 1 or not whole:
            drawn = active().random_bits(self.key, self.draws, math.prod(shape), begin * behind)
        else:
            drawn = active().random_bits(self.key, self.draws, before * whole * behind)
            drawn = drawn.reshape(before, whole, behind)[:, begin : begin + shape[axis]]
        self.draws += xp.ones((), xp.uint64)
        return drawn.reshape(shape)

    @property
    def bit_generator(self) -> Self:
        """The object that holds the state: this one. NumPy's generators have it under this name."""
        return self

    @property
    def state(self) -> dict[str, Any]:
        """The key and the number of draws, as JSON can store them. Reading it waits for the device."""
        return {"bit_generator": "Philox", "key": list(self.key), "draws": int(to_host(self.draws))}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self.key = int(state["key"][0]), int(state["key"][1])
        self.draws[...] = state["draws"]  # in place: a captured step reads this address

    def __getstate__(self) -> dict[str, Any]:
        """Return the state, for a copy and a pickle."""
        return self.state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore what `__getstate__` returned, in memory of its own."""
        self.draws = xp.zeros((), xp.uint64)
        self.state = state

    def __repr__(self) -> str:
        """The key, which the seed determines."""
        return f"Philox(key={self.key})"
