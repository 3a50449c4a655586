"""The layers: the parts from which you build a network."""

from scratchnet.layers import initializers
from scratchnet.layers.convolution import Conv1d, Conv2d, ConvTranspose2d
from scratchnet.layers.dropout import Dropout, Dropout2d
from scratchnet.layers.linear import Linear
from scratchnet.layers.module import Buffer, Module
from scratchnet.layers.normalization import BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm, RMSNorm
from scratchnet.layers.pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from scratchnet.layers.sequential import Sequential
from scratchnet.layers.stages import Flatten, Identity, Residual

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "Conv1d",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Dropout2d",
    "Flatten",
    "GroupNorm",
    "Identity",
    "LayerNorm",
    "Linear",
    "MaxPool2d",
    "Module",
    "RMSNorm",
    "Residual",
    "Sequential",
    "initializers",
]
