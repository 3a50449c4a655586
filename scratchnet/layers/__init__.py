"""The layers: the parts from which you build a network.

Each name is imported when it is first used. `__init__.pyi` is the same table for type checkers.
"""

import scratchnet.layers.sequential  # noqa: F401 - it defines what >> makes of modules
from scratchnet.lazy import exports

__getattr__, __dir__, __all__ = exports(
    __name__,
    {
        "attention": "MultiheadAttention",
        "cells": "GRUCell LSTMCell RNNCell",
        "convolution": "Conv1d Conv2d ConvTranspose2d",
        "dropout": "Dropout Dropout2d",
        "embedding": "Embedding",
        "initializers": "initializers",
        "linear": "Linear",
        "module": "Buffer Module",
        "normalization": "BatchNorm1d BatchNorm2d GroupNorm LayerNorm RMSNorm",
        "pooling": "AdaptiveAvgPool2d AvgPool2d MaxPool2d",
        "recurrent": "GRU LSTM RNN",
        "sequential": "Sequential",
        "stages": "Flatten Identity Residual",
        "transformer": "SinusoidalPositions TransformerEncoderLayer",
    },
)
