"""The base class of backends: an array library, and the kernels that should be fast.

Every kernel is defined in plain `xp` operations, here and in `plain/`. This definition is its plain
twin: it specifies the kernel. A backend may override it with a faster kernel, and a test compares the
two. A backend that overrides no kernel works, but is slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from backends.plain.convolution import Convolution
from backends.plain.library import Array
from backends.plain.normalization import Normalization
from backends.plain.pooling import Pooling
from backends.plain.random import Random
from backends.plain.recurrent import Recurrent
from backends.plain.update import Update
from backends.setting import Setting

TwoLayers: TypeAlias = tuple[Array, Array, Array, Array]
"""(hidden, inputs), (hidden,), (classes, hidden), (classes,): weights and biases of two layers."""


class Backend(Convolution, Pooling, Normalization, Recurrent, Random, Update):
    """An array library with a NumPy-like interface, and the kernels.

    A subclass sets `name`, and its `__init__` sets `xp` and `array_type`. If the library or its device
    cannot be used, `__init__` raises `BackendUnavailableError` with the cause and the fix.
    """

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


def _lost(a: Array, b: Array) -> Array:
    """Return what rounding removed from a - b, exactly, by Knuth's two-sum."""
    difference = a - b
    back = difference - a
    return (a - (difference - back)) - (back + b)
