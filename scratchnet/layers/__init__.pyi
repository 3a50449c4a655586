"""What `scratchnet.layers` offers, for type checkers and editors: the table of `__init__.py`."""

from scratchnet.layers import initializers as initializers
from scratchnet.layers.convolution import Conv1d as Conv1d
from scratchnet.layers.convolution import Conv2d as Conv2d
from scratchnet.layers.convolution import ConvTranspose2d as ConvTranspose2d
from scratchnet.layers.dropout import Dropout as Dropout
from scratchnet.layers.dropout import Dropout2d as Dropout2d
from scratchnet.layers.embedding import Embedding as Embedding
from scratchnet.layers.linear import Linear as Linear
from scratchnet.layers.module import Buffer as Buffer
from scratchnet.layers.module import Module as Module
from scratchnet.layers.normalization import BatchNorm1d as BatchNorm1d
from scratchnet.layers.normalization import BatchNorm2d as BatchNorm2d
from scratchnet.layers.normalization import GroupNorm as GroupNorm
from scratchnet.layers.normalization import LayerNorm as LayerNorm
from scratchnet.layers.normalization import RMSNorm as RMSNorm
from scratchnet.layers.pooling import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from scratchnet.layers.pooling import AvgPool2d as AvgPool2d
from scratchnet.layers.pooling import MaxPool2d as MaxPool2d
from scratchnet.layers.sequential import Sequential as Sequential
from scratchnet.layers.stages import Flatten as Flatten
from scratchnet.layers.stages import Identity as Identity
from scratchnet.layers.stages import Residual as Residual
