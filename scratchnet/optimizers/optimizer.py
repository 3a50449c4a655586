"""Optimizer: what all optimizers share."""

from __future__ import annotations

from collections.abc import Iterable

from backends.errors import kind_of
from scratchnet.core.stateful import Stateful
from scratchnet.errors import OperandError, SettingError
from scratchnet.variable import Variable


class Optimizer(Stateful):
    """Base of the optimisers.

    Args:
        parameters: the Variables to train, such as `net.parameters()`.

    Raises:
        SettingError: no parameter, or one given twice.
        OperandError: something that is no list of Variables made by hand.
    """

    def __init__(self, parameters: Iterable[Variable]) -> None:
        """See the class."""
        name = type(self).__name__
        if isinstance(parameters, Variable) or not isinstance(parameters, Iterable):
            kind = type(parameters).__name__
            raise OperandError(f"{name}: parameters is a {kind}; give a list, such as net.parameters()")
        self.parameters = list(parameters)
        for each in self.parameters:
            if not isinstance(each, Variable):
                raise OperandError(f"{name}: {kind_of(each)} is no parameter; give net.parameters()")
            if not each.is_leaf:
                raise OperandError(f"{name}: {each.label()} is a result, not a parameter made by hand")
        if not self.parameters:
            raise SettingError(f"{name}: no parameters to train; give net.parameters()")
        if len({id(each) for each in self.parameters}) != len(self.parameters):
            raise SettingError(f"{name}: a parameter is given twice; give each once")

    def step(self) -> None:
        """Update the parameters that have a gradient, in place."""
        raise NotImplementedError(f"{type(self).__name__} does not say step()")

    def zero_grad(self) -> None:
        """Forget the gradients; to be called between updates."""
        for parameter in self.parameters:
            parameter._grad = None
