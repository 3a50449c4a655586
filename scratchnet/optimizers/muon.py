"""Muon: steps along the orthogonal matrix that is nearest to the momentum."""

from __future__ import annotations

from typing import Any

from backends.plain import update as rules
from scratchnet.errors import SettingError
from scratchnet.optimizers.group import LearningRate
from scratchnet.optimizers.optimizer import Optimizer


class Muon(Optimizer):
    """Muon: the momentum of a matrix, made orthogonal by Newton-Schulz iterations.

    It is for the weights of hidden layers, which are matrices. Give other parameters to AdamW. The step
    grows with √(rows / columns) if there are more rows than columns.

    Source: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024.

    Args:
        parameters: the Variables to train, or parameter groups; see `Optimizer`.
        learning_rate: a positive, finite number, or a function of the step; see `scratchnet.schedules`.
        weight_decay: the parameter loses this part of itself, times the learning rate, in each step.
        momentum: the part of the velocity that stays in each step.
        nesterov: whether the momentum is Nesterov's.
        coefficients: of the polynomial that each iteration applies to the singular values.
        eps: the smallest norm by which the momentum is divided.
        iterations: the number of Newton-Schulz iterations.

    Raises:
        SettingError: a setting is out of its range, there is no parameter, or one is not a matrix or
            given twice.
        OperandError: a parameter is not a Variable, or is the result of a Function.
    """

    rule = rules.MUON

    def __init__(
        self,
        parameters: Any,
        learning_rate: LearningRate = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        iterations: int = 5,
    ) -> None:
        super().__init__(
            parameters,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            coefficients=coefficients,
            eps=eps,
            iterations=iterations,
        )
        for each in self.parameters:
            if each.ndim != 2:
                raise SettingError(
                    f"Muon: {each.label()} is not a matrix; give Muon only weights with two axes, "
                    "and the others to AdamW"
                )
