"""The cases of the kernels that do not belong to exactly one Function."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from backends import Array, Backend, Setting, active, to_device, xp
from scratchnet.verify.cases.case import Case, Compute, Given, Named


def _take_rows(given: Given) -> tuple[Named, Named]:
    source, order = given.reals(9, 4, 5), to_device(np.array([3, 0, 8, 8, 1]))
    out = xp.empty((5, 4, 5), given.dtype)
    active().take_rows(source, order, out)
    return {"rows": out}, {}


def _scatter_add(given: Given) -> tuple[Named, Named]:
    """Repeat all rows 40 times."""
    target, index = given.reals(9, 4, 5), to_device(np.arange(360) % 9)
    active().scatter_add(target, index, given.reals(360, 4, 5))
    return {"rows": target}, {}


def _random_bits(given: Given) -> tuple[Named, Named]:
    """Draw what the last share of a batch would draw, without the bits that float32 has no room for."""
    bits = active().random_bits((3, 4), xp.full((), 5, xp.uint64), 50, 21)
    return {"bits": (bits >> 8).astype(given.dtype)}, {}


def _clipped(norm: bool) -> Compute:
    def compute(given: Given) -> tuple[Named, Named]:
        gradients = [given.reals(100, 24), given.reals(), given.reals(7)]
        if norm:
            found = {"norm": active().clip_norm(gradients, 5.0, 2.0)}
        else:
            active().clip_values(gradients, 0.5)
            found = {}
        return found | {f"gradient {i}": each for i, each in enumerate(gradients)}, {}

    return compute


def _two_layers(given: Given, kernel: str, *settings: Setting) -> tuple[Array, Named]:
    """Return the result of a kernel of the whole network, and the parameters after it.

    No size is a multiple of a tile, and there is more than one batch. A backend without such a kernel
    takes single steps, as the plain twin does.
    """
    x, labels = given.reals(70, 30), given.labels(70, 10)
    w1, b1, w2, b2 = (given.reals(*each) / 4 for each in ((21, 30), (21,), (10, 21), (10,)))
    backend, parameters = active(), (w1, b1, w2, b2)
    kernels = type(backend) if backend.fuses(x, labels, parameters) else Backend
    found = getattr(kernels, kernel)(backend, x, labels, 33, parameters, *settings)
    names = "first weight", "first bias", "second weight", "second bias"
    return found, dict(zip(names, parameters, strict=True))


def _two_layer_epoch(given: Given) -> tuple[Named, Named]:
    losses, parameters = _two_layers(given, "two_layer_epoch", Setting(0.1))
    return {"losses": losses}, parameters


def _two_layer_evaluation(given: Given) -> tuple[Named, Named]:
    (losses, accuracies), _ = _two_layers(given, "two_layer_evaluation")
    return {"losses": losses, "accuracies": accuracies}, {}


def kernel_cases() -> Iterable[Case]:
    """Return cases for methods of `Backend` that do not belong to exactly one Function."""
    yield Case("take_rows", 0, _take_rows)
    yield Case("scatter_add", 41, _scatter_add)
    yield Case("random_bits", 0, _random_bits)
    yield Case("clip_grad_norm", 49, _clipped(norm=True))
    yield Case("clip_grad_value", 0, _clipped(norm=False))
    of_a_step = 30 + 21 + 10 + 33
    yield Case("two_layer_epoch", 3 * of_a_step, _two_layer_epoch)
    yield Case("two_layer_evaluation", of_a_step, _two_layer_evaluation)
