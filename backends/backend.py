"""The base class of backends: an array library, its device, and the kernels that should be fast.

Every kernel is defined here in plain `xp` operations. This definition is its plain twin: it specifies
the kernel. A backend may override it with a faster kernel, and a test compares the two. A backend that
overrides no kernel works, but is slower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any, TypeAlias, TypeVar

import numpy as np

from backends import error_function
from backends.errors import WrongArrayError, kind_of
from backends.setting import Setting

Array: TypeAlias = Any
"""An array of the active backend's library: `numpy.ndarray`, `cupy.ndarray`, …"""

TwoLayers: TypeAlias = tuple[Array, Array, Array, Array]
"""(hidden, inputs), (hidden,), (classes, hidden), (classes,): weights and biases of two layers."""

T = TypeVar("T")


class Backend:
    """An array library with a NumPy-like interface.

    A subclass sets `name`, and its `__init__` sets `xp` and `array_type`. If the library or its device
    cannot be used, `__init__` raises `BackendUnavailableError` with the cause and the fix.
    """

    name: str
    device_name: str = "the CPU"
    xp: ModuleType
    array_type: Any  # a class

    def __repr__(self) -> str:
        """The backend's name."""
        return self.name

    # The device boundary. Call these through `backends.to_host` and so on, which count the copies.

    def to_host(self, array: Array) -> np.ndarray:
        """Return the same numbers as a NumPy array."""
        return np.asarray(array)

    def to_device(self, array: np.ndarray) -> Array:
        """Return the same numbers as an array of this backend."""
        return self.xp.asarray(array)

    def as_array(self, result: object) -> Array:
        """Return a function's result as an array. Most libraries return only arrays.

        Raises:
            WrongArrayError: it is something else, such as a host array on a device backend.
        """
        if not isinstance(result, self.array_type):
            raise WrongArrayError(
                f"{kind_of(result)} where an array of backend {self.name} was expected; "
                "move it with backends.to_device(...)"
            )
        return result

    def synchronize(self) -> None:
        """Wait until the device has finished all work."""

    def at_hand(self, number: Array) -> float | None:
        """Return a 0-d array's number if reading it does not wait for the device; otherwise None."""
        return None

    def describe(self) -> str:
        """Describe library, version and device in one line."""
        return f"{self.xp.__name__} {self.xp.__version__}"

    def explained(self) -> AbstractContextManager[object]:
        """Return a context in which the device's errors become `DeviceMemoryError` and `DeviceError`."""
        return nullcontext()

    def memory_in_use(self) -> int:
        """Return the bytes of the arrays on the device; 0 if the backend does not count them."""
        return 0

    def without_pools(self) -> None:
        """Give each new array its own allocation, so that a memory checker notices every overrun.

        This is for `compute-sanitizer` on a GPU. On the CPU it does nothing, because there is no pool.
        """

    # Capture: repeated work as one launch.

    captures: bool = False
    """Whether `capture` makes repeated work faster. If not, nothing needs to be prepared for it."""

    def capture(self, work: Callable[[], T]) -> Callable[[], T]:
        """Return a function that does the same work on the same arrays; on the CPU, the work itself.

        Raises:
            CaptureError: the work cannot be captured. It has not been done.
        """
        return work

    def lay_out(self, weight: Array) -> Array:
        """Return a layer's weight, (out, in), in the memory order that `affine` reads fastest."""
        return weight

    # The kernels: these plain twins specify them.

    def matmul(self, a: Array, b: Array) -> Array:
        """Return `a @ b` for vectors, matrices, and stacks of matrices."""
        return a @ b

    def sum(self, x: Array, axis: Any = None, keepdims: bool = False) -> Array:
        """Return the sum along axes, in the dtype of x. float16 is added up in float32."""
        if x.dtype.char == "e":
            return x.sum(axis=axis, keepdims=keepdims, dtype=self.xp.float32).astype(x.dtype)
        return x.sum(axis=axis, keepdims=keepdims)

    def erf(self, x: Array) -> Array:
        """Return the error function of each element, to 4 ULP."""
        return error_function.erf(self.xp, x)

    def erfc(self, x: Array) -> Array:
        """Return 1 - erf(x), to 4 ULP, also on the tail."""
        return error_function.erfc(self.xp, x)

    def gelu(self, x: Array) -> Array:
        """Return x · erfc(-x / √2) / 2, to 4 ULP, also on the tail."""
        return error_function.gelu(self.xp, x)

    def threshold(self, x: Array, d: float) -> Array:
        """Return the larger of each element and d. NaN stays NaN."""
        return self.xp.maximum(x, d)

    def masked(self, grad: Array, mask: Array) -> Array:
        """Return grad where the mask is True, and 0 elsewhere, also where grad is infinite or NaN."""
        return self.xp.where(mask, grad, 0)

    def take_rows(self, source: Array, order: Array, out: Array) -> None:
        """Copy rows: row i of `out` becomes row order[i] of `source`.

        Args:
            source: (n, …), contiguous.
            order: (m,), integers in 0 … n - 1. Other values are not checked, and their result is
                undefined.
            out: (m, …), contiguous, of the source's dtype.
        """
        self.xp.take(source, order, axis=0, out=out)

    def scatter_add(self, target: Array, index: Array, values: Array) -> None:
        """Compute `target[index] += values` in place. If an index is repeated, its values are added up.

        Each row of the target receives its values one after the other, in their order in `values`. Each
        sum is rounded to the target's dtype. So the same input gives the same bits every time, on every
        backend. Only for float16 may the result be rounded once at the end.

        Args:
            target: (n, …), contiguous.
            index: integers in -n … n - 1, of any shape. Other values raise IndexError. A device cannot
                raise, so there they count modulo n, as in the device's indexing.
            values: the shape of `index` followed by that of a row; of the target's dtype.
        """
        self.xp.add.at(target, index, values)

    def affine(self, x: Array, weight: Array, bias: Array, relu: bool = False) -> Array:
        """Return `x @ weight.T + bias` of (n, in), (out, in) and (out,); its ReLU if asked."""
        out = x @ weight.T + bias
        return self.xp.maximum(out, 0) if relu else out

    def affine_backward(
        self,
        grad: Array,
        x: Array,
        weight: Array,
        y: Array | None,
        needs_grad: Sequence[bool],
    ) -> tuple[Array | None, Array | None, Array | None]:
        """Return the gradients of `affine` at x, weight and bias, from the gradient at its result.

        They are `grad @ weight`, `grad.T @ x` and the column sums of `grad`; None for a gradient that is
        not needed. x may be None if that at weight is not needed. With ReLU, y is the result, and `grad`
        counts only where y is positive.
        """
        if y is not None:
            grad = self.masked(grad, y > 0)
        return (
            grad @ weight if needs_grad[0] else None,
            grad.T @ x if needs_grad[1] else None,
            self.sum(grad, axis=0) if needs_grad[2] else None,
        )

    def softmax_cross_entropy(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """Return the mean cross-entropy of softmax(logits), and its gradient at the logits.

        Args:
            logits: (n, classes), floating.
            labels: (n,), integers in 0 … classes - 1.

        Returns:
            The loss, a 0-d array, and the gradient (softmax - one-hot) / n, of the logits' shape. Each
                row's maximum is subtracted first, so logits of any size are safe. A label out of range
                makes the loss NaN, because a device cannot raise an error without stopping the host.

        If the network is almost certain, the softmax at the label is nearly 1. Then the loss and the
        gradient depend on 1 - softmax. This is computed by adding the other probabilities; a subtraction
        would lose digits.

        The subtraction of the maximum rounds each logit, and `exp` would multiply this error by the size
        of the difference. So the lost digits are added again after `exp`.
        """
        xp = self.xp
        n, classes = logits.shape
        known = (labels >= 0) & (labels < classes)
        one_hot = labels[:, None] == xp.arange(classes)
        highest = logits.max(axis=1, keepdims=True)
        shifted = logits - highest
        picked = shifted[xp.arange(n), xp.where(known, labels, 0)]
        exponentials = xp.exp(shifted)
        exponentials += exponentials * _lost(xp.where(shifted > -xp.inf, logits, highest), highest)
        at_label = (exponentials * one_hot).sum(axis=1)
        others = (exponentials * ~one_hot).sum(axis=1)
        less_one = others + (at_label - 1)  # the sum of all classes, minus 1
        loss = xp.where(known, xp.log1p(less_one) - picked, xp.nan).mean(dtype=xp.float64)
        gradient = xp.where(one_hot, -others[:, None], exponentials) / (less_one[:, None] + 1) / n
        return loss.astype(logits.dtype), gradient

    def sgd_update(
        self, parameters: Sequence[Array], gradients: Sequence[Array], learning_rate: Setting
    ) -> None:
        """Compute `parameter -= learning_rate * gradient` in place for each pair."""
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= learning_rate.value * gradient

    # The whole two-layer network of the tutorial: Linear, ReLU, Linear, softmax loss, SGD.

    def fuses(self, x: Array, labels: Array, parameters: TwoLayers) -> bool:
        """Whether `two_layer_epoch` is faster for these arrays than single steps."""
        return False

    def two_layer_epoch(
        self, x: Array, labels: Array, batch_size: int, parameters: TwoLayers, learning_rate: Setting
    ) -> Array:
        """Train for one pass, in place. The last batch may be shorter.

        Args:
            x: (n, inputs), float32.
            labels: (n,), integers.
            batch_size: the rows per step.
            parameters: updated in place.
            learning_rate: of SGD.

        Returns:
            The loss of each batch, (batches,).
        """
        w1, b1, w2, b2 = parameters
        losses = self.xp.empty(-(-len(x) // batch_size), x.dtype)
        for step, start in enumerate(range(0, len(x), batch_size)):
            batch = slice(start, start + batch_size)
            h = self.affine(x[batch], w1, b1, relu=True)
            loss, grad = self.softmax_cross_entropy(self.affine(h, w2, b2), labels[batch])
            grad_h, grad_w2, grad_b2 = self.affine_backward(grad, h, w2, None, (True, True, True))
            _, grad_w1, grad_b1 = self.affine_backward(grad_h, x[batch], w1, h, (False, True, True))
            self.sgd_update(parameters, (grad_w1, grad_b1, grad_w2, grad_b2), learning_rate)
            losses[step] = loss
        return losses

    def two_layer_evaluation(
        self, x: Array, labels: Array, batch_size: int, parameters: TwoLayers
    ) -> Array:
        """Return loss and accuracy of each batch, (2, batches). See `two_layer_epoch`."""
        w1, b1, w2, b2 = parameters
        found = self.xp.empty((2, -(-len(x) // batch_size)), x.dtype)
        for step, start in enumerate(range(0, len(x), batch_size)):
            y = labels[start : start + batch_size]
            h = self.affine(x[start : start + batch_size], w1, b1, relu=True)
            logits = self.affine(h, w2, b2)
            found[0, step] = self.softmax_cross_entropy(logits, y)[0]
            found[1, step] = (logits.argmax(axis=1) == y).mean(dtype=x.dtype)
        return found


def without_underflow(work: Callable[..., T], *arguments: Any) -> T:
    """Do work in which a number that is too small for its dtype becomes 0, also under `np.errstate`.

    Other floating-point errors raise as the caller's `np.errstate` says.
    """
    with np.errstate(under="ignore"):
        return work(*arguments)


def added_in_float32(
    scatter_add: Callable[[Array, Array, Array], None], target: Array, index: Array, values: Array
) -> None:
    """Do a `scatter_add` of float16 in float32, so that each sum is rounded once, at the end."""
    wide = target.astype(np.float32)
    scatter_add(wide, index, values.astype(np.float32))
    target[...] = wide


def _lost(a: Array, b: Array) -> Array:
    """Return what rounding removed from a - b, exactly, by Knuth's two-sum."""
    difference = a - b
    back = difference - a
    return (a - (difference - back)) - (back + b)
