"""The divergence between two distributions of probabilities."""

from __future__ import annotations

from typing import Any

from scratchnet.core.function import T, array_of
from scratchnet.errors import OperandError, ShapeError
from scratchnet.functions import Div, log, where
from scratchnet.functions import sum as sum_of
from scratchnet.functions.shape import in_float32
from scratchnet.losses.arguments import REDUCTIONS, check_reduction, checked, pair, reduced


def kl_divergence(log_q: T, p: Any, reduction: str = "batchmean") -> T:
    """Return the Kullback-Leibler divergence of q from p, the sum of p · (log(p) - log_q).

    Where p is 0, the term is 0. Source: Kullback and Leibler, On Information and Sufficiency, 1951.

        loss = sn.kl_divergence(sn.log_softmax(student(x)), sn.softmax(teacher(x)))

    Args:
        log_q: logarithms of the network's probabilities, floating, such as the result of `log_softmax`.
        p: the wanted probabilities themselves, of the same shape.
        reduction: "batchmean" divides the sum by the size of the first axis: the divergence for each
            sample, as in the formula. "mean" divides by the number of all elements. "sum" or "none".

    Returns:
        The divergence in the dtype of log_q: of shape (), or with "none" of the shape of log_q.

    Raises:
        ShapeError: the shapes differ, or a mean is asked of an empty batch.
        OperandError: log_q is not floating, p does not hold numbers, or, on NumPy, a number of p is
            below 0. On a GPU the loss is NaN then.
        SettingError: the reduction is unknown.
    """
    name = "kl_divergence"
    check_reduction(name, reduction, ("batchmean", *REDUCTIONS))
    p = pair(name, log_q, p, reduction)
    if reduction == "batchmean" and not log_q.shape:
        raise ShapeError(f'{name}: a 0-d array has no batch; give reduction="sum"')
    known = ~(array_of(p) < 0)
    fix = "is no probability; p holds the probabilities themselves, log_q holds logarithms"

    def compute(log_q: Any, p: Any) -> Any:
        none = ~(array_of(p) > 0)
        terms = p * (log(where(none, 1.0, p)) - where(none, 0.0, log_q))
        terms = checked(name, terms, p, known, OperandError, fix)
        if reduction != "batchmean":
            return reduced(terms, reduction)
        return Div().on(sum_of(terms), log_q.shape[0])

    return in_float32(compute, log_q, p)  # type: ignore[no-any-return]
