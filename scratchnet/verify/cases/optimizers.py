"""The cases of the optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from scratchnet.optimizers import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Muon,
    NAdam,
    Optimizer,
    RMSprop,
)
from scratchnet.variable import Variable
from scratchnet.verify.cases.case import Case, Compute, Given, Named


def _updated(make: Callable[[list[Variable]], Optimizer], *shapes: tuple[int, ...]) -> Compute:
    """Return the parameters after three steps of an optimizer."""

    def compute(given: Given) -> tuple[Named, Named]:
        parameters = [Variable(given.reals(*shape)) for shape in shapes]
        optimizer = make(parameters)
        for _ in range(3):
            for each in parameters:
                each.grad = given.reals(*each.shape)
            optimizer.step()
        return {f"parameter {i}": each.data for i, each in enumerate(parameters)}, {}

    return compute


def optimizer_cases() -> Iterable[Case]:
    """Return a case for each optimizer."""
    shapes = (100, 24), (100,), (), (7,)
    yield Case("SGD", 4, _updated(lambda p: SGD(p, 0.1), *shapes))
    yield Case("SGD with momentum", 8, _updated(lambda p: SGD(p, 0.1, 0.9, True, 0.01), *shapes))
    for kind in (Adam, AdamW, NAdam):
        yield Case(kind.__name__, 16, _updated(partial(kind, learning_rate=0.1), *shapes))
    yield Case("RMSprop", 16, _updated(lambda p: RMSprop(p, 0.01, momentum=0.5), *shapes))
    yield Case(
        "RMSprop, centered", 64, _updated(lambda p: RMSprop(p, 0.01, 0.5, centered=True), *shapes)
    )
    yield Case("Adagrad", 16, _updated(lambda p: Adagrad(p, 0.1), *shapes))
    yield Case("Lion", 8, _updated(lambda p: Lion(p, 0.1), *shapes))
    yield Case("Muon", 300, _updated(lambda p: Muon(p, 0.1), (24, 10), (10, 24)))
