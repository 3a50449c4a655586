"""Stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from backends import Setting, active, check
from scratchnet.errors import CheckpointError, GraphError, SettingError
from scratchnet.optimizers.optimizer import Optimizer
from scratchnet.variable import Variable


class SGD(Optimizer):
    """Stochastic gradient descent: parameter -= learning_rate · gradient.

        optimizer = sn.SGD(net.parameters(), learning_rate=0.1)

    Args:
        parameters: the Variables to train.
        learning_rate: a positive, finite number. You can change the attribute between steps.

    Raises:
        SettingError: the learning rate is not a positive, finite number, there is no parameter, or one
            is given twice.
        OperandError: a parameter is not a Variable, or is the result of a Function.
    """

    def __init__(self, parameters: Iterable[Variable], learning_rate: float) -> None:
        super().__init__(parameters)
        self.rate = Setting(_positive(learning_rate))

    @property
    def learning_rate(self) -> float:
        """The factor of the gradient in each step."""
        return self.rate.value

    @learning_rate.setter
    def learning_rate(self, learning_rate: float) -> None:
        self.rate.value = _positive(learning_rate)

    def state_dict(self) -> dict[str, Any]:
        """Return the learning rate, which is the whole state."""
        return {"learning_rate": self.learning_rate}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set the learning rate.

        Raises:
            CheckpointError: the state belongs to another optimizer, or its rate is not positive.
        """
        if state.keys() != {"learning_rate"}:
            raise CheckpointError(
                f"its optimizer kept {', '.join(state) or 'nothing'}, but SGD keeps learning_rate; load "
                "it with the optimizer that saved it"
            )
        try:
            self.learning_rate = state["learning_rate"]
        except SettingError as error:
            raise CheckpointError(str(error)) from error

    def step(self) -> None:
        """Update all parameters that have a gradient, in place, with one kernel.

        Raises:
            GraphError: no parameter has a gradient.
            WrongArrayError: a parameter's array belongs to another backend than the active one.
        """
        backend = active()
        parameters, gradients = [], []
        for each in self.parameters:
            grad = each.grad
            if grad is not None:
                if not isinstance(each.data, backend.array_type):
                    check("SGD", f"parameter {each.label()}", each.data)
                parameters.append(each.data)
                gradients.append(grad.data if isinstance(grad, Variable) else grad)
                each.edge.version[0] += 1
        if not gradients:
            raise GraphError(
                "SGD: no parameter has a gradient: backward was not called, or the loss does not depend "
                "on any of them; compute it from net(x), and give the optimizer net.parameters()"
            )
        backend.sgd_update(parameters, gradients, self.rate)


def _positive(learning_rate: float) -> float:
    number = isinstance(learning_rate, (int, float, np.number))
    if not (number and math.isfinite(learning_rate) and learning_rate > 0):
        raise SettingError(f"SGD: learning_rate is {learning_rate!r}; it must be a positive number")
    return float(learning_rate)
