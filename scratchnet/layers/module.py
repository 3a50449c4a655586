"""Module: a part of a network, with parameters found wherever it keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from backends import Array, to_device, to_host
from backends.errors import kind_of
from scratchnet.core.modes import Scope, scopes
from scratchnet.errors import CheckpointError, OperandError
from scratchnet.variable import Variable

_new = tuple.__new__  # a NamedTuple's own __new__ is a Python function


class Module:
    """A part of a network: it holds parameters, and computes `forward`.

    Parameters are the Variables made by hand that a module keeps in its attributes, in the lists,
    tuples and dicts there, and in the modules there; each counts once, in definition order. What a
    Function made is a result and no parameter. Data that is to be kept but not trained belongs in
    plain arrays.
    """

    __array_ufunc__ = None  # array >> module is the module's business
    training = True

    def forward(self, *inputs: Any) -> Any:
        """What the module computes; to be defined by each subclass."""
        raise NotImplementedError(f"{type(self).__name__} does not say forward(x)")

    def __call__(self, *inputs: Any) -> Any:
        """`forward`; each Function applied within it remembers the call, for drawings."""
        around = scopes.get()
        scopes.set(_new(Scope, (self, around)))
        try:
            return self.forward(*inputs)
        finally:
            scopes.set(around)

    def __rshift__(self, stage: Callable[..., Any]) -> Sequential:
        """`module >> stage` is both, one after the other."""
        return Sequential(self, stage) if callable(stage) else NotImplemented

    def __rrshift__(self, former: Any) -> Any:
        """`function >> module` is both, one after the other; `array >> module` is module(array)."""
        return Sequential(former, self) if callable(former) else self(former)

    def parameters(self) -> list[Variable]:
        """The parameters, each once, in definition order."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_parameters(self) -> list[tuple[str, Variable]]:
        """The parameters with their paths: `fc1.weight`, `layers.0.bias`."""
        return [(path, each) for path, each in _walk("", self, set()) if isinstance(each, Variable)]

    def modules(self) -> list[Module]:
        """This module and those within it, each once."""
        return [module for _, module in self.named_modules()]

    def named_modules(self) -> list[tuple[str, Module]]:
        """This module, whose path is empty, and those within it with their paths: `fc1`, `layers.0`."""
        return [(path, each) for path, each in _walk("", self, set()) if isinstance(each, Module)]

    def generators(self) -> dict[str, np.random.Generator]:
        """The random generators that modules keep as attributes, by path."""
        return {
            f"{path}.{name}".removeprefix("."): each
            for path, module in self.named_modules()
            for name, each in vars(module).items() if isinstance(each, np.random.Generator)
        }  # fmt: skip

    def gradients(self) -> list[Array | None]:
        """The gradient of each parameter; None where there is none."""
        return [parameter.grad for parameter in self.parameters()]

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def train(self, mode: bool = True) -> Self:
        """Set `training` here and in every module within; returns the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """`train(False)`."""
        return self.train(False)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the parameters on the host, by path. They load on any backend."""
        return {path: np.array(to_host(p.data), order="C") for path, p in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy these host arrays into the parameters, in place; all of them or, on an error, none.

        Raises:
            CheckpointError: a parameter is missing, unknown, of another shape, or not of numbers.
        """
        parameters = dict(self.named_parameters())
        network = type(self).__name__
        for path in parameters:
            if path not in state:
                raise CheckpointError(
                    f"{network}.load_state_dict: no value for {path}; is it another network's?"
                )
        for path in state:
            if path not in parameters:
                raise CheckpointError(
                    f"{network}.load_state_dict: {path} is no parameter of this network, which has "
                    f"{', '.join(parameters)}"
                )
        values = {path: np.asarray(value) for path, value in state.items()}
        for path, value in values.items():
            if value.dtype.kind not in "iuf":
                raise CheckpointError(
                    f"{network}.load_state_dict: {path} holds {value.dtype}, no numbers"
                )
            if value.shape != parameters[path].shape:
                raise CheckpointError(
                    f"{network}.load_state_dict: {path} has shape {value.shape}, the network's has "
                    f"{parameters[path].shape}; build it with the sizes it was saved with"
                )
        former: dict[str, Array] = {}
        for path, value in values.items():
            array = parameters[path].data
            kept = array.copy()
            try:
                array[...] = to_device(value)
            except ValueError as error:
                for done, kept in former.items():
                    parameters[done].data[...] = kept
                raise CheckpointError(
                    f"{network}.load_state_dict: {path} cannot be written to ({error}); give it memory "
                    "of its own: parameter.data = parameter.data.copy()"
                ) from error
            former[path] = kept
        for parameter in parameters.values():
            parameter.edge.version += 1

    def __repr__(self) -> str:
        """The class and the paths and shapes of the parameters."""
        shapes = ", ".join(f"{path}{p.shape}" for path, p in self.named_parameters())
        return f"{type(self).__name__}({shapes})"


class Sequential(Module):
    """Stages, one after the other: modules and plain functions alike."""

    def __init__(self, *stages: Callable[..., Any]) -> None:
        """Each stage takes what the one before it gave.

        Raises:
            OperandError: a stage cannot be called.
        """
        for position, stage in enumerate(stages):
            if not callable(stage):
                raise OperandError(
                    f"Sequential: stage {position} is {kind_of(stage)}, which cannot be "
                    "called; give modules and functions"
                )
        self.stages = stages

    def forward(self, x: Any) -> Any:
        """Through all stages."""
        for stage in self.stages:
            x = stage(x)
        return x

    def __rshift__(self, stage: Callable[..., Any]) -> Sequential:
        """One stage more."""
        return Sequential(*self.stages, stage) if callable(stage) else NotImplemented

    def __getitem__(self, position: int) -> Callable[..., Any]:
        """The stage at that position."""
        return self.stages[position]

    def __len__(self) -> int:
        """The number of stages."""
        return len(self.stages)


def variables_in(result: Any) -> list[Variable]:
    """The Variables that a result is or holds, however deep in tuples, lists and dicts; each once."""
    if isinstance(result, Variable):
        return [result]
    found: dict[int, Variable] = {}
    seen, ahead = set[int](), [result]
    while ahead:
        each = ahead.pop()
        if isinstance(each, Variable):
            found[id(each)] = each
        elif isinstance(each, (tuple, list, dict)) and id(each) not in seen:
            seen.add(id(each))
            ahead += reversed(each.values() if isinstance(each, dict) else each)
    return list(found.values())


def _walk(path: str, thing: Any, seen: set[int]) -> Iterator[tuple[str, Variable | Module]]:
    """Every parameter and module in a thing, with its path, each once."""
    if not isinstance(thing, (Variable, Module, list, tuple, dict)) or id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, Variable):
        if thing.is_leaf and thing.dtype.kind == "f":
            yield path, thing
        return
    if isinstance(thing, Module):
        yield path, thing
        items = _attributes(thing)
    else:
        items = thing if isinstance(thing, dict) else dict(enumerate(thing))
    for name, each in list(items.items()):
        yield from _walk(f"{path}.{name}" if path else str(name), each, seen)


def _attributes(module: Module) -> dict[Any, Any]:
    """Class attributes from the base down, then the module's own; a later one takes the place."""
    attributes: dict[Any, Any] = {}
    for owner in reversed(type(module).__mro__):
        attributes |= vars(owner)
    return attributes | vars(module)
