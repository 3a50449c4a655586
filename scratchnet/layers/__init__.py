"""The layers: the parts from which you build a network."""

from scratchnet.layers import initializers
from scratchnet.layers.linear import Linear
from scratchnet.layers.module import Buffer, Module
from scratchnet.layers.sequential import Sequential

__all__ = ["Buffer", "Linear", "Module", "Sequential", "initializers"]
