"""The linear layer."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from backends import Array, active, to_device
from backends.errors import kind_of
from scratchnet.errors import OperandError, SettingError, ShapeError
from scratchnet.functions import Affine, relu
from scratchnet.layers.module import Module
from scratchnet.variable import Variable


class Linear(Module):
    """activation(x @ weight.T + bias).

    Args:
        in_features: the size of each row that comes in.
        out_features: the size of each row that goes out.
        rng: where the weights are drawn from, on the host, so that a seed gives the same network
            on every backend: a generator or a seed; None takes fresh entropy.
        activation: a function applied to the result, such as `relu`, which costs no step of its own.

    Attributes:
        weight: (out_features, in_features), float32, normal with deviation √(2 / (in + out)):
            Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
            networks, 2010. On NumPy it lies by columns (`weight.data.T` is C-contiguous), so that
            `weight.data.reshape(-1)` is a copy.
        bias: (out_features,), float32, zeros.

    Raises:
        SettingError: a size is no positive integer.
        OperandError: the activation cannot be called.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        rng: np.random.Generator | int | None = None,
        activation: Callable[[Variable], Variable] | None = None,
    ) -> None:
        """See the class."""
        if activation is not None and not callable(activation):
            kind = type(activation).__name__
            raise OperandError(f"Linear: activation is a {kind}; give a function, such as relu")
        self.activation = activation
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(size, (int, np.integer)) or size < 1:
                raise SettingError(f"Linear: {name} is {size!r}; it must be a positive integer")
        self.in_features, self.out_features = int(in_features), int(out_features)
        deviation = math.sqrt(2 / (in_features + out_features))
        weight = np.random.default_rng(rng).standard_normal((out_features, in_features)) * deviation
        self.weight = Variable(active().lay_out(to_device(weight.astype(np.float32))), name="weight")
        self.bias = Variable(to_device(np.zeros(out_features, np.float32)), name="bias")

    def extra_repr(self) -> str:
        """The sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias=True"

    def forward(self, x: Variable | Array) -> Variable:
        """(n, in_features) gives (n, out_features).

        Raises:
            ShapeError: x is of another shape.
        """
        shape = getattr(x, "shape", None)
        if shape is None:
            raise OperandError(f"Linear: x is {kind_of(x)}; wrap it: Variable(x)")
        if len(shape) != 2 or shape[1] != self.in_features:
            raise ShapeError(
                f"Linear: input of shape {shape} does not fit weight {self.weight.shape}; it must "
                f"be (n, {self.in_features})"
            )
        if self.activation is relu:
            return Affine(True).on(x, self.weight, self.bias)  # type: ignore[no-any-return]
        out: Variable = Affine().on(x, self.weight, self.bias)
        return self.activation(out) if self.activation else out
