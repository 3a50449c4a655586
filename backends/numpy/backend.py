"""NumPy: the default backend, which runs everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from backends.backend import Backend
from backends.errors import LabelError, WrongArrayError, kind_of
from backends.numpy.convolution import NumPyConvolution
from backends.numpy.normalization import NumPyNormalization
from backends.numpy.pooling import NumPyPooling
from backends.numpy.recurrent import NumPyRecurrent
from backends.numpy.scatter import add_rows
from backends.numpy.update import NumPyUpdate, read_only_error
from backends.plain.library import Array, added_in_float32, without_underflow
from backends.setting import Setting

_NARROW = 32
_LONGEST_ROW = 1 << 14
_BLOCK = 1 << 12
_BITS = {np.dtype(f"f{size}"): np.dtype(f"i{size}") for size in (2, 4, 8)}


class PlainBackend(Backend):
    """NumPy with only the plain twins. Every backend is compared with this specification."""

    name = "plain"

    def __init__(self) -> None:
        """Set the array library. This cannot fail, because NumPy is a dependency."""
        self.xp = np
        self.array_type = np.ndarray

    def as_array(self, result: object) -> Array:
        """Return NumPy's scalars (from reductions to 0-d) and arrays of subclasses as plain arrays.

        Raises:
            WrongArrayError: it is not an array, or it is a masked array.
        """
        if hasattr(result, "mask"):
            raise WrongArrayError(
                f"{kind_of(result)}: its mask would be lost; take array.filled(0), or array.data"
            )
        plain = isinstance(result, (np.generic, np.ndarray))
        return super().as_array(np.asarray(result) if plain else result)

    def at_hand(self, number: Array) -> float:
        """Return the number. It is on the host."""
        return float(number)

    def describe(self) -> str:
        """Return NumPy's version."""
        return f"the plain twin of every kernel, numpy {np.__version__}"


class NumPyBackend(
    NumPyConvolution,
    NumPyPooling,
    NumPyNormalization,
    NumPyRecurrent,
    NumPyUpdate,
    PlainBackend,
):
    """NumPy on the CPU. Its kernels do the work of the plain twins with fewer passes over memory."""

    name = "numpy"

    def describe(self) -> str:
        """Return the versions of NumPy and of its BLAS."""
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"numpy {np.__version__}, BLAS {blas['name']} {blas['version']}"

    def first_false(self, known: Array) -> int | None:
        """Return the place of the first False; None if there is none."""
        return None if known.all() else int(known.reshape(-1).argmin())

    def random_bits(self, key: tuple[int, int], draws: Array, count: int, first: int = 0) -> Array:
        """As the plain twin, by NumPy's own Philox."""
        counter = np.zeros(4, np.uint64)
        counter[0], skipped = divmod(first, 8)
        counter[1] = draws
        philox = np.random.Philox(key=np.array(key, np.uint64), counter=counter)
        words = philox.random_raw(-(-(skipped + count) // 2)).astype("<u8", copy=False)
        return words.view("<u4")[skipped : skipped + count]

    def lay_out(self, weight: Array) -> Array:
        """Store the weight in column order, so that `x @ weight.T` reads both in memory order."""
        return np.asfortranarray(weight)

    def erf(self, x: Array) -> Array:
        """As the plain twin, block by block."""
        return _in_blocks(super().erf, x)

    def erfc(self, x: Array) -> Array:
        """As the plain twin, block by block."""
        return _in_blocks(super().erfc, x)

    def gelu(self, x: Array) -> Array:
        """As the plain twin, block by block."""
        return _in_blocks(super().gelu, x)

    def threshold(self, x: Array, d: float) -> Array:
        """As the plain twin. NumPy compares with a row of numbers faster than with one number."""
        number, floating = isinstance(d, (int, float)), x.dtype.kind == "f"
        if not number or not floating or x.ndim < 2 or x.shape[-1] > _LONGEST_ROW:
            return super().threshold(x, d)
        return np.maximum(x, _row(x.shape[-1], x.dtype, d + 0.0))  # -0.0 is 0.0

    def masked(self, grad: Array, mask: Array) -> Array:
        """As the plain twin. Multiplying the bits by 1 or 0 is exact, and faster than `where`."""
        bits = _BITS.get(grad.dtype)
        return super().masked(grad, mask) if bits is None else (grad.view(bits) * mask).view(grad.dtype)

    def embedding(self, weight: Array, indices: Array) -> Array:
        """As the plain twin. If all indices are inside, `take` copies the rows in one pass."""
        indices = indices.astype(np.intp, copy=False)
        if not indices.size or (indices.min() >= 0 and indices.max() < len(weight)):
            return weight.take(indices, axis=0)
        return super().embedding(weight, indices)

    def scatter_add(self, target: Array, index: Array, values: Array) -> None:
        """As the plain twin, many rows at a time. float16 is added up in float32, and rounded once."""
        if target.dtype.char == "e":
            added_in_float32(self.scatter_add, target, index, values)
        else:
            add_rows(target, index, values)

    def affine(self, x: Array, weight: Array, bias: Array, relu: bool = False) -> Array:
        """As the plain twin, in place.

        A result with few columns is stored in column order. Then sums and maxima over its columns run
        along memory.
        """
        product = x @ weight.T
        if product.dtype != bias.dtype:
            return super().affine(x, weight, bias, relu)
        narrow = product.shape[1] < _NARROW
        out = np.add(product, bias, order="F") if narrow else np.add(product, bias, out=product)
        return np.maximum(out, _row(out.shape[1], out.dtype, 0.0), out=out) if relu else out

    def affine_backward(
        self,
        grad: Array,
        x: Array,
        weight: Array,
        y: Array | None,
        needs_grad: Sequence[bool],
    ) -> tuple[Array | None, Array | None, Array | None]:
        """As the plain twin. The column sum is a row of ones times grad, which BLAS computes fast."""
        if y is not None:
            grad = self.masked(grad, y > 0)
        return (
            grad @ weight if needs_grad[0] else None,
            (x.T @ grad).T if needs_grad[1] else None,
            _row(len(grad), grad.dtype, 1.0) @ grad if needs_grad[2] else None,
        )

    def softmax_cross_entropy(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """As the plain twin, in one buffer. A label out of range raises `LabelError`.

        The buffer has one class per row, so that operations run along the batch. Each constant is an
        array that was made in advance, because NumPy adds an array faster than a number.

        The digits that the subtraction loses are added again only if a difference is larger than 1.5 ·
        classes. Otherwise, they are at most that many ULP of a probability.
        """
        n, classes = logits.shape
        rows, ones, shares, exact_shares, of_classes = _constants(n, classes, logits.dtype)
        by_class = np.asarray(logits.T, order="C")
        highest = np.maximum.reduce(by_class, axis=0)
        shifted = by_class - highest
        flat = shifted.reshape(-1)
        try:
            place = np.ravel_multi_index((labels.astype(np.intp, copy=False), rows), shifted.shape)
        except ValueError:
            raise _label_error(labels, classes) from None
        picked = flat[place]
        lost = _lost(by_class, highest, shifted) if np.minimum.reduce(flat) < -1.5 * classes else None
        gradient = np.exp(shifted, shifted)
        if lost is not None:
            gradient += np.multiply(lost, gradient, out=lost)
        at_label = flat[place]
        flat[place] = 0
        others = of_classes.dot(gradient)
        flat[place] = -others
        less_one = others + (at_label - ones)
        loss = float((np.log1p(less_one) - picked).astype(np.float64).dot(exact_shares))
        gradient *= shares / (less_one + ones)
        return np.asarray(loss, logits.dtype), gradient.T

    def sgd_update(
        self,
        parameters: Sequence[Array],
        gradients: Sequence[Array],
        learning_rate: Setting,
    ) -> None:
        """As the plain twin.

        Raises:
            ReadOnlyError: a parameter is read-only. None has been updated.
        """
        rate = learning_rate.number
        for parameter in parameters:
            if not parameter.flags.writeable:
                raise read_only_error(parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            try:
                step = rate * gradient
            except FloatingPointError:
                step = without_underflow(np.multiply, rate, gradient)
            parameter -= step


def _in_blocks(kernel: Callable[[Array], Array], x: Array) -> Array:
    """Apply an elementwise kernel to one block after the other, so that its arrays stay in the cache."""
    if x.size <= _BLOCK:
        return kernel(x)
    y = np.empty(x.shape, x.dtype)
    source, target = x.reshape(-1), y.reshape(-1)
    for start in range(0, x.size, _BLOCK):
        target[start : start + _BLOCK] = kernel(source[start : start + _BLOCK])
    return y


@lru_cache(maxsize=16)
def _row(n: int, dtype: np.dtype[np.generic], number: float) -> np.ndarray:
    row = np.full(n, number, dtype)
    row.flags.writeable = False
    return row


@lru_cache(maxsize=16)
def _constants(n: int, classes: int, dtype: np.dtype[np.generic]) -> tuple[np.ndarray, ...]:
    """Return constants for a batch: row numbers, ones, 1/n in both dtypes, and a one per class."""
    arrays = (
        np.arange(n), np.ones(n, dtype), np.full(n, 1 / n, dtype), np.full(n, 1 / n),
        np.ones(classes, dtype),
    )  # fmt: skip
    for each in arrays:
        each.flags.writeable = False
    return arrays


@np.errstate(invalid="ignore", over="ignore")
def _lost(a: np.ndarray, b: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """Return what the rounding of a - b removed, by Knuth's two-sum; -1 where that is infinite."""
    back = difference - a
    lost: np.ndarray = difference - back
    np.subtract(a, lost, out=lost)
    back += b
    lost -= back
    np.fmax(lost, -1, out=lost)
    return lost


def _label_error(labels: np.ndarray, classes: int) -> LabelError:
    row = int(np.flatnonzero((labels < 0) | (labels >= classes))[0])
    return LabelError(
        f"softmax_loss: label {labels[row]} in row {row} is not one of the {classes} classes; labels "
        f"go from 0 to {classes - 1}"
    )
