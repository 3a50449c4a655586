"""What a backend is: an array library, its device, and the few kernels in which speed lives.

Every kernel is defined here in plain `xp` arithmetic. That definition is the specification: a
backend may override it with a faster one, and a test holds the two together. A backend that
overrides none of them works, slower.
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

    A subclass names itself, and its `__init__` sets `xp` and `array_type`, or raises
    `BackendUnavailableError` with the cause and the mend.
    """

    name: str
    device_name: str = "the CPU"
    xp: ModuleType
    array_type: Any  # a class

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
                f"{kind_of(result)} where an array of backend {self.name} was expected; "
                "move it with backends.to_device(...)"
            )
        return result

    def synchronize(self) -> None:
        """Return when all work handed to the device is done."""

    def at_hand(self, number: Array) -> float | None:
        """A 0-d array's number, where it can be read without waiting for the device; else None."""
        return None

    def describe(self) -> str:
        """Library, version and device, in a line."""
        return f"{self.xp.__name__} {self.xp.__version__}"

    def explained(self) -> AbstractContextManager[object]:
        """Within it, the device's own errors become `DeviceMemoryError` and `DeviceError`."""
        return nullcontext()

    def memory_in_use(self) -> int:
        """Bytes that arrays hold on the device; 0 where nobody counts."""
        return 0

    def without_pools(self) -> None:
        """Allocate each array on its own from now on, so that a checker of memory sees every overrun.

        This is for `compute-sanitizer` on a GPU. On the CPU it does nothing: there is no pool.
        """

    # Capture: work that is done again and again, as one launch.

    captures: bool = False
    """Whether `capture` makes repeating cheaper; where it does not, nobody need prepare for it."""

    def capture(self, work: Callable[[], T]) -> Callable[[], T]:
        """A function that does the same work on the same arrays; on the CPU, the work itself.

        Raises:
            CaptureError: the work does what cannot be captured; it has not been done.
        """
        return work

    def lay_out(self, weight: Array) -> Array:
        """A layer's weight, (out, in), in the memory order in which `affine` reads it fastest."""
        return weight

    # The kernels: plain twins, the specification.

    def matmul(self, a: Array, b: Array) -> Array:
        """`a @ b`: vectors, matrices, and stacks of them."""
        return a @ b

    def sum(self, x: Array, axis: Any = None, keepdims: bool = False) -> Array:
        """The sum along axes, in the type of x; float16 is added up in float32."""
        if x.dtype.char == "e":
            return x.sum(axis=axis, keepdims=keepdims, dtype=self.xp.float32).astype(x.dtype)
        return x.sum(axis=axis, keepdims=keepdims)

    def erf(self, x: Array) -> Array:
        """The error function, to 4 ULP."""
        return error_function.erf(self.xp, x)

    def erfc(self, x: Array) -> Array:
        """1 - erf(x), to 4 ULP on the tail too."""
        return error_function.erfc(self.xp, x)

    def gelu(self, x: Array) -> Array:
        """X · erfc(-x / √2) / 2, to 4 ULP on the tail too."""
        return error_function.gelu(self.xp, x)

    def threshold(self, x: Array, d: float) -> Array:
        """The larger of each element and d; NaN stays NaN."""
        return self.xp.maximum(x, d)

    def take_rows(self, source: Array, order: Array, out: Array) -> None:
        """Row i of `out` becomes row order[i] of `source`.

        Args:
            source: (n, …), without gaps.
            order: (m,), integers in 0 … n - 1. Others are not checked: what they give is undefined.
            out: (m, …), without gaps, of the source's type.
        """
        self.xp.take(source, order, axis=0, out=out)

    def scatter_add(self, target: Array, index: Array, values: Array) -> None:
        """`target[index] += values` in place, where an index that is repeated adds up.

        Each row of the target receives its values one after the other, in the order in which they
        stand in `values`, and each sum is rounded to the target's type. So the same input gives the
        same bits, every time and on every backend. Only float16 may be rounded just once.

        Args:
            target: (n, …), without gaps.
            index: integers in -n … n - 1, of any shape. Others are an IndexError, or, on a device,
                which cannot raise, they count modulo n, as they do in its indexing.
            values: of the shape of `index` and then that of a row, and of the target's type.
        """
        self.xp.add.at(target, index, values)

    def affine(self, x: Array, weight: Array, bias: Array, relu: bool = False) -> Array:
        """`x @ weight.T + bias`: (n, in), (out, in), (out,) give (n, out); its ReLU if asked."""
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
        """The gradients of `affine` at x, weight and bias, given the one at its result.

        `grad @ weight`, `grad.T @ x` and the column sums of `grad`; None where none is needed.
        Where the result went through the ReLU it is y, and `grad` counts where y is positive.
        """
        if y is not None:
            grad = grad * (y > 0)
        return (
            grad @ weight if needs_grad[0] else None,
            grad.T @ x if needs_grad[1] else None,
            self.sum(grad, axis=0) if needs_grad[2] else None,
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

        Where the network is sure and right, the softmax at the label is nearly 1. What it lacks is
        what counts then, and so is never had by subtraction: it is the sum over the other classes.
        What a logit loses by rounding where the maximum is subtracted is added again behind `exp`,
        which would make of it an error as many times as large as the difference is.
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
        less_one = others + (at_label - 1)  # the sum of all, less 1
        loss = xp.where(known, xp.log1p(less_one) - picked, xp.nan).mean(dtype=xp.float64)
        gradient = xp.where(one_hot, -others[:, None], exponentials) / (less_one[:, None] + 1) / n
        return loss.astype(logits.dtype), gradient

    def sgd_update(
        self, parameters: Sequence[Array], gradients: Sequence[Array], learning_rate: Setting
    ) -> None:
        """`parameter -= learning_rate * gradient`, in place, for each pair."""
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= learning_rate.value * gradient

    # The network that this library exists for, whole: Linear, ReLU, Linear, softmax loss, SGD.

    def fuses(self, x: Array, labels: Array, parameters: TwoLayers) -> bool:
        """Whether `two_layer_epoch` is faster, on these, than the same steps one by one."""
        return False

    def two_layer_epoch(
        self, x: Array, labels: Array, batch_size: int, parameters: TwoLayers, learning_rate: Setting
    ) -> Array:
        """Train for one pass, in place; the last batch has what is left.

        Args:
            x: (n, inputs), float32.
            labels: (n,), integers.
            batch_size: rows a step.
            parameters: updated in place.
            learning_rate: of the SGD.

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
        """The loss and the accuracy of each batch, (2, batches). Arguments as `two_layer_epoch`."""
        w1, b1, w2, b2 = parameters
        found = self.xp.empty((2, -(-len(x) // batch_size)), x.dtype)
        for step, start in enumerate(range(0, len(x), batch_size)):
            y = labels[start : start + batch_size]
            h = self.affine(x[start : start + batch_size], w1, b1, relu=True)
            logits = self.affine(h, w2, b2)
            found[0, step] = self.softmax_cross_entropy(logits, y)[0]
            found[1, step] = (logits.argmax(axis=1) == y).mean(dtype=x.dtype)
        return found


def _lost(a: Array, b: Array) -> Array:
    """What the rounding of a - b took away from it: Knuth's two-sum, which is exact."""
    difference = a - b
    back = difference - a
    return (a - (difference - back)) - (back + b)
