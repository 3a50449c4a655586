"""The cases of the losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from backends import Array, xp
from scratchnet.functions import log_softmax, sigmoid, sign
from scratchnet.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_similarity,
    hinge_loss,
    huber_loss,
    kl_divergence,
    l1_loss,
    mse_loss,
    nll_loss,
    softmax_loss,
    triplet_margin_loss,
)
from scratchnet.variable import Variable
from scratchnet.verify.cases.case import Case, of_function, of_labels


def _with_options(loss: Callable[..., Variable]) -> Callable[[Variable, Array], Variable]:
    """Return the loss with weights of ten classes, of which it ignores one."""

    def with_options(logits: Variable, labels: Array) -> Variable:
        weight = (xp.arange(10) + 1).astype(logits.dtype)
        return loss(logits, labels, weight=weight, ignore_index=3)

    return with_options


def loss_cases() -> Iterable[Case]:
    """Return a case for each loss. A sigmoid makes probabilities, and a sign makes targets of ±1."""

    def of_log_softmax(logits: Variable, labels: Array, **options: Any) -> Variable:
        return nll_loss(log_softmax(logits), labels, **options)

    yield Case("softmax_loss, options", 43, of_labels(_with_options(softmax_loss)))
    yield Case("nll_loss", 43, of_labels(_with_options(of_log_softmax)))
    of_two: dict[str, Callable[..., Variable]] = {
        "mse_loss": mse_loss,
        "l1_loss": l1_loss,
        "huber_loss": huber_loss,
        "binary_…_with_logits": lambda x, t: binary_cross_entropy_with_logits(x, sigmoid(t)),
        "binary_cross_entropy": lambda x, t: binary_cross_entropy(sigmoid(x), sigmoid(t)),
        "kl_divergence": lambda x, t: kl_divergence(x, sigmoid(t)),
        "hinge_loss": lambda x, t: hinge_loss(x, sign(t)),
        "cosine_similarity": cosine_similarity,
    }
    for name, loss in of_two.items():
        yield Case(name, 35, of_function(loss, (5, 7), (5, 7)))
    yield Case("triplet_margin_loss", 35, of_function(triplet_margin_loss, (5, 7), (5, 7), (5, 7)))
