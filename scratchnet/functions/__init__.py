"""The Functions: what the network computes, and the derivative of each, as rules on arrays.

Each class has its lower-case function beside it, which takes Variables and gives a Variable, or takes
arrays and gives an array.
"""

from scratchnet.functions.activation import (
    ReLU,
    Sigmoid,
    Tanh,
    Threshold,
    relu,
    sigmoid,
    tanh,
    threshold,
)
from scratchnet.functions.arithmetic import Add, Div, Mul, Neg, Pow, Sub
from scratchnet.functions.comparison import Where, where
from scratchnet.functions.elementwise import Exp, Log, exp, log
from scratchnet.functions.indexing import AddAt, GetItem
from scratchnet.functions.linear import Affine, MatMul, matmul
from scratchnet.functions.reduction import Axis, Max, Mean, Sum
from scratchnet.functions.shape import (
    AsType,
    BroadcastTo,
    Reshape,
    Transpose,
    astype,
    broadcast_to,
    reshape,
    swapaxes,
    transpose,
)
from scratchnet.functions.softmax import LogSoftmax, Softmax, SoftmaxCrossEntropy, log_softmax, softmax

Dot = MatMul
"""The original's name for the matrix product."""

__all__ = [
    "Add", "AddAt", "Affine", "AsType", "Axis", "BroadcastTo", "Div", "Dot", "Exp", "GetItem", "Log",
    "LogSoftmax", "MatMul", "Max", "Mean", "Mul", "Neg", "Pow", "ReLU", "Reshape", "Sigmoid", "Softmax",
    "SoftmaxCrossEntropy", "Sub", "Sum", "Tanh", "Threshold", "Transpose", "Where", "astype",
    "broadcast_to", "exp", "log", "log_softmax", "matmul", "relu", "reshape", "sigmoid", "softmax",
    "swapaxes", "tanh", "threshold", "transpose", "where",
]  # fmt: skip
