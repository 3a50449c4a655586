"""The kernels of batch, layer and group normalization."""

from __future__ import annotations

from collections.abc import Sequence

from backends.plain.library import Array, Library


class Normalization(Library):
    """The kernels of batch, layer and group normalization: the plain twins."""

    def normalize(
        self, x: Array, axes: tuple[int, ...], weight: Array | None, bias: Array | None, eps: float
    ) -> tuple[Array, Array, Array]:
        """Return (x - mean) / √(variance + eps) · weight + bias, with statistics over some axes.

        The mean is computed in float64. So a mean that is much larger than the deviation costs no digit.

        Args:
            x: an array of any shape, float32 or float64.
            axes: the axes of the mean and of the variance, in ascending order.
            weight: an array of x's dtype that broadcasts with x; None means 1.
            bias: as `weight`; None means 0.
            eps: a number that is added to the variance.

        Returns:
            The result, and the mean and the variance (the squares divided by their number), both
            float64. In these two, the axes have size 1.
        """
        mean = x.mean(axis=axes, dtype=self.xp.float64, keepdims=True)
        centered = _centered(x, mean)
        variance = (centered * centered).mean(axis=axes, dtype=self.xp.float64, keepdims=True)
        y = centered * _inverse(variance, eps, x)
        y = y if weight is None else y * weight
        return y if bias is None else y + bias, mean, variance

    def normalize_backward(
        self,
        grad: Array,
        x: Array,
        axes: tuple[int, ...],
        weight: Array | None,
        statistics: tuple[Array, Array],
        eps: float,
        needs_grad: Sequence[bool],
    ) -> tuple[Array | None, Array | None, Array | None]:
        """Return the gradients of `normalize` at x, weight and bias, from the gradient at its result.

        A gradient that is not needed is None. Those at weight and bias have the shape of the weight,
        except that a missing weight has none.

        Source: Ioffe and Szegedy, Batch Normalization, 2015, section 3.

        Args:
            grad: the gradient at the result, of x's shape and dtype.
            x: as for `normalize`.
            axes: as for `normalize`.
            weight: as for `normalize`.
            eps: as for `normalize`.
            statistics: the mean and the variance that `normalize` returned.
            needs_grad: whether the gradients at x, weight and bias are needed.
        """
        mean, variance = statistics
        inverse = _inverse(variance, eps, x)
        normal = _centered(x, mean) * inverse
        scaled = grad if weight is None else grad * weight
        to_x, to_weight, to_bias = None, None, None
        if needs_grad[0]:
            share = (scaled * normal).mean(axis=axes, keepdims=True)
            to_x = inverse * (scaled - scaled.mean(axis=axes, keepdims=True) - normal * share)
        if weight is not None:
            others = broadcast_axes(x.ndim, weight.shape)
            if needs_grad[1]:
                to_weight = self.sum(grad * normal, axis=others).reshape(weight.shape)
            if needs_grad[2]:
                to_bias = self.sum(grad, axis=others).reshape(weight.shape)
        return to_x, to_weight, to_bias


def broadcast_axes(ndim: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes along which an array of this shape is repeated, in one with `ndim` axes."""
    leading = ndim - len(shape)
    return (*range(leading), *(leading + i for i, size in enumerate(shape) if size == 1))


def _centered(x: Array, mean: Array) -> Array:
    """Return x - mean. A float64 mean is subtracted from float32 in two parts, without its rounding."""
    high = mean.astype(x.dtype)
    return (x - high) - (mean - high).astype(x.dtype)


def _inverse(variance: Array, eps: float, x: Array) -> Array:
    return ((variance + eps) ** -0.5).astype(x.dtype)
