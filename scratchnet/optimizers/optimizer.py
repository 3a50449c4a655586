"""Optimizer: the base class of all optimizers."""

from __future__ import annotations

from collections.abc import Iterable

from backends.errors import kind_of
from scratchnet.core.stateful import Stateful
from scratchnet.errors import OperandError, SettingError
from scratchnet.variable import Variable


class Optimizer(Stateful):
    """Base class of the optimizers. A subclass must define `step`, `state_dict` and `load_state_dict`.

    Args:
        parameters: the Variables to train, such as `net.parameters()`.

    Raises:
        SettingError: there is no parameter, or one is given twice.
        OperandError: an element is not a Variable, or is the result of a Function.
    """

    def __init__(self, parameters: Iterable[Variable]) -> None:
        name = type(self).__name__
        if isinstance(parameters, Variable) or not isinstance(parameters, Iterable):
            kind = type(parameters).__name__
            raise OperandError(f"{name}: parameters is a {kind}; give a list, such as net.parameters()")
        self.parameters = list(parameters)
        for each in self.parameters:
            if not isinstance(each, Variable):
                raise OperandError(f"{name}: {kind_of(each)} is not a parameter; give net.parameters()")
            if not each.is_leaf:
                raise OperandError(
                    f"{name}: {each.label()} is the result of a Function, not a parameter; give "
                    "net.parameters()"
                )
        if not self.parameters:
            raise SettingError(f"{name}: no parameters to train; give net.parameters()")
        if len({id(each) for each in self.parameters}) != len(self.parameters):
            raise SettingError(f"{name}: a parameter is given twice; give each once")

    def step(self) -> None:
        """Update the parameters that have a gradient, in place."""
        raise NotImplementedError(f"{type(self).__name__} must define step()")

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to None. Call it between updates."""
        for parameter in self.parameters:
            parameter._grad = None
