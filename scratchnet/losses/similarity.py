"""Losses and measures of how similar vectors are."""

from __future__ import annotations

from typing import Any

import numpy as np

from scratchnet.core.function import T
from scratchnet.errors import ShapeError
from scratchnet.functions import astype, broadcast_to, maximum, minimum, norm, relu
from scratchnet.functions import sum as sum_of
from scratchnet.functions.shape import axes_of, in_float32
from scratchnet.losses.arguments import (
    check_elements,
    check_floating,
    check_reduction,
    number,
    reduced,
)


def cosine_similarity(a: T, b: Any, axis: int = 1, eps: float = 1e-8) -> T:
    """Return the cosine of the angle between vectors, Σ a · b / (max(|a|, eps) · max(|b|, eps)).

    Very long and very short vectors neither overflow nor underflow. A vector shorter than eps counts as
    one of length eps, and so gives a small number; a vector of zeros gives 0.

    Args:
        a: floating, a Variable or an array.
        b: as `a`. The shapes are broadcast to one, as in PyTorch.
        axis: the axis along which the vectors lie.
        eps: the smallest length, a number above 0.

    Returns:
        The cosines, of the common shape without the axis.

    Raises:
        ShapeError: the shapes do not broadcast, or there is no such axis.
        OperandError: a or b is not floating.
        SettingError: eps is not above 0.
    """
    name = "cosine_similarity"
    check_floating(name, "a", a)
    check_floating(name, "b", b)
    eps = number(name, "eps", eps)
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError as error:
        raise ShapeError(f"{name}: shapes {a.shape} and {b.shape} do not broadcast") from error
    a, b = broadcast_to(a, shape), broadcast_to(astype(b, a.dtype), shape)
    (axis,) = axes_of(name, axis, a, one=True) or (0,)

    def compute(*vectors: Any) -> Any:
        first, second = (x / maximum(norm(x, axis=axis, keepdims=True), eps) for x in vectors)
        return sum_of(first * second, axis)

    return in_float32(compute, a, b)  # type: ignore[no-any-return]


def triplet_margin_loss(
    anchor: T,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> T:
    """Return the mean of max(0, margin + distance(anchor, positive) - distance(anchor, negative)).

    It is 0 if each negative example is farther from its anchor than the positive one, by the margin. The
    distance is the p-norm of the difference of two vectors, with eps added to each element, as in
    PyTorch. Source: Schroff, Kalenichenko and Philbin, FaceNet, 2015.

    Args:
        anchor: vectors of shape (..., d), floating.
        positive: vectors that should be near, of the same shape.
        negative: vectors that should be far, of the same shape.
        margin: the wanted difference of the distances, a number above 0.
        p: the order of the norm, a number above 0.
        eps: a small number, so that no distance is 0. It must be above 0.
        swap: whether the distance from positive to negative counts if it is smaller than that from the
            anchor. Source: Balntas, Riba, Ponsa and Mikolajczyk, Learning Local Feature Descriptors with
            Triplets and Shallow Convolutional Neural Networks, 2016.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss in the dtype of the anchor: of shape (), or with "none" of shape (...).

    Raises:
        ShapeError: the shapes differ, or a mean is asked of no elements.
        OperandError: a vector is not floating.
        SettingError: margin, p or eps is not above 0, or the reduction is unknown.
    """
    name = "triplet_margin_loss"
    check_reduction(name, reduction)
    margin, p, eps = (
        number(name, what, each) for what, each in (("margin", margin), ("p", p), ("eps", eps))
    )
    for what, each in (("anchor", anchor), ("positive", positive), ("negative", negative)):
        check_floating(name, what, each)
        if each.shape != anchor.shape or not each.shape:
            raise ShapeError(
                f"{name}: anchor has shape {anchor.shape} and {what} has shape {each.shape}; all must "
                "have the same shape (..., d)"
            )
    check_elements(name, anchor, reduction)

    def compute(anchor: Any, near: Any, far: Any) -> Any:
        to_far = norm(anchor - far + eps, p, -1)
        if swap:
            to_far = minimum(to_far, norm(near - far + eps, p, -1))
        return reduced(relu(margin + norm(anchor - near + eps, p, -1) - to_far), reduction)

    near, far = astype(positive, anchor.dtype), astype(negative, anchor.dtype)
    return in_float32(compute, anchor, near, far)  # type: ignore[no-any-return]
