"""The loss function: one number that measures how wrong the network is."""

from __future__ import annotations

from typing import Any

from backends import to_device, xp
from scratchnet.core.function import array_of
from scratchnet.functions import SoftmaxCrossEntropy, log_softmax
from scratchnet.functions.softmax import labels_for
from scratchnet.variable import Variable


def softmax_loss(logits: Variable, target: Any) -> Variable:
    """Return the mean cross-entropy over the batch, the mean of -log softmax(logits)[target].

    One kernel computes the loss and its gradient, (softmax - one-hot) / n. Large logits do not overflow.
    `plain_softmax_loss` computes the same with plain Functions. The original calls it SoftmaxLoss.

        loss = sn.softmax_loss(net(x), labels)

    Args:
        logits: the outputs of the network before the softmax, floating, of shape (n, classes).
        target: the labels, integers in 0 … classes - 1, of shape (n,) or (n, 1): a Variable, an array or
            a list.

    Returns:
        A Variable of shape () with the dtype of the logits.

    Raises:
        ShapeError: the shapes do not fit together, or the batch is empty.
        OperandError: the target does not hold integers, or the logits are not floating.
        LabelError: a target is out of range, on NumPy. On a GPU the loss is NaN instead, because an
            error would make the host wait at every step.
    """
    if isinstance(target, (list, tuple)):
        target = to_device(target)
    return SoftmaxCrossEntropy().on(logits, target)  # type: ignore[no-any-return]


def plain_softmax_loss(logits: Variable, target: Any) -> Variable:
    """Return the same as `softmax_loss`, as a composition of plain Functions: its specification.

    A target out of range makes the loss NaN on every backend. Otherwise arguments, result and errors are
    those of `softmax_loss`.
    """
    if isinstance(target, (list, tuple)):
        target = to_device(target)
    labels = labels_for(logits, array_of(target))
    known = (labels >= 0) & (labels < logits.shape[1])
    picked = log_softmax(logits, axis=1)[xp.arange(len(labels)), xp.where(known, labels, 0)]
    loss: Variable = -(picked * xp.where(known, 1, xp.nan).astype(logits.dtype)).mean()
    return loss
