"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from backends.plain import update as rules
from scratchnet.errors import SettingError
from scratchnet.optimizers.group import LearningRate
from scratchnet.optimizers.optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent: parameter -= learning_rate · gradient.

        optimizer = sn.SGD(net.parameters(), learning_rate=0.1)
        optimizer = sn.SGD(net.parameters(), learning_rate=0.1, momentum=0.9, nesterov=True)

    With momentum, velocity = momentum · velocity + gradient takes the place of the gradient; with
    Nesterov's momentum, gradient + momentum · velocity does.

    Args:
        parameters: the Variables to train, or parameter groups; see `Optimizer`.
        learning_rate: a positive, finite number, or a function of the step; see `scratchnet.schedules`.
            You can change the attribute between steps.
        momentum: the part of the velocity that stays in each step; 0 means no momentum.
        nesterov: whether the momentum is Nesterov's.
        weight_decay: this number times the parameter is added to the gradient.

    Raises:
        SettingError: a setting is out of its range, `nesterov` is True without momentum, there is no
            parameter, or one is given twice.
        OperandError: a parameter is not a Variable, or is the result of a Function.
    """

    rule = rules.SGD

    def __init__(
        self,
        parameters: Any,
        learning_rate: LearningRate,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            parameters,
            learning_rate=learning_rate,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
        )
        if any(group["nesterov"] and not group["momentum"] for group in self.groups):
            raise SettingError("SGD: nesterov needs a momentum above 0, such as momentum=0.9")
