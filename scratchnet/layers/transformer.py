"""The layers of a Transformer: its encoder layer, and the positions that it adds to its inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from backends import Array, check, to_device
from scratchnet.errors import SettingError, ShapeError
from scratchnet.functions import gelu, relu
from scratchnet.functions.attention import check_operand
from scratchnet.layers.arguments import floating, generator, number, probability, size
from scratchnet.layers.attention import MultiheadAttention, heads_of
from scratchnet.layers.dropout import Dropout
from scratchnet.layers.linear import Linear
from scratchnet.layers.module import Module
from scratchnet.layers.normalization import LayerNorm


class TransformerEncoderLayer(Module):
    """A layer of a Transformer: self-attention and two linear layers, each with a residual connection.

        layer = sn.TransformerEncoderLayer(64, 4, dim_feedforward=256, rng=0)
        y = layer(x)  # x and y are (n, length, 64)
        y = layer(x, is_causal=True)  # a position sees only itself and those before

    Arguments and state names are those of torch.nn.TransformerEncoderLayer, but `batch_first` is True by
    default. Initial values are PyTorch's, except for the two linear layers, which start as `Linear`.
    Source: Vaswani et al., Attention Is All You Need, 2017, section 3.1; for `norm_first`, Xiong et al.,
    On Layer Normalization in the Transformer Architecture, 2020.

    Args:
        d_model: the size of the last axis of input and result.
        nhead: the number of heads; it divides d_model.
        dim_feedforward: the size of the hidden layer.
        dropout: the probability of dropout on the attention weights, the hidden layer and both results.
        activation: the function of the hidden layer, or "relu" or "gelu".
        layer_norm_eps: a number that the normalization adds to the variance.
        batch_first: whether input and result are (n, length, d_model); otherwise (length, n, d_model).
        norm_first: whether to normalize before attention and linear layers instead of after them.
        bias: whether the linear layers, the projections and the normalization add a bias.
        rng: a generator or a seed for the parameters and the dropout; None uses a random seed.
        dtype: the floating dtype of the parameters.

    Attributes:
        self_attn: the MultiheadAttention.
        linear1, linear2: the Linear layers.
        norm1, norm2: the LayerNorms.

    Raises:
        SettingError: a size is not a positive integer, nhead does not divide d_model, dropout is not a
            number from 0 to 1, the activation is unknown, or the dtype is not floating.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = True,
        norm_first: bool = False,
        bias: bool = True,
        *,
        rng: Any = None,
        dtype: Any = np.float32,
    ) -> None:
        name = "TransformerEncoderLayer"
        self.d_model, self.nhead = heads_of(name, "d_model", d_model, "nhead", nhead)
        hidden = size(name, "dim_feedforward", dim_feedforward)
        share, rng = probability(name, "dropout", dropout), generator(name, rng)
        function = (
            {"relu": relu, "gelu": gelu}.get(activation) if isinstance(activation, str) else activation
        )
        if not callable(function):
            raise SettingError(
                f"{name}: activation is {activation!r}; give a function, 'relu' or 'gelu'"
            )
        kind, eps = floating(name, dtype), number(name, "layer_norm_eps", layer_norm_eps)
        self.norm_first = norm_first
        self.self_attn = MultiheadAttention(
            self.d_model, self.nhead, share, bias, batch_first=batch_first, rng=rng, dtype=kind
        )
        self.linear1 = Linear(self.d_model, hidden, rng, function, bias=bias, dtype=kind)
        self.linear2 = Linear(hidden, self.d_model, rng, bias=bias, dtype=kind)
        self.norm1 = LayerNorm(self.d_model, eps, bias=bias, dtype=kind)
        self.norm2 = LayerNorm(self.d_model, eps, bias=bias, dtype=kind)
        self.dropout, self.dropout1, self.dropout2 = (Dropout(share, rng=rng) for _ in range(3))

    def extra_repr(self) -> str:
        """Return the settings, as `print` shows them."""
        return f"{self.d_model}, {self.nhead}, norm_first={self.norm_first}"

    def forward(
        self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Any:
        """Apply attention and the linear layers to src, of shape (n, length, d_model).

        Args:
            src: a Variable or an array of that shape, or of shape (length, d_model).
            src_mask: the `attn_mask` of `MultiheadAttention`.
            src_key_padding_mask: its `key_padding_mask`, of shape (n, length).
            is_causal: whether a position sees only itself and those before.

        Returns:
            A Variable of the shape of src.

        Raises:
            ShapeError: src or a mask has a shape that does not fit.
            OperandError: src is not floating, or a mask is neither boolean nor floating.
        """
        check_operand("TransformerEncoderLayer", "src", src)
        if src.ndim not in (2, 3) or src.shape[-1] != self.d_model:
            raise ShapeError(
                f"TransformerEncoderLayer: src has shape {src.shape}, but this layer expects (n, "
                f"length, {self.d_model}); reshape it, or create the layer with another d_model"
            )
        masks = {"key_padding_mask": src_key_padding_mask, "attn_mask": src_mask}
        if self.norm_first:
            x = src + self._attended(self.norm1(src), is_causal=is_causal, **masks)
            return x + self._mapped(self.norm2(x))
        x = self.norm1(src + self._attended(src, is_causal=is_causal, **masks))
        return self.norm2(x + self._mapped(x))

    def _attended(self, x: Any, **options: Any) -> Any:
        return self._dropped(self.dropout1, self.self_attn(x, need_weights=False, **options)[0])

    def _mapped(self, x: Any) -> Any:
        hidden = self._dropped(self.dropout, self.linear1(x))
        return self._dropped(self.dropout2, self.linear2(hidden))

    def _dropped(self, layer: Dropout, x: Any) -> Any:
        """Apply dropout, where the samples are the first axis, or the second without `batch_first`."""
        axis = 0 if self.self_attn.batch_first or x.ndim == 2 else 1
        return layer(x, axis=axis)


class SinusoidalPositions(Module):
    """Add sines and cosines of the position, so that attention can use the order of its inputs.

        layer = sn.SinusoidalPositions(64)
        y = layer(x)  # x and y are (n, length, 64)

    Feature 2i of position p gets sin(p / 10000^(2i / d_model)), and feature 2i + 1 the cosine of the
    same angle. Source: Vaswani et al., Attention Is All You Need, 2017, section 3.5. The layer has no
    parameters, and no state.

    Args:
        d_model: the size of the last axis.
        max_len: the largest length of an input.
        dropout: the probability of dropout on the result.
        rng: a generator or a seed for the dropout; None uses a random seed.
        dtype: the floating dtype of the numbers that are added. They are converted to that of the input.

    Raises:
        SettingError: a size is not a positive integer, dropout is not a number from 0 to 1, or the dtype
            is not floating.
    """

    def __init__(
        self,
        d_model: int,
        max_len: int = 5000,
        *,
        dropout: float = 0.0,
        rng: Any = None,
        dtype: Any = np.float64,
    ) -> None:
        name = "SinusoidalPositions"
        self.d_model, self.max_len = size(name, "d_model", d_model), size(name, "max_len", max_len)
        features = np.arange(self.d_model)
        angles = np.arange(self.max_len)[:, None] / 10000 ** (features // 2 * 2 / self.d_model)
        table = np.where(features % 2, np.cos(angles), np.sin(angles))
        self.table: Array = to_device(table.astype(floating(name, dtype)))
        self.dropout = Dropout(probability(name, "dropout", dropout), rng=generator(name, rng))

    def extra_repr(self) -> str:
        """Return the sizes, as `print` shows them."""
        return f"{self.d_model}, max_len={self.max_len}"

    def forward(self, x: Any) -> Any:
        """Add the positions to x of shape (n, length, d_model), or (length, d_model).

        Raises:
            ShapeError: x has another last size, or is longer than max_len.
            OperandError: x is not a floating Variable or array.
        """
        check_operand("SinusoidalPositions", "x", x)
        if x.ndim < 2 or x.shape[-1] != self.d_model:
            raise ShapeError(
                f"SinusoidalPositions: input has shape {x.shape}, but this layer expects (n, length, "
                f"{self.d_model}); reshape it, or create the layer with another d_model"
            )
        if x.shape[-2] > self.max_len:
            raise ShapeError(
                f"SinusoidalPositions: input has shape {x.shape}, {x.shape[-2]} positions, but max_len "
                f"is {self.max_len}; create the layer with a larger max_len"
            )
        check("SinusoidalPositions", "the table", self.table)
        return self.dropout(x + self.table[: x.shape[-2]].astype(x.dtype, copy=False))
