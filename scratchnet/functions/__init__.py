"""The Functions: what the network computes, and the derivative of each, as rules on arrays."""

from scratchnet.functions.arithmetic import Add, Div, Mul, Neg, Pow, Sub
from scratchnet.functions.elementwise import Exp, Log, ReLU, Sigmoid, Tanh, Threshold
from scratchnet.functions.linear import Affine, MatMul, Transpose
from scratchnet.functions.reduction import Axis, Max, Mean, Sum
from scratchnet.functions.shape import GetItem, Reshape
from scratchnet.functions.softmax import LogSoftmax, Softmax, SoftmaxCrossEntropy

Dot = MatMul
"""The original's name for the matrix product."""

__all__ = [
    "Add",
    "Affine",
    "Axis",
    "Div",
    "Dot",
    "Exp",
    "GetItem",
    "Log",
    "LogSoftmax",
    "MatMul",
    "Max",
    "Mean",
    "Mul",
    "Neg",
    "Pow",
    "ReLU",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Sub",
    "Sum",
    "Tanh",
    "Threshold",
    "Transpose",
]
