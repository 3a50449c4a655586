"""Adam and its relatives: steps that are scaled by averages of the gradient and of its square."""

from __future__ import annotations

from typing import Any

from backends.plain import update as rules
from scratchnet.optimizers.group import LearningRate
from scratchnet.optimizers.optimizer import Optimizer


class Adam(Optimizer):
    """Adam: the mean of recent gradients, divided by the root of the mean of their squares.

    Source: Kingma and Ba, Adam: a method for stochastic optimization, 2015.

    Args:
        parameters: the Variables to train, or parameter groups; see `Optimizer`.
        learning_rate: a positive, finite number, or a function of the step; see `scratchnet.schedules`.
        betas: the parts of both averages, of the gradient and of its square, that stay in each step.
        eps: a small number in the denominator, against a division by 0.
        weight_decay: this number times the parameter is added to the gradient.

    Raises:
        SettingError: a setting is out of its range, there is no parameter, or one is given twice.
        OperandError: a parameter is not a Variable, or is the result of a Function.
    """

    rule = rules.ADAM

    def __init__(
        self,
        parameters: Any,
        learning_rate: LearningRate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            parameters,
            learning_rate=learning_rate,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
        )


class AdamW(Optimizer):
    """Adam with weight decay that is separate from the gradient: parameter *= 1 - rate · weight_decay.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, 2019.

    Args:
        parameters: the Variables to train, or parameter groups; see `Optimizer`.
        learning_rate: a positive, finite number, or a function of the step; see `scratchnet.schedules`.
        betas: the parts of both averages, of the gradient and of its square, that stay in each step.
        eps: a small number in the denominator, against a division by 0.
        weight_decay: the parameter loses this part of itself, times the learning rate, in each step.

    Raises:
        SettingError: a setting is out of its range, there is no parameter, or one is given twice.
        OperandError: a parameter is not a Variable, or is the result of a Function.
    """

    rule = rules.ADAMW

    def __init__(
        self,
        parameters: Any,
        learning_rate: LearningRate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(
            parameters,
            learning_rate=learning_rate,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
        )


class NAdam(Optimizer):
    """Adam with Nesterov's momentum.

    Source: Dozat, Incorporating Nesterov momentum into Adam, 2016.

    Args:
        parameters: the Variables to train, or parameter groups; see `Optimizer`.
        learning_rate: a positive, finite number, or a function of the step; see `scratchnet.schedules`.
        betas: the parts of both averages, of the gradient and of its square, that stay in each step.
        eps: a small number in the denominator, against a division by 0.
        weight_decay: this number times the parameter is added to the gradient.
        momentum_decay: how fast the momentum grows to its full value.

    Raises:
        SettingError: a setting is out of its range, there is no parameter, or one is given twice.
        OperandError: a parameter is not a Variable, or is the result of a Function.
    """

    rule = rules.NADAM

    def __init__(
        self,
        parameters: Any,
        learning_rate: LearningRate = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
    ) -> None:
        super().__init__(
            parameters,
            learning_rate=learning_rate,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            momentum_decay=momentum_decay,
        )
