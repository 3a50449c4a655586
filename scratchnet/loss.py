"""The loss function: how wrong the network is, as one number."""

from __future__ import annotations

from typing import Any

from backends import to_device, xp
from scratchnet.errors import OperandError, ShapeError
from scratchnet.functions import SoftmaxCrossEntropy
from scratchnet.functions.functional import log_softmax
from scratchnet.graph import Variable


def softmax_loss(logits: Variable, target: Any) -> Variable:
    """Mean over the batch of -log softmax(logits)[target]; the original's SoftmaxLoss.

    One kernel computes the loss and its gradient, (softmax - one-hot) / n; logits of any size are
    safe. `plain_softmax_loss` is the same in plain Functions.

    Args:
        logits: (n, classes).
        target: (n,) or (n, 1), integers in 0 … classes - 1: a Variable, an array or a list.

    Returns:
        A Variable of shape ().

    Raises:
        ShapeError: the shapes do not fit, or the batch is empty.
        OperandError: the target is not of integers, or the logits are not floating.
        LabelError: a target out of range, on NumPy; on a GPU, where an error would stop the host
            at every step, the loss is NaN.
    """
    return SoftmaxCrossEntropy().on(logits, _labels(logits, target))  # type: ignore[no-any-return]


def plain_softmax_loss(logits: Variable, target: Any) -> Variable:
    """`softmax_loss` as a composition of plain Functions: its specification."""
    labels = _labels(logits, target)
    known = (labels >= 0) & (labels < logits.shape[1])
    picked = log_softmax(logits, axis=1)[xp.arange(len(labels)), xp.where(known, labels, 0)]
    loss: Variable = -(picked * xp.where(known, 1, xp.nan).astype(logits.dtype)).mean()
    return loss


def _labels(logits: Variable, target: Any) -> Any:
    """The targets as an (n,) array."""
    dtype, shape = getattr(logits, "dtype", None), getattr(logits, "shape", None)
    if shape is None or dtype is None or dtype.kind != "f":
        kind = dtype or type(logits).__name__
        raise OperandError(
            f"softmax_loss: logits must be floating, not {kind}; wrap them: Variable(...)"
        )
    labels = target.data if isinstance(target, Variable) else target
    if isinstance(labels, (list, tuple)):
        labels = to_device(labels)
    dtype = getattr(labels, "dtype", None)
    if dtype is None or dtype.kind not in "iu":
        kind = dtype or type(labels).__name__
        raise OperandError(
            f"softmax_loss: targets must be integers, not {kind}; convert with .astype('int64')"
        )
    if len(shape) != 2 or labels.shape not in (shape[:1], (shape[0], 1)):
        raise ShapeError(
            f"softmax_loss: logits of shape {shape} and targets of shape {labels.shape} do "
            "not fit; they must be (n, classes) and (n,) or (n, 1)"
        )
    if 0 in shape:
        raise ShapeError(f"softmax_loss: logits of shape {shape}: an empty batch has no mean")
    return labels.reshape(-1)
