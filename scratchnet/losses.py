"""The loss function: how wrong the network is, as one number."""

from __future__ import annotations

from typing import Any

from backends import to_device, xp
from scratchnet.core.function import array_of
from scratchnet.functions import SoftmaxCrossEntropy, log_softmax
from scratchnet.functions.softmax import labels_for
from scratchnet.variable import Variable


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
    if isinstance(target, (list, tuple)):
        target = to_device(target)
    return SoftmaxCrossEntropy().on(logits, target)  # type: ignore[no-any-return]


def plain_softmax_loss(logits: Variable, target: Any) -> Variable:
    """`softmax_loss` as a composition of plain Functions: its specification."""
    if isinstance(target, (list, tuple)):
        target = to_device(target)
    labels = labels_for(logits, array_of(target))
    known = (labels >= 0) & (labels < logits.shape[1])
    picked = log_softmax(logits, axis=1)[xp.arange(len(labels)), xp.where(known, labels, 0)]
    loss: Variable = -(picked * xp.where(known, 1, xp.nan).astype(logits.dtype)).mean()
    return loss
