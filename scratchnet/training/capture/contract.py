"""The contract of capture: what may be captured, and what a captured step depends on.

A captured step does the same work every time: the same operations on arrays at the same places. Python
code runs only while the step is recorded. The library's own modules, Functions, losses and optimizers
keep this contract. Anything else must declare it with `capturable = True`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from backends import Array, active
from scratchnet.core.function import Function, is_ours
from scratchnet.core.random import Philox
from scratchnet.layers import Module
from scratchnet.losses.kinds import opened
from scratchnet.optimizers import Optimizer
from scratchnet.variable import Variable

_VALUES = (int, float, complex, str, bytes, bool, type(None), np.generic)


def undeclared(
    net: Module,
    loss: Any,
    optimizer: Optimizer | None,
    functions: Iterable[Function],
    metrics: Iterable[Any] = (),
) -> str:
    """Return why a step is not captured: the first part that does not declare the contract.

    Args:
        net: the network.
        loss: the loss function, or a list or a dict of them.
        optimizer: None if nothing is trained.
        functions: the Functions in the graph of a step.
        metrics: functions that are called in the step.

    Returns:
        One line; empty if all parts keep the contract.
    """
    for what, part in _parts(net, loss, optimizer, functions, metrics):
        kind = part if isinstance(part, type) or hasattr(part, "__qualname__") else type(part)
        if not is_ours(kind) and not getattr(part, "capturable", False):
            name = getattr(kind, "__qualname__", repr(kind))
            return (
                f"{what} {name} is not the library's own; if it does the same work at every call, "
                f"promise it: {name.rpartition('.')[2]}.capturable = True"
            )
    return ""


def _parts(
    net: Module,
    loss: Any,
    optimizer: Optimizer | None,
    functions: Iterable[Function],
    metrics: Iterable[Any],
) -> Iterator[tuple[str, Any]]:
    for path, module in net.named_modules():
        yield (f"module {path}," if path else "the network"), module
        names = vars(module) if is_ours(type(module)) else {"stages"} & vars(module).keys()
        for name in names:
            held = getattr(module, name)
            several = isinstance(held, (tuple, list))
            for position, each in enumerate(held if several else (held,)):
                if callable(each) and not isinstance(each, Module):
                    place = f"{name}[{position}]" if several else name
                    yield f"{place} of {path or 'the network'},", each
    losses = loss.values() if isinstance(loss, Mapping) else loss
    for each in losses if isinstance(losses, Iterable) else (loss,):
        yield "the loss", opened(each)[0]
    for metric in metrics:
        yield "the metric", opened(metric)[0]
    if optimizer is not None:
        yield "the optimizer", optimizer
    for function in functions:
        yield "the Function", function


class Held:
    """What a step reads and changes: parameters, buffers and attributes, at one moment.

    Attributes:
        values: everything that can be compared, by path. Objects and arrays are compared by identity.
        arrays: the arrays on the device, by path.
        variables: the Variables.
    """

    def __init__(self, **things: Any) -> None:
        """Record modules with everything in them, and the attributes of an optimizer."""
        self.values: dict[str, Any] = {"backend": active().name}
        self.arrays: dict[str, Array] = {}
        self.variables: list[Variable] = []
        for name, thing in things.items():
            self.values[name] = _Same(thing)
            if isinstance(thing, Module):
                for path, module in thing.named_modules():
                    self._look_into(f"{name}.{path}".removesuffix("."), module)
            elif isinstance(thing, Optimizer):
                self._look_into(name, thing)
                for place, group in enumerate(thing.groups):
                    for setting, value in {"learning_rate": group.rate, **group.settings}.items():
                        self._note(f"{name}.{setting}[{place}]", value)

    def difference(self, later: Held) -> str:
        """Return the path of something that has changed; empty if nothing has."""
        both = {**self.values, **later.values}
        paths = [path for path in both if self.values.get(path) != later.values.get(path)]
        return max(paths, key=lambda path: path.count("."), default="")

    def _look_into(self, path: str, thing: Any) -> None:
        for name, each in vars(thing).items():
            self._note(f"{path}.{name}", each)

    def _note(self, path: str, thing: Any) -> None:
        self.values[path] = thing if isinstance(thing, _VALUES) else _Same(thing)
        if isinstance(thing, Variable):
            self.values[path] = thing.requires_grad, _Same(thing), _Same(thing.data)
            if all(thing is not each for each in self.variables):
                self.variables.append(thing)
                self.arrays[path] = thing.data
        elif isinstance(thing, active().array_type):
            self.arrays[path] = thing
        elif isinstance(thing, np.random.Generator):
            self.values[path] = repr(thing.bit_generator.state)
        elif isinstance(thing, Philox):
            self.values[path] = _Same(thing), _Same(thing.draws), thing.key
            self.arrays[path] = thing.draws
        elif isinstance(thing, (list, tuple, dict)):
            items = thing.items() if isinstance(thing, dict) else enumerate(thing)
            for name, each in list(items):
                self._note(f"{path}.{name}", each)


class _Same:
    """Equal only to another `_Same` of the same object, which it keeps alive."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.thing is other.thing

    __hash__ = None  # type: ignore[assignment]
