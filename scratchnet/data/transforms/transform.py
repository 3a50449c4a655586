"""The base classes of transforms, and several in a row."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from backends import Array, active, check, to_device
from backends.errors import kind_of
from scratchnet.core.random import Philox
from scratchnet.errors import OperandError, SettingError


class Transform:
    """Base class of transforms. A subclass defines `__call__`.

    Attributes:
        random: whether it draws random numbers.
    """

    random = False

    def __call__(self, x: Array) -> Array:
        """Return the transformed array."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(x)")

    def for_evaluation(self) -> Callable[[Array], Array] | None:
        """Return what remains of the transform in evaluation; None if nothing does."""
        return self

    def _constant(self, key: Hashable, make: Callable[[], np.ndarray]) -> Array:
        """Return what `make` returns, on the device. It is copied once: a capture allows no copy."""
        constants = vars(self).setdefault("_constants", {})
        place = active(), key
        if place not in constants:
            constants[place] = to_device(make())
        return constants[place]

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings, without the arrays on the device."""
        return {name: value for name, value in vars(self).items() if name != "_constants"}

    def __repr__(self) -> str:
        """The class and its settings."""
        settings = (f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({', '.join(settings)})"


class RandomTransform(Transform):
    """Base class of transforms that draw random numbers from `self.generator`.

    A loader calls `seed` once, and `begin` before each batch.

    Attributes:
        generator: the `Philox` to draw from. Without a loader, call `seed`, or it has a random seed.
    """

    random = True
    _generator: Philox | None = None

    @property
    def generator(self) -> Philox:
        """The generator."""
        if self._generator is None:
            self._generator = Philox()
        return self._generator

    def seed(self, key: int | Sequence[int]) -> None:
        """Draw from a new generator with this seed: an integer, or several."""
        self._generator = Philox(key)

    def begin(self, draw_number: int | Array) -> None:
        """Make the draw of this number the next one. A 0-d uint64 array on the device may be given."""
        self.generator.draws[...] = draw_number

    def for_evaluation(self) -> Callable[[Array], Array] | None:
        """Return None: nothing remains of it."""
        return None


class Compose(RandomTransform):
    """Several transforms, one after the other.

    Args:
        transforms: transforms, or any functions of an array.

    Raises:
        SettingError: one of them is no function.
    """

    def __init__(self, transforms: Iterable[Callable[[Array], Array]]) -> None:
        if not isinstance(transforms, Iterable):
            raise SettingError(f"Compose: {kind_of(transforms)} given; give a list of transforms")
        self.transforms = tuple(transforms)
        for each in self.transforms:
            if not callable(each):
                raise SettingError(
                    f"Compose: {kind_of(each)} is no transform; give functions of an array"
                )
        self._random = [each for each in self.transforms if getattr(each, "random", False)]
        self.random = bool(self._random)

    def __call__(self, x: Array) -> Array:
        """Apply all transforms to x."""
        for transform in self.transforms:
            x = transform(x)
        return x

    def seed(self, key: int | Sequence[int]) -> None:
        """Seed the random transforms, each with numbers of its own."""
        keys = [key] if isinstance(key, int) else list(key)
        for number, each in enumerate(self._random):
            each.seed([*keys, number])  # type: ignore[attr-defined]

    def begin(self, draw_number: int | Array) -> None:
        """Make the draw of this number the next one, in each random transform."""
        for each in self._random:
            each.begin(draw_number)  # type: ignore[attr-defined]

    def for_evaluation(self) -> Callable[[Array], Array] | None:
        """Return the transforms that remain in evaluation; None if there are none."""
        remain = [
            each.for_evaluation() if hasattr(each, "for_evaluation") else each
            for each in self.transforms
        ]
        found = [each for each in remain if each is not None]
        return Compose(found) if len(found) > 1 else found[0] if found else None

    def __repr__(self) -> str:
        """The transforms."""
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


def check_array(name: str, x: Any) -> None:
    """Raise an error unless x is an array of the active backend."""
    if isinstance(x, (tuple, dict)):
        raise OperandError(
            f"{name}: the inputs are {kind_of(x)} of arrays; give a function that transforms one of "
            "them, such as lambda inputs: {**inputs, 'image': transform(inputs['image'])}"
        )
    check(name, "x", x)
