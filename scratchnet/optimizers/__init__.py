"""Optimizers: they move the parameters against their gradients."""

from scratchnet.optimizers.optimizer import Optimizer
from scratchnet.optimizers.sgd import SGD

__all__ = ["SGD", "Optimizer"]
