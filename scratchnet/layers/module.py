"""Module: a part of a network, with parameters and buffers found wherever it keeps them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from backends import Array, active, to_device, to_host
from backends.errors import kind_of
from scratchnet.core.function import array_of
from scratchnet.core.modes import Scope, scopes
from scratchnet.errors import CheckpointError, OperandError, SettingError, ShapeError
from scratchnet.variable import Variable

_new = tuple.__new__  # a NamedTuple's own __new__ is a Python function


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
        scopes.set(_new(Scope, (self, around)))
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
        own, others = self._state()
        state = {path: np.array(to_host(each.data), order="C") for path, each in own.items()}
        for path, module in others.items():
            for name, value in module.state_dict().items():
                if f"{path}.{name}" in state:
                    raise SettingError(f"{type(self).__name__}: two things have the path {path}.{name}")
                state[f"{path}.{name}"] = value
        return state

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy these host arrays into parameters and buffers, in place; all or, on an error, none.

        What version 0.1 wrote is converted.

        Raises:
            CheckpointError: something is missing, unknown, of another shape, or not of numbers.
        """
        network = f"{type(self).__name__}.load_state_dict"
        own, others = self._state()
        parts: dict[str, dict[str, np.ndarray]] = {path: {} for path in others}
        values: dict[str, np.ndarray] = {}
        shapes = {path: each.shape for path, each in own.items()}
        state = of_version_0_1(state, shapes)
        if missing := [path for path in own if path not in state]:
            raise CheckpointError(f"{network}: no value for {missing[0]}; is it another network's?")
        for path, value in state.items():
            owner = next((each for each in others if path.startswith(f"{each}.")), None)
            if owner is not None:
                parts[owner][path.removeprefix(f"{owner}.")] = value
                continue
            if path not in own:
                raise CheckpointError(
                    f"{network}: {path} is no parameter of this network, which has {', '.join(own)}"
                )
            array = np.asarray(value)
            if array.dtype.kind not in ("iuf" if own[path].dtype.kind == "f" else own[path].dtype.kind):
                raise CheckpointError(f"{network}: {path} holds {array.dtype}, no numbers")
            if array.shape != own[path].shape:
                raise CheckpointError(
                    f"{network}: {path} has shape {array.shape}, the network's has {own[path].shape}; "
                    "build it with the sizes it was saved with"
                )
            values[path] = array
        former = {path: own[path].data.copy() for path in own}
        former_parts = {path: module.state_dict() for path, module in others.items()}
        try:
            for path, array in values.items():
                own[path].data[...] = to_device(array)
                own[path].edge.version += 1
            for path, module in others.items():
                module.load_state_dict(parts[path])
        except BaseException as error:
            for done, kept in former.items():
                if done != path:
                    own[done].data[...] = kept
            for done, part in former_parts.items():
                others[done].load_state_dict(part)
            if not isinstance(error, ValueError) or isinstance(error, CheckpointError):
                raise
            raise CheckpointError(
                f"{network}: {path} cannot be written to ({error}); give it memory of its own: "
                "parameter.data = parameter.data.copy()"
            ) from error

    def _state(self) -> tuple[dict[str, Variable], dict[str, Module]]:
        """Parameters and buffers by path, and the modules that define their own state."""
        others: dict[str, Module] = {}
        own: dict[str, Variable] = {}
        for path, each in _walk(self):
            if any(path.startswith(f"{other}.") for other in others):
                continue
            if not isinstance(each, Module):
                own[path] = each
            elif each is not self and type(each).state_dict is not Module.state_dict:
                others[path] = each
        return own, others

    def extra_repr(self) -> str:
        """What `print` shows of the module itself; a subclass says it."""
        return ""

    def __repr__(self) -> str:
        """The modules within it, one per line, each with what its `extra_repr` says."""
        lines = [
            f"({name}): {each!r}" if isinstance(each, Module) else f"({name}): {_name(each)}"
            for name, each in self._shown()
        ]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        inner = "\n".join(lines).replace("\n", "\n  ")
        return f"{type(self).__name__}({self.extra_repr()}\n  {inner}\n)"

    def _shown(self) -> list[tuple[str, Any]]:
        """The modules that it holds itself, with their paths."""
        shown: list[tuple[str, Any]] = []
        for path, each in self.named_modules()[1:]:
            if not any(path.startswith(f"{outer}.") for outer, _ in shown):
                shown.append((path, each))
        return shown


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


def _walk(module: Module) -> Iterator[tuple[str, Any]]:
    """Every parameter, buffer and module in a module, itself included, with its path, each once."""
    seen: set[int] = set()
    paths: set[str] = set()
    ahead: list[tuple[str, Any]] = [("", module)]
    while ahead:
        path, thing = ahead.pop()
        if not isinstance(thing, (Variable, Module, list, tuple, dict)) or id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, (Variable, Module)):
            is_state = _is_parameter(thing) or isinstance(thing, Buffer)
            if isinstance(thing, Variable) and not is_state:
                continue
            if path in paths:
                raise SettingError(
                    f"{type(module).__name__}: two things have the path {path}, and one of them would "
                    "be lost in state_dict; rename an attribute or a key"
                )
            paths.add(path)
            yield path, thing
        if not isinstance(thing, Variable):
            held = thing._held() if isinstance(thing, Module) else thing
            items = held.items() if isinstance(held, dict) else enumerate(held)
            prefix = f"{path}." if path else ""
            ahead += [(f"{prefix}{name}", each) for name, each in reversed(list(items))]


def _is_parameter(thing: Any) -> bool:
    return (
        isinstance(thing, Variable)
        and not isinstance(thing, Buffer)
        and thing.is_leaf
        and thing.dtype.kind == "f"
    )


def _name(function: Any) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


def of_version_0_1(state: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """A state of version 0.1 as today's: then, paths in a Sequential had `stages`, and a bias was a row.

    Args:
        state: arrays by path, of any version.
        shapes: those of today's state, by path.
    """
    converted = {}
    for path, value in state.items():
        today = re.sub(r"(^|\.)stages\.(?=\d)", r"\1", path)
        path = path if path in shapes or today not in shapes else today
        row = path in shapes and len(shapes[path]) == 1 and np.shape(value) == (1, *shapes[path])
        converted[path] = np.reshape(value, shapes[path]) if row else value
    return converted
