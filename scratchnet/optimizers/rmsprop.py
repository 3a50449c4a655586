"""RMSprop: steps that are scaled by an average of the squared gradient."""

from __future__ import annotations

from typing import Any

from backends.plain import update as rules
from scratchnet.optimizers.group import LearningRate
from scratchnet.optimizers.optimizer import Optimizer


class RMSprop(Optimizer):
    """RMSprop: the gradient, divided by the root of the mean of recent squares.

    Sources: Tieleman and Hinton, lecture 6.5 of Neural networks for machine learning, 2012; for
    `centered`, Graves, Generating sequences with recurrent neural networks, 2013.

    Args:
        parameters: the Variables to train, or parameter groups; see `Optimizer`.
        learning_rate: a positive, finite number, or a function of the step; see `scratchnet.schedules`.
        alpha: the part of the average that stays in each step.
        eps: a small number in the denominator, against a division by 0.
        weight_decay: this number times the parameter is added to the gradient.
        momentum: the part of the velocity that stays in each step; 0 means no momentum.
        centered: whether to divide by the deviation of the gradients instead.

    Raises:
        SettingError: a setting is out of its range, there is no parameter, or one is given twice.
        OperandError: a parameter is not a Variable, or is the result of a Function.
    """

    rule = rules.RMSPROP

    def __init__(
        self,
        parameters: Any,
        learning_rate: LearningRate = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            learning_rate=learning_rate,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
        )
