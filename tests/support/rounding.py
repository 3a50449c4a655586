"""Bound the difference between a computed and the exact result, for any order of additions.

A sum of n products in a dtype of unit roundoff u lies within γ(n)·Σ|a||b| of the exact one, where γ(n) =
n·u / (1 - n·u). This holds for every order of the sum, with and without fused multiply-adds (Higham,
Accuracy and Stability of Numerical Algorithms, 2nd edition, section 3.1).
"""

import numpy as np


def sum_error(terms, sizes, dtype):
    """Bound the error of a sum of `terms` numbers or products, given the sum of their magnitudes."""
    u = np.finfo(dtype).eps / 2
    return terms * u / (1 - terms * u) * sizes


def assert_within(found, expected, bound):
    """Assert that each number lies within its bound of the one expected; NaN lies within none."""
    shapes = np.shape(found), np.shape(expected)
    assert shapes[0] == shapes[1] or shapes[1] == (), f"shapes {shapes}"
    assert np.all(np.isfinite(bound)), "a bound that is not finite proves nothing"
    apart = np.abs(np.subtract(found, expected, dtype=np.float64))
    excess = (apart / np.maximum(bound, np.finfo(np.float64).tiny)).max(initial=0)
    assert excess <= 1, f"the largest difference is {excess:.3g} times its bound"


class Rounded:
    """An array in float64, with a bound on the error that the same steps make in another dtype.

    The bound is carried along with the values: each operation passes on its operands' errors, and adds
    its own rounding. The float64 value is rounded too, so u is the sum of both unit roundoffs.
    """

    def __init__(self, value, dtype, error=0.0):
        self.value, self.dtype = np.asarray(value, np.float64), dtype
        self.error = np.broadcast_to(error, self.value.shape)

    @property
    def size(self):
        """The largest magnitude that the computed number may have."""
        return np.abs(self.value) + self.error

    @property
    def T(self):
        return Rounded(self.value.T, self.dtype, self.error.T)

    def _sum_error(self, terms, sizes):
        return sum_error(terms, sizes, self.dtype) + sum_error(terms, sizes, np.float64)

    def __add__(self, other):
        error = self.error + other.error
        value = self.value + other.value
        return Rounded(value, self.dtype, error + self._sum_error(1, np.abs(value) + error))

    def __sub__(self, other):
        return self + Rounded(-other.value, other.dtype, other.error)

    def __mul__(self, number):  # one rounding for the product, one for the number in the dtype
        error = abs(number) * (self.error + self._sum_error(2, self.size))
        return Rounded(number * self.value, self.dtype, error)

    def __matmul__(self, other):
        error = self.error @ other.size + np.abs(self.value) @ other.error
        error = error + self._sum_error(self.value.shape[-1], self.size @ other.size)
        return Rounded(self.value @ other.value, self.dtype, error)

    def sum_of_rows(self):
        error = self.error.sum(axis=0) + self._sum_error(len(self.value), self.size.sum(axis=0))
        return Rounded(self.value.sum(axis=0), self.dtype, error)

    def relu(self):
        return Rounded(np.maximum(self.value, 0), self.dtype, self.error)

    def where_positive(self, other):
        """Keep the numbers where `other` is positive; one whose sign is in doubt may count or not."""
        in_doubt = np.abs(other.value) <= other.error
        error = np.where(in_doubt, self.size, self.error * (other.value > 0))
        return Rounded(self.value * (other.value > 0), self.dtype, error)

    def softmax_loss(self, labels):
        """The mean cross-entropy at these logits, and its gradient (softmax - one-hot) / n.

        An error e of the logits changes a loss by at most 2e, and a probability by a factor of at most
        exp(2e). Each sum adds a rounding for each term, and ten are left for exp, log and division.
        """
        rows, classes = self.value.shape
        shifted = self.value - self.value.max(axis=1, keepdims=True)
        exponentials = np.exp(shifted)
        total = exponentials.sum(axis=1, keepdims=True)
        one_hot = np.arange(classes) == labels[:, None]
        error = (self.error + self._sum_error(1, np.abs(shifted))).max(axis=1, keepdims=True)

        sizes = np.log(total) + np.abs(shifted[one_hot])[:, None]
        losses = np.log(total) - shifted[one_hot][:, None]
        of_loss = (2 * error + self._sum_error(rows + classes + 10, sizes)).mean()

        others = (exponentials * ~one_hot).sum(axis=1, keepdims=True)
        gradient = np.where(one_hot, -others, exponentials) / total / rows
        sizes = np.exp(2 * error) * np.abs(gradient)
        of_gradient = np.expm1(2 * error) * np.abs(gradient) + self._sum_error(classes + 10, sizes)
        loss = Rounded(losses.mean(), self.dtype, of_loss)
        return loss, Rounded(gradient, self.dtype, of_gradient)


def two_layers(parameters, x):
    """The hidden layer before its ReLU, after it, and the logits of x → ReLU → logits."""
    w1, b1, w2, b2 = parameters
    hidden = x @ w1.T + b1
    active = hidden.relu()
    return hidden, active, active @ w2.T + b2


def train_two_layers(parameters, batches, rate, dtype):
    """Train x → ReLU → softmax loss by SGD, written out: the parameters, as Rounded."""
    w1, b1, w2, b2 = (Rounded(each, dtype) for each in parameters)
    for inputs, labels in batches:
        x = Rounded(inputs, dtype)
        h, a, z = two_layers((w1, b1, w2, b2), x)
        _, dz = z.softmax_loss(labels)
        dh = (dz @ w2).where_positive(h)
        w2, b2 = w2 - dz.T @ a * rate, b2 - dz.sum_of_rows() * rate
        w1, b1 = w1 - dh.T @ x * rate, b1 - dh.sum_of_rows() * rate
    return w1, b1, w2, b2
