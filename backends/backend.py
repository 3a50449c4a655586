"""What a backend is: an array library, its device, and the few kernels in which speed lives.

Every kernel is defined here in plain `xp` arithmetic. That definition is the specification: a
backend may override it with a faster one, and a test holds the two together. A backend that
overrides none of them works, slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from backends.errors import WrongArrayError

Array: TypeAlias = Any
"""An array of the active backend's library: `numpy.ndarray`, `cupy.ndarray`, …"""


class Backend:
    """An array library with a NumPy-like interface.

    A subclass names itself, and its `__init__` sets `xp` and `array_type`, or raises
    `BackendUnavailableError` with the cause and the mend.
    """

    name: str
    xp: ModuleType
    array_type: type

    def __repr__(self) -> str:
        """The backend's name."""
        return self.name

    # The device boundary. Call these through `backends.to_host` and so on, which count.

    def to_host(self, array: Array) -> np.ndarray:
        """The same numbers as a NumPy array."""
        return np.asarray(array)

    def to_device(self, array: np.ndarray) -> Array:
        """The same numbers as an array of this backend."""
        return self.xp.asarray(array)

    def as_array(self, result: object) -> Array:
        """A function's result as an array; most libraries give nothing else.

        Raises:
            WrongArrayError: it is something else, such as a host array where this is a device.
        """
        if not isinstance(result, self.array_type):
            raise WrongArrayError(
                f"a {type(result).__name__} where an array of backend {self.name} was expected; "
                "move it with backends.to_device(...)"
            )
        return result

    def synchronize(self) -> None:
        """Return when all work handed to the device is done."""

    def describe(self) -> str:
        """Library, version and device, in a line."""
        return f"{self.xp.__name__} {self.xp.__version__}"

    # The kernels: plain twins, the specification.

    def affine(self, x: Array, weight: Array, bias: Array) -> Array:
        """`x @ weight.T + bias`: (n, in), (out, in), (1, out) give (n, out)."""
        return x @ weight.T + bias

    def affine_backward(
        self, grad: Array, x: Array, weight: Array, needs_grad: Sequence[bool]
    ) -> tuple[Array | None, Array | None, Array | None]:
        """The gradients of `affine` at x, weight and bias, given the one at its result.

        `grad @ weight`, `grad.T @ x` and the column sums of `grad`; None where none is needed.
        """
        return (
            grad @ weight if needs_grad[0] else None,
            grad.T @ x if needs_grad[1] else None,
            grad.sum(axis=0, keepdims=True) if needs_grad[2] else None,
        )

    def softmax_cross_entropy(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """Mean cross-entropy of softmax(logits), and its gradient at the logits.

        Args:
            logits: (n, classes), floating.
            labels: (n,), integers in 0 … classes - 1.

        Returns:
            The loss, a 0-d array, and the gradient (softmax - one-hot) / n, of the logits' shape.
            The row's maximum is subtracted first, so logits of any size are safe. A label out of
            range makes the loss NaN: a device cannot raise without stopping the host.
        """
        xp = self.xp
        n, classes = logits.shape
        rows = xp.arange(n)
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_probabilities = shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))
        known = (labels >= 0) & (labels < classes)
        picked = log_probabilities[rows, xp.where(known, labels, 0)]
        loss = -xp.where(known, picked, xp.nan).mean(dtype=xp.float64)
        one_hot = labels[:, None] == xp.arange(classes)
        return loss.astype(logits.dtype), (xp.exp(log_probabilities) - one_hot) / n

    def sgd_update(
        self, parameters: Sequence[Array], gradients: Sequence[Array], learning_rate: float
    ) -> None:
        """`parameter -= learning_rate * gradient`, in place, for each pair."""
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= learning_rate * gradient
