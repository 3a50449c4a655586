"""The layer of multi-head attention."""

from __future__ import annotations

import math
from functools import reduce
from operator import add, and_
from typing import Any

import numpy as np

from backends import active
from scratchnet.core.function import array_of
from scratchnet.errors import SettingError, ShapeError
from scratchnet.functions import Affine, matmul, mean, reshape, swapaxes, unstack, where
from scratchnet.functions.attention import attend, causal, check_mask, check_operand
from scratchnet.layers.arguments import floating, generator, parameter, probability, size
from scratchnet.layers.dropout import Dropout
from scratchnet.layers.initializers import glorot_uniform, uniform, zeros
from scratchnet.layers.linear import Linear
from scratchnet.layers.module import Module
from scratchnet.variable import Variable


class MultiheadAttention(Module):
    """Attention by several heads, each with its own projections of queries, keys and values.

        layer = sn.MultiheadAttention(64, 4, rng=0)
        y, weights = layer(x)  # self-attention: x and y are (n, length, 64)
        y, weights = layer(x, memory)  # x attends to memory, of shape (n, length of memory, 64)

    Arguments, state names and initial values are those of torch.nn.MultiheadAttention, but `batch_first`
    is True by default. Source: Vaswani et al., Attention Is All You Need, 2017, section 3.2.2.

    Args:
        embed_dim: the size E of a query and of a result.
        num_heads: the number of heads; it divides embed_dim. A head sees embed_dim / num_heads features.
        dropout: the probability that an attention weight becomes 0 in training mode.
        bias: whether the projections add a bias.
        kdim: the size of a key; None means embed_dim.
        vdim: the size of a value; None means embed_dim.
        batch_first: whether inputs and result are (n, length, size); otherwise (length, n, size).
        rng: a generator or a seed for the parameters and the dropout; None uses a random seed.
        dtype: the floating dtype of the parameters.

    Attributes:
        in_proj_weight: a Variable of shape (3E, E): the projections of query, key and value; None if
            kdim or vdim differs from E.
        q_proj_weight, k_proj_weight, v_proj_weight: in that case, Variables of shape (E, E), (E, kdim)
            and (E, vdim); otherwise None.
        in_proj_bias: a Variable of shape (3E,); None without a bias.
        out_proj: the Linear layer that joins the heads.

    Raises:
        SettingError: a size is not a positive integer, num_heads does not divide embed_dim, dropout is
            not a number from 0 to 1, or the dtype is not floating.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        *,
        batch_first: bool = True,
        rng: Any = None,
        dtype: Any = np.float32,
    ) -> None:
        name = "MultiheadAttention"
        self.embed_dim, self.num_heads = heads_of(name, "embed_dim", embed_dim, "num_heads", num_heads)
        e = self.embed_dim
        self.kdim = e if kdim is None else size(name, "kdim", kdim)
        self.vdim = e if vdim is None else size(name, "vdim", vdim)
        self.batch_first, share = batch_first, probability(name, "dropout", dropout)
        rng, kind = generator(name, rng), floating(name, dtype)

        def drawn(what: str, *shape: int) -> Variable:
            weight = parameter(f"{name}: {what}", glorot_uniform, shape, rng, kind)
            weight.data = active().lay_out(weight.data)
            return weight

        is_packed = self.kdim == self.vdim == e
        self.in_proj_weight = drawn("in_proj_weight", 3 * e, e) if is_packed else None
        self.q_proj_weight = None if is_packed else drawn("q_proj_weight", e, e)
        self.k_proj_weight = None if is_packed else drawn("k_proj_weight", e, self.kdim)
        self.v_proj_weight = None if is_packed else drawn("v_proj_weight", e, self.vdim)
        self.in_proj_bias = None
        if bias:
            self.in_proj_bias = parameter(f"{name}: in_proj_bias", zeros, (3 * e,), rng, kind)
        bound = 1 / math.sqrt(e)
        self.out_proj = Linear(e, e, rng, bias=bias, weight_init=uniform(-bound, bound), dtype=dtype)
        self.dropout = Dropout(share, rng=rng)

    def extra_repr(self) -> str:
        """Return the settings, as `print` shows them."""
        text = f"{self.embed_dim}, {self.num_heads}"
        for what in ("kdim", "vdim"):
            if getattr(self, what) != self.embed_dim:
                text += f", {what}={getattr(self, what)}"
        return text if self.batch_first else f"{text}, batch_first=False"

    def forward(
        self,
        query: Any,
        key: Any = None,
        value: Any = None,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """Let each query attend to the keys, and return the results and the attention weights.

        A boolean mask is True where a position is ignored, as in PyTorch. The numbers of a floating mask
        are added to the scores. All masks that are given apply. If all keys of a query are ignored, its
        weights are 0.

        Args:
            query: a Variable or an array of shape (n, L, embed_dim), or (L, embed_dim) without a batch.
            key: as `query`, of shape (n, S, kdim); None means the query.
            value: as `query`, of shape (n, S, vdim); None means the key.
            key_padding_mask: a mask of the keys, of shape (n, S), or (S,) without a batch.
            need_weights: whether to return the weights.
            attn_mask: a mask of shape (L, S), or (n · num_heads, L, S).
            average_attn_weights: whether the weights are the mean over the heads.
            is_causal: whether query i sees only the keys 0 … i. No attn_mask is needed for this.

        Returns:
            The result, of the query's shape, and the weights, after dropout. They have shape (n, L, S),
            or (n, num_heads, L, S) if they are not averaged; None if they are not needed. Without a
            batch, n is left out.

        Raises:
            ShapeError: an input or a mask has a shape that does not fit.
            OperandError: an input is not floating, or a mask is neither boolean nor floating.
        """
        key = query if key is None else key
        value = key if value is None else value
        q = self._batch("query", query, self.embed_dim)
        k, v = self._batch("key", key, self.kdim), self._batch("value", value, self.vdim)
        if query is key is value:
            k = v = q  # so that one product projects all three
        (n, length, _), keys = q.shape, k.shape[1]
        if not q.shape[0] == k.shape[0] == v.shape[0] or v.shape[1] != keys or query.ndim != key.ndim:
            raise ShapeError(
                f"MultiheadAttention: query, key and value have shapes {query.shape}, {key.shape} and "
                f"{value.shape}; give the same batch size for all, and as many keys as values"
            )
        mask = self._mask((n, self.num_heads, length, keys), key_padding_mask, attn_mask, is_causal)
        q, k, v = (swapaxes(each, 1, 2) for each in self._projections(q, k, v))
        scale = 1 / math.sqrt(self.embed_dim // self.num_heads)
        mixed, weights = attend(q, k, v, mask, scale, self.dropout)
        out = self.out_proj(reshape(swapaxes(mixed, 1, 2), (n, length, self.embed_dim)))
        out = out if self.batch_first or query.ndim == 2 else swapaxes(out, 0, 1)
        out = reshape(out, query.shape) if query.ndim == 2 else out
        if not need_weights:
            return out, None
        weights = mean(weights, 1) if average_attn_weights else weights
        return out, reshape(weights, weights.shape[1:]) if query.ndim == 2 else weights

    def _batch(self, what: str, x: Any, dim: int) -> Any:
        """Return an input in the shape (n, length, dim)."""
        check_operand("MultiheadAttention", what, x)
        if x.ndim not in (2, 3) or x.shape[-1] != dim:
            batch = f"(n, length, {dim})" if self.batch_first else f"(length, n, {dim})"
            raise ShapeError(
                f"MultiheadAttention: {what} has shape {x.shape}, but this layer expects {batch} or "
                f"(length, {dim}); reshape it, or create the layer with another size"
            )
        if x.ndim == 2:
            return reshape(x, (1, *x.shape))
        return x if self.batch_first else swapaxes(x, 0, 1)

    def _projections(self, query: Any, key: Any, value: Any) -> list[Any]:
        """Return queries, keys and values for each head, of shape (n, length, heads, head's size)."""
        heads = self.num_heads, self.embed_dim // self.num_heads
        inputs = query, key, value
        if query is key is value and self.in_proj_weight is not None:
            rows = _affine(query, self.in_proj_weight, self.in_proj_bias)
            return unstack(reshape(rows, (*query.shape[:2], 3, *heads)), 2)
        weights: list[Any] = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        if self.in_proj_weight is not None:
            weights = unstack(reshape(self.in_proj_weight, (3, self.embed_dim, self.embed_dim)))
        biases: list[Any] = [None] * 3
        if self.in_proj_bias is not None:
            biases = unstack(reshape(self.in_proj_bias, (3, self.embed_dim)))
        return [
            reshape(_affine(x, weight, bias), (*x.shape[:2], *heads))
            for x, weight, bias in zip(inputs, weights, biases, strict=True)
        ]

    def _mask(self, of_scores: tuple[int, ...], padding: Any, mask: Any, is_causal: bool) -> Any:
        """Return one mask for the scores, as `scaled_dot_product_attention` takes it; None for none."""
        n, heads, length, keys = of_scores
        of_keys = [(n, keys)] if n != 1 else [(n, keys), (keys,)]
        of_pairs = [(length, keys), (n * heads, length, keys)]
        masks = ("key_padding_mask", padding, of_keys), ("attn_mask", mask, of_pairs)
        allowed, added = [causal(length, keys)] if is_causal else [], []
        for what, each, fitting in masks:
            if each is None:
                continue
            check_mask("MultiheadAttention", what, each)
            if each.shape not in fitting:
                raise ShapeError(
                    f"MultiheadAttention: {what} has shape {each.shape}, but the scores have shape "
                    f"{of_scores}, (n, heads, queries, keys); give a mask of shape "
                    f"{' or '.join(map(str, fitting))}"
                )
            if what == "key_padding_mask":
                each = reshape(each, (n, 1, 1, keys))
            elif each.ndim == 3:
                each = reshape(each, of_scores)
            if each.dtype.kind == "b":
                allowed.append(~array_of(each))
            else:
                added.append(each)
        if not added:
            return reduce(and_, allowed) if allowed else None
        numbers = reduce(add, added)
        return where(reduce(and_, allowed), numbers, -math.inf) if allowed else numbers


def _affine(x: Any, weight: Any, bias: Any) -> Any:
    """Return x @ weight.T + bias as rows, for x of shape (n, length, size)."""
    rows = reshape(x, (-1, x.shape[-1]))
    return matmul(rows, weight.T) if bias is None else Affine().on(rows, weight, bias)


def heads_of(name: str, what: str, dim: Any, of_heads: str, heads: Any) -> tuple[int, int]:
    """Return the size of the layer and the number of its heads.

    Raises:
        SettingError: one is not a positive integer, or the heads do not divide the size.
    """
    dim, heads = size(name, what, dim), size(name, of_heads, heads)
    if dim % heads:
        raise SettingError(
            f"{name}: {of_heads}={heads} does not divide {what}={dim}; use a number of heads that does"
        )
    return dim, heads
