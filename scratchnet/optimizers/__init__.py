"""Optimizers: they move each parameter against its gradient, so that the loss becomes smaller."""

from scratchnet.optimizers.optimizer import Optimizer
from scratchnet.optimizers.sgd import SGD

__all__ = ["SGD", "Optimizer"]
