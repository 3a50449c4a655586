"""The floor of a training step on the CPU: its five matrix products alone."""

from collections.abc import Callable

import numpy as np


def matrix_products(
    batch_size: int = 256, hidden: int = 100, seed: int = 0
) -> Callable[[np.ndarray], None]:
    """Return a function that computes the five products of one step of the recipe, 784-hidden-10.

    It takes the batch, (n, 784) float32 with n up to batch_size, so that both sides of a comparison read
    the same images. The other operands are random, with the recipe's shapes and memory layouts. The
    outputs are allocated beforehand.
    """
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    w1, w2 = normal(hidden, 784), normal(10, hidden)
    h, dh, g = (normal(batch_size, n) for n in (hidden, hidden, 10))
    out_h, out_dh, out_logits = np.empty_like(h), np.empty_like(dh), np.empty_like(g)
    dw1, dw2 = np.empty_like(w1), np.empty_like(w2)

    def step(x: np.ndarray) -> None:
        n = len(x)
        np.matmul(x, w1.T, out=out_h[:n])  # forward, first layer
        np.matmul(h[:n], w2.T, out=out_logits[:n])  # forward, second layer
        np.matmul(g[:n].T, h[:n], out=dw2)  # gradient of the second weight
        np.matmul(g[:n], w2, out=out_dh[:n])  # gradient of the hidden layer
        np.matmul(dh[:n].T, x, out=dw1)  # gradient of the first weight

    return step
