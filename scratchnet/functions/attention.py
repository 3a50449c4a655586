"""Attention: each query gets a weighted mean of the values, and its weights depend on the keys.

Source: Vaswani et al., Attention Is All You Need, 2017, section 3.2.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from backends import Array, check, xp
from backends.errors import kind_of
from scratchnet.core.function import Function, T, array_of
from scratchnet.errors import OperandError, SettingError, ShapeError
from scratchnet.functions.dropout import check_probability, dropout
from scratchnet.functions.elementwise import at_least_float32
from scratchnet.functions.linear import matmul
from scratchnet.functions.reduction import sum
from scratchnet.functions.shape import check_floating, in_float32, swapaxes


class MaskedSoftmax(Function):
    """The softmax of scores along the last axis, under a mask. A row that is masked completely is 0.

    A boolean mask is True where a score takes part. A floating mask is added to the scores.
    """

    rule = (
        "∂L/∂scores = y · (grad − Σ(grad · y)), Σ along the last axis; "
        "∂L/∂mask = ∂L/∂scores, for a floating mask"
    )
    operations = (6, 4, 0)
    samples = (
        ([(2, 3)], {}),
        ([(2, 3), [[True, False, True], [False, False, False]]], {}),
        ([(2, 2, 3), (2, 3)], {}),
        ([(2, 2, 3), (2, 1, 3)], {}),
        ([(2, 0), (2, 0)], {}),
    )

    def forward(self, scores: Array, mask: Array | None = None) -> Array:
        """Weights of at least 0, which sum to 1 along the last axis."""
        wide = at_least_float32(scores)
        if mask is None:
            mask = xp.zeros((), wide.dtype)
        elif mask.dtype.kind == "b":
            mask = xp.where(mask, 0, -math.inf)
        with np.errstate(over="ignore"):  # a number may become -∞, whose exponential is 0
            e = wide + mask.astype(wide.dtype, copy=False)  # an array of its own: the rest is in place
            highest = (e.max if e.size else e.sum)(axis=-1, keepdims=True)
            e -= xp.where(highest == -math.inf, 0, highest)
        xp.exp(e, out=e)
        total = e.sum(axis=-1, keepdims=True)
        e /= xp.where(total == 0, 1, total)
        y = e.astype(scores.dtype, copy=False)
        self.keep(y)
        return y

    def backward(self, grad: Any, y: Any) -> tuple[Any, ...]:
        """Return y · (grad - Σ(grad · y)) for the scores, and for the mask if it needs a gradient."""
        to_scores = in_float32(lambda g, s: s * (g - sum(g * s, -1, keepdims=True)), grad, y)
        return tuple(to_scores if needed else None for needed in self.needs_grad)


def scaled_dot_product_attention(
    query: T,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    rng: Any = None,
) -> T:
    """Return softmax(query @ keyᵀ · scale) @ value, as torch.nn.functional's function of this name.

    Source: Vaswani et al., Attention Is All You Need, 2017, section 3.2.1.

    Args:
        query: a Variable or an array of shape (..., L, E), floating: L queries.
        key: as `query`, of shape (..., S, E): S keys. The leading axes broadcast.
        value: as `query`, of shape (..., S, Ev).
        attn_mask: a Variable or an array that broadcasts to the weights' shape (..., L, S). Booleans are
            True where a key takes part. (It is the other way round in the masks of MultiheadAttention,
            as in PyTorch.) Floating numbers are added to the scores before the softmax.
        dropout_p: the probability that a weight becomes 0. It always applies; give 0 outside of
            training.
        is_causal: whether query i sees only the keys 0 … i.
        scale: the factor of the scores; None means 1 / √E.
        rng: the generator of the dropout, as for `dropout`.

    Returns:
        A Variable or an array of shape (..., L, Ev). It is 0 for a query that no key takes part in.

    Raises:
        ShapeError: the shapes do not fit together, or the mask does not broadcast to the weights.
        OperandError: an operand is not a floating Variable or array, or the mask is neither floating
            nor boolean.
        SettingError: attn_mask is given and is_causal is True, dropout_p is not a number from 0 to 1, or
            scale is not a number.
    """
    name = "scaled_dot_product_attention"
    for what, each in (("query", query), ("key", key), ("value", value)):
        check_operand(name, what, each)
    shapes = query.shape, key.shape, value.shape
    leading = _broadcast(*(shape[:-2] for shape in shapes))
    if min(map(len, shapes)) < 2 or leading is None:
        wanted = "(..., L, E), (..., S, E) and (..., S, Ev)"
    elif shapes[0][-1] != shapes[1][-1]:
        wanted = "query and key of the same last size"
    elif shapes[1][-2] != shapes[2][-2]:
        wanted = "as many keys as values"
    else:
        wanted = ""
    if wanted or leading is None:
        raise ShapeError(
            f"{name}: query, key and value have shapes {shapes[0]}, {shapes[1]} and {shapes[2]}; give "
            f"{wanted}"
        )
    check_probability(name, "dropout_p", dropout_p)
    if scale is not None and not isinstance(scale, (int, float, np.number)):
        raise SettingError(f"{name}: scale is {kind_of(scale)}; give a number, or None for 1 / √E")
    *_, length, size = query.shape
    keys = key.shape[-2]
    if attn_mask is not None:
        check_mask(name, "attn_mask", attn_mask)
        of_weights = (*leading, length, keys)
        if _broadcast(attn_mask.shape, of_weights) != of_weights:
            raise ShapeError(
                f"{name}: attn_mask has shape {attn_mask.shape}, but the weights have {of_weights}; "
                "give a mask that broadcasts to this shape"
            )
        if is_causal:
            raise SettingError(
                f"{name}: attn_mask is given and is_causal is True; combine both in attn_mask"
            )
    elif is_causal:
        attn_mask = causal(length, keys)
    factor = 1 / math.sqrt(size or 1) if scale is None else scale
    return attend(query, key, value, attn_mask, factor, lambda w: dropout(w, dropout_p, rng=rng))[0]


def attend(
    query: Any, key: Any, value: Any, mask: Any, scale: float, drop: Callable[[Any], Any]
) -> tuple[Any, Any]:
    """Return the weighted means of the values, and the weights of shape (..., L, S) after `drop`.

    The mask is None, or that of `scaled_dot_product_attention`. Nothing is checked.
    """
    scores = matmul(query * scale, swapaxes(key, -1, -2))
    weights = drop(MaskedSoftmax().on(scores, *(() if mask is None else (mask,))))
    return matmul(weights, value), weights


def causal(length: int, keys: int) -> Array:
    """Return booleans of shape (length, keys): True where a query may see a key."""
    return xp.arange(keys) <= xp.arange(length)[:, None]


def check_operand(name: str, what: str, operand: Any) -> None:
    """Raise an error unless the operand is a floating Variable or array of the active backend."""
    check_floating(name, what, operand)
    check(name, what, array_of(operand))


def check_mask(name: str, what: str, mask: Any) -> None:
    """Raise an error unless the mask holds booleans or floating numbers, on the active backend."""
    if not hasattr(mask, "dtype"):
        raise OperandError(f"{name}: {what} is {kind_of(mask)}; give an array of booleans")
    if mask.dtype.kind not in "bf":
        raise OperandError(
            f"{name}: {what} has dtype {mask.dtype}; it must be boolean, .astype(bool), or floating"
        )
    check(name, what, array_of(mask))


def _broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape to which all broadcast, or None if there is none."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return None
