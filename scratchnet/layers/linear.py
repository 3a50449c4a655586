"""The linear layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from backends import Array, active
from backends.errors import kind_of
from scratchnet.errors import OperandError, ShapeError
from scratchnet.functions import Affine, matmul, relu, reshape
from scratchnet.layers.arguments import floating, generator, parameter, size
from scratchnet.layers.initializers import Initializer, glorot_normal, zeros
from scratchnet.layers.module import Module
from scratchnet.variable import Variable


class Linear(Module):
    """A linear layer: it computes activation(x @ weight.T + bias).

        layer = sn.Linear(784, 100, rng=0, activation=sn.relu)
        y = layer(x)  # x is (n, 784), y is (n, 100)

    Args:
        in_features: the size of the input's last axis.
        out_features: the size of the result's last axis.
        rng: a generator or a seed from which the layer draws the parameters; None uses a random seed.
            The layer draws on the host, so that a seed gives the same network on every backend.
        activation: a function that is applied to the result, or None. With a bias, `relu` is computed in
            the same step as the product.
        bias: whether the layer adds a bias.
        weight_init: an initializer `(shape, rng) -> array` for the weight; see `sn.initializers`.
        bias_init: an initializer for the bias; not used without a bias.
        dtype: the floating dtype of the parameters.

    Attributes:
        weight: a Variable of shape (out_features, in_features). On NumPy it is stored in column
            order (`weight.data.T` is C-contiguous), so `weight.data.reshape(-1)` is a copy.
        bias: a Variable of shape (out_features,); None without a bias.

    Raises:
        SettingError: a size is not a positive integer, the dtype is not floating, or an initializer
            returns something other than a finite floating array of the parameter's shape.
        OperandError: the activation cannot be called.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        rng: np.random.Generator | int | None = None,
        activation: Callable[[Variable], Variable] | None = None,
        *,
        bias: bool = True,
        weight_init: Initializer = glorot_normal,
        bias_init: Initializer = zeros,
        dtype: Any = np.float32,
    ) -> None:
        if activation is not None and not callable(activation):
            kind = type(activation).__name__
            raise OperandError(f"Linear: activation is a {kind}; give a function, such as relu")
        self.activation = activation
        self.in_features = size("Linear", "in_features", in_features)
        self.out_features = size("Linear", "out_features", out_features)
        rng, kind = generator("Linear", rng), floating("Linear", dtype)
        shape = (self.out_features, self.in_features)
        self.weight = parameter("Linear: weight", weight_init, shape, rng, kind)
        self.weight.data = active().lay_out(self.weight.data)
        self.bias = parameter("Linear: bias", bias_init, shape[:1], rng, kind) if bias else None

    def extra_repr(self) -> str:
        """Return the sizes, and whether there is a bias, as `print` shows them."""
        bias = self.bias is not None
        sizes = f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"
        if self.activation is None:
            return sizes
        name = getattr(self.activation, "__name__", None)
        return f"{sizes}, activation={name or type(self.activation).__name__}"

    def forward(self, x: Variable | Array) -> Variable:
        """Map x of shape (..., in_features) to (..., out_features), with any number of leading axes.

        Raises:
            ShapeError: the last axis of x has another size, or x has no axis.
            OperandError: x is not a Variable or an array.
        """
        shape = getattr(x, "shape", None)
        if shape is None:
            raise OperandError(f"Linear: x is {kind_of(x)}; wrap it: Variable(x)")
        if shape[-1:] != (self.in_features,):
            raise ShapeError(
                f"Linear: input has shape {shape}, but this layer expects (..., {self.in_features}); "
                "reshape the input, or create the layer with another in_features"
            )
        rows = x if len(shape) == 2 else reshape(x, (-1, self.in_features))
        fused = self.activation is relu and self.bias is not None
        if self.bias is None:
            out = matmul(rows, self.weight.T)
        else:
            out = Affine(fused).on(rows, self.weight, self.bias)
        if len(shape) != 2:
            out = reshape(out, (*shape[:-1], self.out_features))
        return out if fused or self.activation is None else self.activation(out)
