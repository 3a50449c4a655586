"""Adagrad: steps that are scaled by the sum of all squared gradients."""

from __future__ import annotations

from typing import Any

from backends.plain import update as rules
from scratchnet.optimizers.group import LearningRate
from scratchnet.optimizers.optimizer import Optimizer


class Adagrad(Optimizer):
    """Adagrad: the gradient, divided by the root of the sum of all squares so far.

    Source: Duchi et al., Adaptive subgradient methods for online learning, 2011.

    Args:
        parameters: the Variables to train, or parameter groups; see `Optimizer`.
        learning_rate: a positive, finite number, or a function of the step; see `scratchnet.schedules`.
        eps: a small number in the denominator, against a division by 0.
        weight_decay: this number times the parameter is added to the gradient.

    Raises:
        SettingError: a setting is out of its range, there is no parameter, or one is given twice.
        OperandError: a parameter is not a Variable, or is the result of a Function.
    """

    rule = rules.ADAGRAD

    def __init__(
        self,
        parameters: Any,
        learning_rate: LearningRate = 0.01,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            parameters,
            learning_rate=learning_rate,
            eps=eps,
            weight_decay=weight_decay,
        )
