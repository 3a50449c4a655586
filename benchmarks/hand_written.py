"""The training step written by hand in NumPy, without a library: a yardstick."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

Step: TypeAlias = Callable[[np.ndarray, np.ndarray], None]
Predict: TypeAlias = Callable[[np.ndarray], np.ndarray]


def training_step(hidden: int = 100, seed: int = 0) -> tuple[Step, Predict]:
    """Return functions that train 784-hidden-10 on a batch, (n, 784) and (n,), and that predict."""
    rng = np.random.default_rng(seed)
    w1 = rng.standard_normal((hidden, 784), dtype=np.float32) * np.float32((2 / (784 + hidden)) ** 0.5)
    w2 = rng.standard_normal((10, hidden), dtype=np.float32) * np.float32((2 / (hidden + 10)) ** 0.5)
    b1, b2 = np.zeros((1, hidden), np.float32), np.zeros((1, 10), np.float32)

    def step(x: np.ndarray, y: np.ndarray) -> None:
        n = len(x)
        h = x @ w1.T
        h += b1
        a = np.maximum(h, 0)
        z = a @ w2.T
        z += b2
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z, out=z)
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(n), y] -= 1
        p /= n
        dw2, db2 = p.T @ a, p.sum(axis=0, keepdims=True)
        dh = p @ w2
        dh *= h > 0
        dw1, db1 = dh.T @ x, dh.sum(axis=0, keepdims=True)
        for parameter, gradient in ((w1, dw1), (b1, db1), (w2, dw2), (b2, db2)):
            parameter -= 0.1 * gradient

    def predict(x: np.ndarray) -> np.ndarray:
        classes: np.ndarray = (np.maximum(x @ w1.T + b1, 0) @ w2.T + b2).argmax(axis=1)
        return classes

    return step, predict
