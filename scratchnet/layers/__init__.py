"""The layers a network is built of."""

from scratchnet.layers.linear import Linear
from scratchnet.layers.module import Module, Sequential

__all__ = ["Linear", "Module", "Sequential"]
