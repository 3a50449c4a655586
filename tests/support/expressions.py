"""Expressions of every Function, on one operand and on two."""

import scratchnet as sn

UNARY = {
    "neg": lambda x: -x,
    "exp": lambda x: x.exp(),
    "log": lambda x: (x * x + 0.5).log(),
    "tanh": lambda x: x.tanh(),
    "sigmoid": sn.sigmoid,
    "relu": sn.relu,
    "threshold": lambda x: sn.threshold(x, 0.3),
    "square": lambda x: x**2,
    "root": lambda x: (x * x + 0.5) ** 0.5,
    "inverse": lambda x: 1 / (x * x + 0.5),
    "power of a number": lambda x: 2**x,
    "number minus": lambda x: 3 - x,
    "transpose": lambda x: x.T * 2,
    "reshape": lambda x: x.reshape(-1) * 3,
    "sum": lambda x: x.sum(),
    "mean": lambda x: x.mean(),
    "max": lambda x: x.max(),
}


BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / (b * b + 0.5),
    "pow": lambda a, b: (a * a + 0.5) ** b,
}
