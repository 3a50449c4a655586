"""NumPy: the default backend, and the one that runs everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backends.backend import Array, Backend
from backends.errors import LabelError

# Elements: 112 kB as float32 stay in a second-level cache, and malloc serves them from its heap,
# where a larger temporary would be fresh pages from the system each time.
_BLOCK = 28 * 1024


class NumPyBackend(Backend):
    """NumPy on the CPU. Its kernels do the plain twins' work with fewer passes over memory."""

    name = "numpy"

    def __init__(self) -> None:
        """Never fails: NumPy is a dependency."""
        self.xp = np
        self.array_type = np.ndarray

    def as_array(self, result: object) -> Array:
        """NumPy's reductions to 0-d give scalars, which are arrays here."""
        return super().as_array(np.asarray(result) if isinstance(result, np.generic) else result)

    def describe(self) -> str:
        """NumPy's version and the BLAS under it."""
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"numpy {np.__version__}, BLAS {blas['name']} {blas['version']}"

    def affine(self, x: Array, weight: Array, bias: Array) -> Array:
        """As the plain twin; the bias is added in place, which spares a temporary."""
        out = x @ weight.T
        if out.dtype == bias.dtype:
            out += bias
            return out
        return out + bias

    def affine_backward(
        self, grad: Array, x: Array, weight: Array, needs_grad: Sequence[bool]
    ) -> tuple[Array | None, Array | None, Array | None]:
        """As the plain twin; a row of ones @ grad is a column sum at BLAS's speed."""
        return (
            grad @ weight if needs_grad[0] else None,
            grad.T @ x if needs_grad[1] else None,
            np.ones((1, len(grad)), grad.dtype) @ grad if needs_grad[2] else None,
        )

    def softmax_cross_entropy(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """As the plain twin, in one buffer; a label out of range raises `LabelError`.

        The buffer holds a class a row, so that sums over classes add whole rows. One exponential
        serves both results: softmax = exp(shifted) / z, and the log probability of the label is
        shifted - log(z).
        """
        n, classes = logits.shape
        if not labels.dtype.isnative:
            labels = labels.astype(np.intp)
        # Seen as unsigned, a negative label is a very large one: one pass finds both faults.
        if labels.view(f"u{labels.itemsize}").max() >= classes:
            row = int(np.flatnonzero((labels < 0) | (labels >= classes))[0])
            raise LabelError(
                f"softmax_loss: label {labels[row]} in row {row} is not one of the {classes} "
                f"classes; labels go from 0 to {classes - 1}"
            )
        rows = np.arange(n)
        shifted = logits.T.copy()
        shifted -= shifted.max(axis=0)
        picked = shifted[labels, rows]
        gradient = np.exp(shifted, out=shifted)
        z = gradient.sum(axis=0)
        loss = (np.log(z).sum() - picked.sum()) / n
        gradient /= n * z
        gradient[labels, rows] -= 1 / n
        return np.asarray(loss, logits.dtype), gradient.T

    def sgd_update(
        self, parameters: Sequence[Array], gradients: Sequence[Array], learning_rate: float
    ) -> None:
        """As the plain twin, a large array in blocks: the product stays in the processor's cache."""
        for parameter, gradient in zip(parameters, gradients, strict=True):
            whole = parameter.flags.c_contiguous and gradient.flags.c_contiguous
            if parameter.size <= _BLOCK or not whole:
                parameter -= learning_rate * gradient
                continue
            flat, flat_gradient = parameter.reshape(-1), gradient.reshape(-1)
            product = np.empty(_BLOCK, gradient.dtype)
            for start in range(0, flat.size, _BLOCK):
                block = flat[start : start + _BLOCK]
                part = product[: block.size]
                np.multiply(flat_gradient[start : start + _BLOCK], learning_rate, out=part)
                block -= part
