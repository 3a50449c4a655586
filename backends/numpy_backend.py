"""NumPy: the default backend, and the one that runs everywhere."""

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
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[call-overload]
        return f"numpy {np.__version__}, BLAS {blas['name']} {blas['version']}"

    def affine(self, x: Array, weight: Array, bias: Array) -> Array:
        """As the plain twin; the bias is added in place, which spares a temporary."""
        out = x @ weight.T
        if out.dtype == np.result_type(out, bias):
            out += bias
            return out
        return out + bias

    def softmax_cross_entropy(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """As the plain twin, in two buffers; a label out of range raises `LabelError`.

        One exponential serves the loss and the gradient: softmax = exp(shifted) / z, and the log
        probability of the label is shifted - log(z).
        """
        n, classes = logits.shape
        # Seen as unsigned, a negative label is a very large one: one pass finds both faults.
        if n and labels.view(f"u{labels.itemsize}").max() >= classes:
            row = int(np.flatnonzero((labels < 0) | (labels >= classes))[0])
            raise LabelError(
                f"softmax_loss: label {labels[row]} in row {row} is not one of the {classes} "
                f"classes; labels go from 0 to {classes - 1}"
            )
        rows = np.arange(n)
        shifted = logits - logits.max(axis=1, keepdims=True)
        picked = shifted[rows, labels]
        gradient = np.exp(shifted, out=shifted)
        z = gradient.sum(axis=1, keepdims=True)
        loss = (np.log(z).sum() - picked.sum()) / n
        gradient *= 1 / (n * z)
        gradient[rows, labels] -= 1 / n
        return np.asarray(loss, logits.dtype), gradient
