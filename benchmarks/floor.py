"""The floor of an epoch on the CPU: its five matrix products a step, and nothing else."""

from collections.abc import Callable

import numpy as np


def matrix_products(
    samples: int = 60_000, batch_size: int = 256, hidden: int = 100, seed: int = 0
) -> Callable[[], None]:
    """A function that computes the five products of every step of one epoch of the recipe.

    The operands have the shapes and memory layouts of the recipe, 784-hidden-10; the batches are
    consecutive views of one array, the outputs are allocated beforehand, float32.
    """
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    images, w1, w2 = normal(samples, 784), normal(hidden, 784), normal(10, hidden)
    h, dh, logits, g = (normal(batch_size, n) for n in (hidden, hidden, 10, 10))
    dw1, dw2 = np.empty_like(w1), np.empty_like(w2)
    out_h, out_logits, out_dh = np.empty_like(h), np.empty_like(logits), np.empty_like(dh)

    def epoch() -> None:
        for start in range(0, samples, batch_size):
            x = images[start : start + batch_size]
            n = len(x)
            np.matmul(x, w1.T, out=out_h[:n])  # forward, first layer
            np.matmul(h[:n], w2.T, out=out_logits[:n])  # forward, second layer
            np.matmul(g[:n].T, h[:n], out=dw2)  # gradient of the second weight
            np.matmul(g[:n], w2, out=out_dh[:n])  # gradient of the hidden layer
            np.matmul(dh[:n].T, x, out=dw1)  # gradient of the first weight

    return epoch
