"""Lion: steps of equal size, in the direction of the momentum's sign."""

from __future__ import annotations

from typing import Any

from backends.plain import update as rules
from scratchnet.optimizers.group import LearningRate
from scratchnet.optimizers.optimizer import Optimizer


class Lion(Optimizer):
    """Lion: each element moves by the learning rate, in the direction of an averaged gradient.

    The first of `betas` is for the direction, the second for the average that is kept.

    Source: Chen et al., Symbolic discovery of optimization algorithms, 2023.

    Args:
        parameters: the Variables to train, or parameter groups; see `Optimizer`.
        learning_rate: a positive, finite number, or a function of the step; see `scratchnet.schedules`.
        betas: the parts of the average that stay: in the direction of a step, and for the next step.
        weight_decay: the parameter loses this part of itself, times the learning rate, in each step.

    Raises:
        SettingError: a setting is out of its range, there is no parameter, or one is given twice.
        OperandError: a parameter is not a Variable, or is the result of a Function.
    """

    rule = rules.LION

    def __init__(
        self,
        parameters: Any,
        learning_rate: LearningRate = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            parameters,
            learning_rate=learning_rate,
            betas=betas,
            weight_decay=weight_decay,
        )
