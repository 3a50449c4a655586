"""The cross-entropy of probabilities between two classes."""

from __future__ import annotations

from typing import Any

from backends import Array, xp
from scratchnet.core.function import Function
from scratchnet.functions.comparison import maximum, where
from scratchnet.functions.elementwise import at_least_float32, log, log1p, narrowed
from scratchnet.functions.shape import in_float32

_LOWEST = -100.0
"""The lowest logarithm, as in PyTorch. So a loss of one element is at most 100."""
_LEAST = 1e-12
"""The smallest divisor p · (1 - p) of the gradient, as in PyTorch."""


class BinaryCrossEntropy(Function):
    """-t · log(p) - (1 - t) · log(1 - p) for each element, with logarithms of at least -100."""

    rule = (
        "∂L/∂p = grad · (p − t) / max(p · (1 − p), 1e-12); ∂L/∂t = grad · (log(1 − p) − log(p)), "
        "logarithms at least −100"
    )
    operations = (7, 6, 6)
    samples = ([(2, 3), (2, 3)], {}), ([(), ()], {}), ([(0, 2), (0, 2)], {})
    domain = (0.0, 1.0)

    def forward(self, p: Array, t: Array) -> Array:
        """Map probabilities and targets, both of 0 to 1 and of one shape, to losses of that shape."""
        self.keep(p, t)
        wide, target = at_least_float32(p), at_least_float32(t)
        losses = target * -_log(wide) + (1 - target) * -_log_of_rest(wide)
        return narrowed(xp.asarray(losses), p)

    def backward(self, grad: Any, p: Any, t: Any) -> tuple[Any, Any]:
        """Multiply grad by the slopes at p and at t."""
        to_p = in_float32(_to_p, grad, p, t) if self.needs_grad[0] else None
        return to_p, in_float32(_to_t, grad, p) if self.needs_grad[1] else None


def _to_p(grad: Any, p: Any, t: Any) -> Any:
    return grad * ((p - t) / maximum(p * (1 - p), _LEAST))


def _to_t(grad: Any, p: Any) -> Any:
    return grad * (_log_of_rest(p) - _log(p))


def _log(p: Any) -> Any:
    """Return log(p), at least -100."""
    none = p == 0
    return where(none, _LOWEST, maximum(log(where(none, 1.0, p)), _LOWEST))


def _log_of_rest(p: Any) -> Any:
    """Return log(1 - p), at least -100, accurate also for small p."""
    none = p == 1
    return where(none, _LOWEST, maximum(log1p(where(none, 0.0, -p)), _LOWEST))
