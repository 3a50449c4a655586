"""Module: a part of a network. It finds the parameters and buffers in its attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from backends import Array, active
from backends.errors import kind_of
from scratchnet.core.function import Function, array_of
from scratchnet.core.modes import Scope, no_grad, scopes
from scratchnet.core.random import Philox
from scratchnet.errors import OperandError, SettingError, ShapeError
from scratchnet.layers.arguments import floating
from scratchnet.layers.state import load_state, state_of
from scratchnet.variable import Variable


class Buffer(Variable):
    """An array that a module keeps but does not train, such as a running mean.

    A Buffer is a Variable without gradient. If you assign an array to the module's attribute, the module
    writes the array into the buffer's memory. So captured steps and checkpoints see the new values:

        self.running_mean = sn.Buffer(xp.zeros(features))  # in __init__
        self.running_mean = 0.9 * self.running_mean + 0.1 * x.data.mean(axis=0)  # in forward

    Args:
        data: an array, a number or a list of numbers, as for a Variable; integers stay integers.
        name: a name for messages and drawings.
    """

    __slots__ = ()

    def __init__(self, data: Any, name: str | None = None) -> None:
        super().__init__(data, requires_grad=False, name=name)

    def _in_place(self, other: Any, sign: str, function: type[Function]) -> Variable:
        """Change the memory also while a graph is recorded, because a Buffer never needs a gradient."""
        with no_grad():
            return super()._in_place(other, sign, function)

    def assign(self, value: Any, what: str) -> None:
        """Write a value into the buffer's memory.

        Args:
            value: an array or a Variable of the buffer's shape and dtype; a number if it is 0-d.
            what: the attribute that is assigned, for messages.

        Raises:
            OperandError: the value is of another kind or dtype.
            ShapeError: the value has another shape.
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
                raise ShapeError(
                    f"{what}: shape {data.shape} does not fit the buffer's shape {self.shape}; assign "
                    "an array of that shape, or another sn.Buffer"
                )
        with no_grad():
            self[...] = data


class Module:
    """A part of a network: it holds parameters and defines `forward`.

        class Scale(sn.Module):
            def __init__(self):
                self.factor = sn.Variable(1.0)

            def forward(self, x):
                return self.factor * x

    The parameters of a module are the floating-point Variables in its attributes that you created. A
    result of a Function is not a parameter. A module also finds parameters in the lists, tuples, dicts
    and modules that it holds. Each parameter counts once, in the order of definition. Use a `Buffer` for
    an array that is kept but not trained.

    Attributes:
        training: whether the module is in training mode; `train` and `eval` set it.
        capturable: a subclass sets True to promise that every call of `forward` does the same work. It
            applies the same Functions to arrays at the same addresses, and draws or counts nothing on
            the host. An epoch is captured as one launch only with this promise.
    """

    __array_ufunc__ = None  # so that `array >> module` calls the module and not NumPy
    training = True
    capturable: ClassVar[bool] = False
    _sequential: ClassVar[Callable[..., Any]]

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the result of the module. Each subclass must define this method."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(x)")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Call `forward`. Each Function applied inside it remembers this call, for drawings."""
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
        elif isinstance(former, Variable) and _is_lost(former, value):
            raise OperandError(
                f"{type(self).__name__}.{name} is a Variable, and {kind_of(value)} in its place would "
                f"be neither trained nor saved; assign to .{name}.data, or give an sn.Variable"
            )
        else:
            object.__setattr__(self, name, value)

    def __rshift__(self, stage: Callable[..., Any]) -> Any:
        """Return a Sequential: `module >> stage` applies the module first and then the stage."""
        return self._sequential(self, stage) if callable(stage) else NotImplemented

    def __rrshift__(self, former: Any) -> Any:
        """Return a Sequential for `function >> module`; for `array >> module`, return module(array)."""
        return self._sequential(former, self) if callable(former) else self(former)

    def _held(self) -> dict[Any, Any]:
        """Return what the module holds, by the name that begins its path.

        An attribute of the module replaces a class attribute, and a subclass replaces its base classes.
        """
        held: dict[Any, Any] = {}
        for owner in reversed(type(self).__mro__):
            held |= vars(owner)
        return held | vars(self)

    def parameters(self) -> list[Variable]:
        """Return the parameters, each once, in the order of definition."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_parameters(self) -> list[tuple[str, Variable]]:
        """Return the parameters with their paths, such as `fc1.weight` or `layers.0.bias`.

        Raises:
            SettingError: two parts have the same path.
        """
        return [(path, each) for path, each in _walk(self) if _is_parameter(each)]

    def named_buffers(self) -> list[tuple[str, Buffer]]:
        """Return the buffers with their paths, each once.

        Raises:
            SettingError: two parts have the same path.
        """
        return [(path, each) for path, each in _walk(self) if isinstance(each, Buffer)]

    def modules(self) -> list[Module]:
        """Return this module and all modules inside it, each once."""
        return [module for _, module in self.named_modules()]

    def named_modules(self) -> list[tuple[str, Module]]:
        """Return this module, with an empty path, and all modules inside it, with paths like `fc1`."""
        return [(path, each) for path, each in _walk(self) if isinstance(each, Module)]

    def generators(self) -> dict[str, np.random.Generator | Philox]:
        """Return the generators in the attributes of this module and those inside it, by path."""
        return {
            f"{path}.{name}".removeprefix("."): each
            for path, module in self.named_modules()
            for name, each in vars(module).items() if isinstance(each, (np.random.Generator, Philox))
        }  # fmt: skip

    def gradients(self) -> list[Array | None]:
        """Return the gradient of each parameter, or None if it has no gradient."""
        return [parameter.grad for parameter in self.parameters()]

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to None."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def train(self, mode: bool = True) -> Self:
        """Set `training` to `mode` in this module and every module inside it; return this module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set `training` to False in this module and every module inside it; return this module."""
        return self.train(False)

    def astype(self, dtype: Any) -> Self:
        """Convert the floating parameters and buffers, whose gradients become None; return this module.

            net.astype("float64")

        Convert a network before you create its optimizer, and convert its data too, with
        `ArrayDataLoader(dtype=...)`.

        Raises:
            SettingError: the dtype is not floating.
        """
        dtype = floating(type(self).__name__, dtype)
        for _, each in (*self.named_parameters(), *self.named_buffers()):
            if each.dtype.kind == "f":
                each.grad = None
                each.data = each.data.astype(dtype, copy=False)
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of parameters and buffers as host arrays, by path. Any backend can load them.

        If a module inside this one defines its own `state_dict`, its result is stored under the module's
        path.

        Raises:
            SettingError: two parts have the same path.
        """
        return state_of(dict(self._state()), type(self).__name__)

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy host arrays into the parameters and buffers, in place. On an error, nothing changes.

        A state that version 0.1 wrote is converted.

        Args:
            state: host arrays by path, as `state_dict` returns them.

        Raises:
            CheckpointError: a path is missing or unknown, an array has another shape or does not hold
                numbers, or a parameter is read-only.
        """
        load_state(dict(self._state()), state, type(self).__name__)

    def _state(self) -> Iterator[tuple[str, Any]]:
        """Return the parameters, buffers, and modules that define their own state, with their paths."""
        for path, part in _walk(self, into=lambda module: not _has_own_state(module)):
            if not isinstance(part, Module) or (part is not self and _has_own_state(part)):
                yield path, part

    def extra_repr(self) -> str:
        """Return the text that `print` shows in the module's parentheses. A subclass may define it."""
        return ""

    def __repr__(self) -> str:
        """Show the modules inside this one, one per line, each with the text of its `extra_repr`."""
        shown = "".join(f"\n({path}): {_text(each)}" for path, each in self._shown().items())
        inside = shown.replace("\n", "\n  ") + "\n" if shown else ""
        return f"{type(self).__name__}({self.extra_repr()}{inside})"

    def _shown(self) -> dict[Any, Any]:
        """Return the modules that this module holds directly, by path."""
        parts = _walk(self, into=lambda _: False)
        return {path: each for path, each in parts if isinstance(each, Module) and path}


def _walk(top: Module, into: Callable[[Module], bool] = lambda _: True) -> Iterator[tuple[str, Any]]:
    """Return every parameter, buffer and module in the top module, and the module itself, with its path.

    Each part comes once. If `into` returns False for a lower module, the parts inside it are skipped.

    Raises:
        SettingError: two parts have the same path.
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
                    f"{type(top).__name__}: two parts have the path {path}, and one of them would "
                    "be lost in state_dict; rename an attribute or a key"
                )
            paths.add(path)
            yield path, thing
        if thing is top or not isinstance(thing, Module) or into(thing):
            ahead += [
                (f"{path}.{name}".removeprefix("."), each) for name, each in reversed(inside.items())
            ]


def _inside(thing: Any) -> dict[Any, Any]:
    """Return what a module, list, tuple or dict holds, by the names that form paths."""
    if isinstance(thing, Module):
        return thing._held()
    if isinstance(thing, (list, tuple)):
        return dict(enumerate(thing))
    return thing if isinstance(thing, dict) else {}


def _is_lost(former: Variable, value: Any) -> bool:
    """Return whether a Variable would be lost if an attribute got this value in its place.

    An array or a number is not trained, and neither is a result that was computed without a graph. A
    result with a graph is allowed: its gradient reaches the parameters that it depends on.
    """
    if isinstance(value, (np.ndarray, active().array_type)):
        return True
    if not (former.is_leaf and former.requires_grad):
        return False
    if isinstance(value, Variable):
        return not value.is_leaf and not value.requires_grad
    return isinstance(value, (int, float))


def _is_parameter(thing: Any) -> bool:
    is_leaf = isinstance(thing, Variable) and not isinstance(thing, Buffer) and thing.is_leaf
    return is_leaf and thing.dtype.kind == "f"


def _text(stage: Any) -> str:
    """Return a module as `print` shows it, and a function by its name."""
    is_module = isinstance(stage, Module)
    return repr(stage) if is_module else getattr(stage, "__name__", type(stage).__name__)


def _has_own_state(module: Module) -> bool:
    return type(module).state_dict is not Module.state_dict
