"""An LSTM and a small Transformer that predict the next character."""

from __future__ import annotations

from typing import Any

import numpy as np

import scratchnet as sn
from backends import to_device, to_host

WIDTH, HIDDEN, HEADS, FEEDFORWARD = 64, 128, 4, 128
ACTIVATION = "gelu"
"""Not ReLU, whose slope jumps at 0. There rounding changes gradients, and Adam enlarges small ones. With
ReLU, two ways in which PyTorch itself computes attention in float32 give losses that differ by 1e-4 to
2e-4 after 100 steps. With GELU they differ by 5e-7."""
RATE = 1e-3


class LSTM(sn.Module):
    """A vector for each character, an LSTM, and logits of the next character.

    Args:
        characters: the number of different characters.
        rng: a seed for the weights.
        dtype: the dtype of the weights.
    """

    def __init__(self, characters: int, rng: int, dtype: str) -> None:
        drawn: dict[str, Any] = {"rng": np.random.default_rng(rng), "dtype": dtype}
        self.embedding = sn.Embedding(characters, WIDTH, **drawn)
        self.lstm = sn.LSTM(WIDTH, HIDDEN, **drawn)
        self.output = sn.Linear(HIDDEN, characters, **drawn)

    def forward(self, x: Any) -> Any:
        """Map characters (n, length), integers, to logits (n, length, characters)."""
        states, _ = self.lstm(self.embedding(x))
        return self.output(states)


class Transformer(sn.Module):
    """A vector for each character and its position, two layers that look back, and logits of the next.

    Args:
        characters: the number of different characters.
        rng: a seed for the weights.
        dtype: the dtype of the weights.
    """

    def __init__(self, characters: int, rng: int, dtype: str) -> None:
        drawn: dict[str, Any] = {"rng": np.random.default_rng(rng), "dtype": dtype}
        self.embedding = sn.Embedding(characters, WIDTH, **drawn)
        self.positions = sn.SinusoidalPositions(WIDTH)
        sizes = WIDTH, HEADS, FEEDFORWARD
        self.layer1, self.layer2 = (
            sn.TransformerEncoderLayer(*sizes, 0.0, activation=ACTIVATION, **drawn) for _ in range(2)
        )
        self.output = sn.Linear(WIDTH, characters, **drawn)

    def forward(self, x: Any) -> Any:
        """Map characters (n, length), integers, to logits (n, length, characters)."""
        x = self.positions(self.embedding(x))
        x = self.layer2(self.layer1(x, is_causal=True), is_causal=True)
        return self.output(x)


NETWORKS: dict[str, type[LSTM] | type[Transformer]] = {"lstm": LSTM, "transformer": Transformer}


class Training:
    """A network in training with Adam."""

    def __init__(self, net: sn.Module) -> None:
        self.net, self.optimizer = net, sn.Adam(net.parameters(), RATE)

    def step(self, x: np.ndarray, y: np.ndarray) -> float:
        """Do a step on characters (n, length) and the next ones, and return the loss before it."""
        self.optimizer.zero_grad()
        loss = sn.softmax_loss(self.net(to_device(x)), to_device(y))
        loss.backward()
        self.optimizer.step()
        return float(to_host(loss.data))

    def measure(self, x: np.ndarray, y: np.ndarray) -> float:
        """Return the loss on other characters."""
        with sn.no_grad():
            return float(to_host(sn.softmax_loss(self.net(to_device(x)), to_device(y)).data))
