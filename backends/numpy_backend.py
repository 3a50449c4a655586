"""NumPy: the default backend, and the one that runs everywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backends.backend import Array, Backend
from backends.errors import LabelError


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

    def affine(self, x: Array, weight: Array, bias: Array, relu: bool = False) -> Array:
        """As the plain twin; bias and ReLU are applied in place, which spares temporaries."""
        out = x @ weight.T
        if out.dtype == bias.dtype:
            out += bias
        else:
            out = out + bias
        return np.maximum(out, 0, out=out) if relu else out

    def affine_backward(
        self,
        grad: Array,
        x: Array,
        weight: Array,
        y: Array | None,
        needs_grad: Sequence[bool],
    ) -> tuple[Array | None, Array | None, Array | None]:
        """As the plain twin; a row of ones @ grad is a column sum at BLAS's speed."""
        if y is not None:
            grad = grad * (y > 0)
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
        try:
            place = np.ravel_multi_index((labels.astype(np.intp), np.arange(n)), (classes, n))
        except ValueError:
            row = int(np.flatnonzero((labels < 0) | (labels >= classes))[0])
            raise LabelError(
                f"softmax_loss: label {labels[row]} in row {row} is not one of the {classes} "
                f"classes; labels go from 0 to {classes - 1}"
            ) from None
        shifted = logits.T.copy()
        shifted -= np.maximum.reduce(shifted, axis=0)
        picked = shifted.reshape(-1)[place]
        gradient = np.exp(shifted, out=shifted)
        z = np.add.reduce(gradient, axis=0)
        loss = np.add.reduce(np.log(z) - picked, dtype=np.float64) / n
        gradient /= z
        gradient /= n
        gradient.reshape(-1)[place] -= 1 / n
        return np.asarray(loss, logits.dtype), gradient.T
