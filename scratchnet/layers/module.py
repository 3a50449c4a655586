"""Module: a part of a network, with parameters and buffers found wherever it keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar, Self

import numpy as np

from backends import Array, active, to_device, to_host
from backends.errors import kind_of
from scratchnet.core.function import array_of
from scratchnet.core.modes import Scope, scopes
from scratchnet.errors import CheckpointError, OperandError, SettingError, ShapeError
from scratchnet.files import of_version_0_1
from scratchnet.variable import Variable


class Buffer(Variable):
    """What a module keeps and does not train, such as a running mean: a Variable without gradient.

    To assign an array to the module's attribute writes into the buffer's memory, so that a captured step
    and a checkpoint go on with it:

        self.running_mean = sn.Buffer(xp.zeros(features))  # in __init__
        self.running_mean = 0.9 * self.running_mean + 0.1 * x.data.mean(axis=0)  # in forward

    Args:
        data: as a Variable's; integers are kept as they are.
        name: as a Variable's.
    """

    __slots__ = ()

    def __init__(self, data: Any, name: str | None = None) -> None:
        """See the class."""
        super().__init__(data, requires_grad=False, name=name)

    def assign(self, value: Any, what: str) -> None:
        """Write an array, a Variable's array, or, where this is 0-d, a number into the memory.

        Raises:
            OperandError, ShapeError: it is of another kind, dtype or shape; `what` names the attribute.
        """
        data = array_of(value)
        if not (isinstance(data, (int, float)) and self.shape == ()):
            if not isinstance(data, active().array_type) or data.dtype != self.dtype:
                given = f"an array of {data.dtype}" if hasattr(data, "dtype") else kind_of(data)
                raise OperandError(
                    f"{what} = {given}: it is a buffer of {self.dtype}; convert with .astype, or "
                    "replace it by another sn.Buffer"
                )
            if data.shape != self.shape:
                raise ShapeError(f"{what}: shape {data.shape} does not fit the buffer's, {self.shape}")
        self._data[...] = data
        self.edge.version += 1


class Module:
    """A part of a network: it holds parameters, and computes `forward`.

    Parameters are the Variables made by hand that a module keeps in its attributes, in the lists,
    tuples and dicts there, and in the modules there; each counts once, in definition order. What a
    Function made is a result and no parameter. What is to be kept but not trained is a `Buffer`.

    Attributes:
        training: whether the module is trained now; `train` and `eval` set it.
        capturable: a subclass says True to promise that its `forward` does the same work at every call
            (the same Functions on arrays at the same place, nothing drawn or counted on the host). Only
            then an epoch is captured as one launch.
    """

    __array_ufunc__ = None  # array >> module is the module's business
    training = True
    capturable: ClassVar[bool] = False
    sequential: ClassVar[Callable[..., Any]]

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes; to be defined by each subclass."""
        raise NotImplementedError(f"{type(self).__name__} does not say forward(x)")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """`forward`; each Function applied within it remembers the call, for drawings."""
        around = scopes.get()
        scopes.set(Scope((self, around)))
        try:
            return self.forward(*inputs, **options)
        finally:
            scopes.set(around)

    def __setattr__(self, name: str, value: Any) -> None:
        former = self.__dict__.get(name)
        if isinstance(former, Buffer) and not isinstance(value, Buffer):
            former.assign(value, f"{type(self).__name__}.{name}")
        else:
            object.__setattr__(self, name, value)

    def __rshift__(self, stage: Callable[..., Any]) -> Any:
        """`module >> stage` is both, one after the other."""
        return self.sequential(self, stage) if callable(stage) else NotImplemented

    def __rrshift__(self, former: Any) -> Any:
        """`function >> module` is both, one after the other; `array >> module` is module(array)."""
        return self.sequential(former, self) if callable(former) else self(former)

    def _held(self) -> dict[Any, Any]:
        """What the module holds, by the names that begin paths.

        Class attributes from the base down, then the module's own; a later one takes the place.
        """
        held: dict[Any, Any] = {}
        for owner in reversed(type(self).__mro__):
            held |= vars(owner)
        return held | vars(self)

    def parameters(self) -> list[Variable]:
        """The parameters, each once, in definition order."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_parameters(self) -> list[tuple[str, Variable]]:
        """The parameters with their paths: `fc1.weight`, `layers.0.bias`.

        Raises:
            SettingError: two things have one path.
        """
        return [(path, each) for path, each in _walk(self) if _is_parameter(each)]

    def named_buffers(self) -> list[tuple[str, Buffer]]:
        """The buffers with their paths, each once."""
        return [(path, each) for path, each in _walk(self) if isinstance(each, Buffer)]

    def modules(self) -> list[Module]:
        """This module and those within it, each once."""
        return [module for _, module in self.named_modules()]

    def named_modules(self) -> list[tuple[str, Module]]:
        """This module, whose path is empty, and those within it with their paths: `fc1`, `layers.0`."""
        return [(path, each) for path, each in _walk(self) if isinstance(each, Module)]

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
        """Copies of parameters and buffers on the host, by path. They load on any backend.

        A module within this one that defines its own `state_dict` is asked for it, and what it returns
        stands under the module's path.

        Raises:
            SettingError: two things have one path.
        """
        state: dict[str, np.ndarray] = {}
        for path, part in self._state():
            if isinstance(part, Module):
                given = {f"{path}.{name}": value for name, value in part.state_dict().items()}
            else:
                given = {path: np.array(to_host(part.data), order="C")}
            if twice := state.keys() & given.keys():
                raise SettingError(f"{type(self).__name__}: two things have the path {min(twice)}")
            state |= given
        return state

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy these host arrays into parameters and buffers, in place; all or, on an error, none.

        What version 0.1 wrote is converted.

        Raises:
            CheckpointError: something is missing, unknown, of another shape, or not of numbers.
        """
        network, parts = f"{type(self).__name__}.load_state_dict", dict(self._state())
        given, former = (_divided(each, parts, network) for each in (state, Module.state_dict(self)))
        try:
            for path, part in parts.items():
                _put(part, given[path])
        except BaseException as error:
            for done, part in parts.items():
                with suppress(Exception):  # what cannot be written is as it was
                    _put(part, former[done])
            if not isinstance(error, ValueError) or isinstance(error, CheckpointError):
                raise
            raise CheckpointError(
                f"{network}: {path} cannot be written to ({error}); give it memory of its own: "
                "parameter.data = parameter.data.copy()"
            ) from error

    def _state(self) -> Iterator[tuple[str, Any]]:
        """Parameters, buffers, and the modules that define their own state, with their paths."""
        for path, part in _walk(self, into=lambda module: not _has_own_state(module)):
            if not isinstance(part, Module) or (part is not self and _has_own_state(part)):
                yield path, part

    def extra_repr(self) -> str:
        """What `print` shows of the module itself; a subclass says it."""
        return ""

    def __repr__(self) -> str:
        """The modules within it, one per line, each with what its `extra_repr` says."""
        shown = "".join(f"\n({path}): {_text(each)}" for path, each in self._shown().items())
        inside = shown.replace("\n", "\n  ") + "\n" if shown else ""
        return f"{type(self).__name__}({self.extra_repr()}{inside})"

    def _shown(self) -> dict[Any, Any]:
        """The modules that it holds itself, by path."""
        parts = _walk(self, into=lambda _: False)
        return {path: each for path, each in parts if isinstance(each, Module) and path}


def _walk(top: Module, into: Callable[[Module], bool] = lambda _: True) -> Iterator[tuple[str, Any]]:
    """Every parameter, buffer and module in a module, itself included, with its path, each once.

    What lies in a module below the top is passed over where `into` says no.
    """
    seen: set[int] = set()
    paths: set[str] = set()
    ahead: list[tuple[str, Any]] = [("", top)]
    while ahead:
        path, thing = ahead.pop()
        is_part = isinstance(thing, (Module, Buffer)) or _is_parameter(thing)
        inside = _inside(thing)
        if id(thing) in seen or not (is_part or inside):
            continue
        seen.add(id(thing))
        if is_part:
            if path in paths:
                raise SettingError(
                    f"{type(top).__name__}: two things have the path {path}, and one of them would "
                    "be lost in state_dict; rename an attribute or a key"
                )
            paths.add(path)
            yield path, thing
        if thing is top or not isinstance(thing, Module) or into(thing):
            ahead += [
                (f"{path}.{name}".removeprefix("."), each) for name, each in reversed(inside.items())
            ]


def _inside(thing: Any) -> dict[Any, Any]:
    """What a module, list, tuple or dict holds, by the names that paths are made of."""
    if isinstance(thing, Module):
        return thing._held()
    if isinstance(thing, (list, tuple)):
        return dict(enumerate(thing))
    return thing if isinstance(thing, dict) else {}


def _is_parameter(thing: Any) -> bool:
    is_leaf = isinstance(thing, Variable) and not isinstance(thing, Buffer) and thing.is_leaf
    return is_leaf and thing.dtype.kind == "f"


def _text(stage: Any) -> str:
    """A module as it prints itself, and a function by its name."""
    is_module = isinstance(stage, Module)
    return repr(stage) if is_module else getattr(stage, "__name__", type(stage).__name__)


def _put(part: Any, value: Any) -> None:
    """Copy a value into a parameter or buffer, in place; a module with its own state loads it itself."""
    if isinstance(part, Module):
        part.load_state_dict(value)
    else:
        part.data[...] = to_device(value)
        part.edge.version += 1


def _has_own_state(module: Module) -> bool:
    return type(module).state_dict is not Module.state_dict


def _divided(state: Mapping[str, Any], parts: Mapping[str, Any], network: str) -> dict[str, Any]:
    """The values of a state by part, checked: an array each, or a state where a module has its own."""
    own = {path: part for path, part in parts.items() if isinstance(part, Variable)}
    others = [path for path in parts if path not in own]
    values: dict[str, Any] = {path: {} for path in others}
    state = of_version_0_1(state, {path: each.shape for path, each in own.items()})
    if missing := [path for path in own if path not in state]:
        raise CheckpointError(f"{network}: no value for {missing[0]}; is it another network's?")
    for path, value in state.items():
        if path not in own:
            owner = next((each for each in others if path.startswith(f"{each}.")), None)
            if owner is None:
                raise CheckpointError(
                    f"{network}: {path} is no parameter of this network, which has {', '.join(own)}"
                )
            values[owner][path.removeprefix(f"{owner}.")] = value
            continue
        array, kind = np.asarray(value), own[path].dtype.kind
        if array.dtype.kind not in ("iuf" if kind == "f" else kind):
            raise CheckpointError(f"{network}: {path} holds {array.dtype}, no numbers")
        if array.shape != own[path].shape:
            raise CheckpointError(
                f"{network}: {path} has shape {array.shape}, the network's has {own[path].shape}; "
                "build it with the sizes it was saved with"
            )
        values[path] = array
    return values
