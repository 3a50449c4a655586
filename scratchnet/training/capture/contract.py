"""What may be captured, and what it holds.

A captured step does the same work every time: the same operations on arrays at the same places. What
Python computed while it was recorded is not computed again. The library's own modules, Functions, losses
and optimizers keep to this. Anything else must promise it, by `capturable = True`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from backends import Array, active
from scratchnet.core.function import Function
from scratchnet.layers import Module, Sequential
from scratchnet.optimizers import Optimizer
from scratchnet.variable import Variable

_VALUES = (int, float, complex, str, bytes, bool, type(None), np.generic)
_OWN = {"scratchnet", "backends"}


def undeclared(
    net: Module,
    loss: Callable[..., Any],
    optimizer: Optimizer | None,
    functions: Iterable[Function],
) -> str:
    """Why a step of these is not captured: the first part that does not promise to keep the contract.

    Args:
        net: the network.
        loss: the loss function.
        optimizer: None where nothing is trained.
        functions: those of a step's graph.

    Returns:
        One line; empty where all parts keep to it.
    """
    for what, part in _parts(net, loss, optimizer, functions):
        kind = part if isinstance(part, type) or hasattr(part, "__qualname__") else type(part)
        own = (getattr(kind, "__module__", None) or "").partition(".")[0] in _OWN
        if not own and not getattr(part, "capturable", False):
            name = getattr(kind, "__qualname__", repr(kind))
            return (
                f"{what} {name} is not the library's own; if it does the same work at every call, "
                f"promise it: {name.rpartition('.')[2]}.capturable = True"
            )
    return ""


def _parts(
    net: Module,
    loss: Callable[..., Any],
    optimizer: Optimizer | None,
    functions: Iterable[Function],
) -> Iterator[tuple[str, Any]]:
    for path, module in net.named_modules():
        yield (f"module {path}," if path else "the network"), module
        for position, stage in enumerate(module.stages if isinstance(module, Sequential) else ()):
            if not isinstance(stage, Module):
                yield f"stage {position} of {path or 'the network'},", stage
    yield "the loss", loss
    if optimizer is not None:
        yield "the optimizer", optimizer
    for function in functions:
        yield "the Function", function


class Held:
    """What a step reads and changes, as it is now: parameters, buffers and attributes.

    Attributes:
        values: what can be compared, by path; objects and arrays by their identity.
        arrays: the device's arrays among it, by path.
        variables: the Variables among it.
    """

    def __init__(self, **things: Any) -> None:
        """Look at modules with all that are in them, and at one level of the attributes of others."""
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

    def difference(self, later: Held) -> str:
        """The path of something that is not what it was; empty if all is."""
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
        elif isinstance(thing, (list, tuple, dict)):
            items = thing.items() if isinstance(thing, dict) else enumerate(thing)
            for name, each in list(items):
                self._note(f"{path}.{name}", each)


class _Same:
    """Equal to what holds the very same object; it holds it, so that no other takes its place."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.thing is other.thing

    __hash__ = None  # type: ignore[assignment]
