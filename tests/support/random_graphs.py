"""Random programs on three operands, written for scratchnet and for PyTorch, and their derivatives.

The gradient of a program's result is multiplied by fixed weights and summed. That number is
differentiated again, and so on: this gives first, second and third derivatives.
"""

from typing import NamedTuple

import numpy as np

import scratchnet as sn
from backends import use

SHAPES = (3, 4), (1, 4), (3, 1)
PROGRAMS, ORDERS, MOST = 120, 3, 200


def _of_an_axis(name, in_pytorch, axis):
    """Return a reduction, whose keyword has another name in PyTorch."""

    def reduced(module, v):
        if module is sn:
            return getattr(v, name)(axis=axis, keepdims=True)
        return getattr(v, in_pytorch)(axis, keepdim=True)

    return reduced


def _activation(module):
    return module if module is sn else module.nn.functional


UNARY = {
    "exp": lambda m, v: m.exp(v * 0.3), "tanh": lambda m, v: m.tanh(v), "sin": lambda m, v: m.sin(v),
    "cos": lambda m, v: m.cos(v), "square": lambda m, v: m.square(v), "abs": lambda m, v: m.abs(v),
    "sigmoid": lambda m, v: m.sigmoid(v), "relu": lambda m, v: m.relu(v),
    "log1p": lambda m, v: m.log1p(v * v), "sqrt": lambda m, v: m.sqrt(v * v + 1),
    "arctan": lambda m, v: m.arctan(v), "power": lambda m, v: (v * v + 0.5) ** 1.7,
    "sum": _of_an_axis("sum", "sum", 1), "mean": _of_an_axis("mean", "mean", 0),
    "max": _of_an_axis("max", "amax", 1), "product": lambda m, v: (v.T @ v) * 0.1,
    "rows": lambda m, v: v[[0, -1, 0]], "columns": lambda m, v: v[:, :2],
    "softmax": lambda m, v: m.softmax(v, 1), "log_softmax": lambda m, v: m.log_softmax(v, 1),
    "reshape": lambda m, v: v.reshape(v.shape[1], v.shape[0]),
    "gelu": lambda m, v: _activation(m).gelu(v), "silu": lambda m, v: _activation(m).silu(v),
    "softplus": lambda m, v: _activation(m).softplus(v), "selu": lambda m, v: _activation(m).selu(v),
    "elu": lambda m, v: _activation(m).elu(v), "erf": lambda m, v: m.erf(v),
    "log_sigmoid": lambda m, v: (m.log_sigmoid if m is sn else _activation(m).logsigmoid)(v),
    "min": _of_an_axis("min", "amin", 1), "logsumexp": lambda m, v: m.logsumexp(v, 1, True),
    "prod": lambda m, v: m.prod(v * 0.7, 1, True), "cumsum": lambda m, v: m.cumsum(v, 1),
    "std": lambda m, v: v.std(1, keepdims=True) if m is sn else v.std(1, correction=0, keepdim=True),
    "norm": lambda m, v: m.norm(v, None, 1, True) if m is sn else m.norm(v, 2, 1, True),
    "flip": lambda m, v: m.flip(v, (0,)), "roll": lambda m, v: m.roll(v, 1, 1),
    "tile": lambda m, v: m.tile(v, (2, 1)), "tril": lambda m, v: m.tril(v),
    "diagonal": lambda m, v: v.diagonal(0, 0, 1)[None], "moveaxis": lambda m, v: m.moveaxis(v, 0, 1),
    "join": lambda m, v: m.concatenate([v, v * v], 1), "stack": lambda m, v: m.stack([v, v * 2], 0)[0],
    "einsum": lambda m, v: m.einsum("ij,kj->ik", v, v) * 0.1,
    "outer": lambda m, v: m.outer(v.reshape(-1), v.reshape(-1))[:3] * 0.1,
}  # fmt: skip
BINARY = {
    "add": lambda a, b: a + b, "mul": lambda a, b: a * b, "div": lambda a, b: a / (b * b + 1),
    "sub": lambda a, b: a - b,
}  # fmt: skip


class Program(NamedTuple):
    operands: list
    weights: list
    steps: list


def programs():
    """Return the programs, the same ones every time."""
    rng = np.random.default_rng(16)
    with use("numpy"):  # for every backend
        return [_program(rng) for _ in range(PROGRAMS)]


def _program(rng):
    operands = [rng.standard_normal(shape) for shape in SHAPES]
    weights = [[rng.standard_normal(shape) for shape in SHAPES] for _ in range(ORDERS - 1)]
    values, steps = [sn.Variable(each) for each in operands], []
    length = rng.integers(2, 7)
    while len(steps) < length:
        table = UNARY if rng.random() < 0.6 else BINARY
        step = str(rng.choice(list(table))), *(int(i) for i in rng.integers(len(values), size=2))
        try:
            value = _done(sn, step, values)
        except sn.ShapeError:
            continue
        if value.size <= MOST:
            values.append(value)
            steps.append(step)
    return Program(operands, weights, steps)


def _done(module, step, values):
    name, first, second = step
    if name in UNARY:
        return UNARY[name](module, values[first])
    return BINARY[name](values[first], values[second])


def derivatives(module, program, leaves, grad, array):
    """Return derivatives by order and operand; `grad(result, leaves)` returns each or None."""
    values = list(leaves)
    for step in program.steps:
        values.append(_done(module, step, values))
    total = values[-1].sum()
    for each in values[len(leaves) : -1]:
        total = total + (each * each).sum() * 0.01
    found = []
    for order in range(ORDERS):
        gradients = grad(total, leaves)
        found.append(gradients)
        if order < ORDERS - 1:
            total = (leaves[0] * 0.0).sum()
            for gradient, weight in zip(gradients, program.weights[order], strict=True):
                if gradient is not None:
                    total = total + (gradient * array(weight)).sum()
    return found


def by_pytorch(torch, program):
    leaves = [torch.tensor(each, requires_grad=True) for each in program.operands]

    def grad(total, leaves):
        return torch.autograd.grad(total, leaves, create_graph=True, allow_unused=True)

    return [
        [
            np.zeros(shape) if each is None else each.detach().numpy(force=True)
            for each, shape in zip(order, SHAPES, strict=True)
        ]
        for order in derivatives(torch, program, leaves, grad, torch.tensor)
    ]
