"""The same two networks in PyTorch, as its users write them, with the weights of ours."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.learning.networks import ACTIVATION, FEEDFORWARD, HEADS, HIDDEN, RATE, WIDTH


def _lstm(torch: Any, characters: int) -> dict[str, Any]:
    nn = torch.nn
    return {
        "embedding": nn.Embedding(characters, WIDTH),
        "lstm": nn.LSTM(WIDTH, HIDDEN, batch_first=True),
        "output": nn.Linear(HIDDEN, characters),
    }


def _transformer(torch: Any, characters: int) -> dict[str, Any]:
    nn = torch.nn
    sizes = WIDTH, HEADS, FEEDFORWARD
    layer1, layer2 = (
        nn.TransformerEncoderLayer(*sizes, 0.0, activation=ACTIVATION, batch_first=True)
        for _ in range(2)
    )
    return {
        "embedding": nn.Embedding(characters, WIDTH), "layer1": layer1, "layer2": layer2,
        "output": nn.Linear(WIDTH, characters),
    }  # fmt: skip


def _positions(length: int) -> np.ndarray:
    """Source: Vaswani et al., Attention Is All You Need, 2017, section 3.5."""
    angles = np.arange(length)[:, None] / 10_000 ** (np.arange(0, WIDTH, 2) / WIDTH)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, WIDTH)


class Training:
    """A network in training with Adam.

    Args:
        torch: the module.
        kind: "lstm" or "transformer".
        state: our network's `state_dict`, whose names and shapes must be PyTorch's.
    """

    def __init__(self, torch: Any, kind: str, state: dict[str, np.ndarray]) -> None:
        weights = {name: torch.tensor(each) for name, each in state.items()}
        self.dtype = weights["embedding.weight"].dtype
        build = {"lstm": _lstm, "transformer": _transformer}[kind]
        self.net = torch.nn.ModuleDict(build(torch, len(weights["embedding.weight"]))).to(self.dtype)
        self.net.load_state_dict(weights)
        self.optimizer = torch.optim.Adam(self.net.parameters(), RATE)
        self.torch, self.kind = torch, kind

    def step(self, x: np.ndarray, y: np.ndarray) -> float:
        """Do a step on characters (n, length) and the next ones, and return the loss before it."""
        self.optimizer.zero_grad()
        loss = self._loss(x, y)
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    def measure(self, x: np.ndarray, y: np.ndarray) -> float:
        """Return the loss on other characters."""
        with self.torch.no_grad():
            return float(self._loss(x, y).item())

    def _loss(self, x: np.ndarray, y: np.ndarray) -> Any:
        nn, net = self.torch.nn, self.net
        found = net["embedding"](self.torch.tensor(x))
        if self.kind == "lstm":
            found, _ = net["lstm"](found)
        else:
            length = x.shape[1]
            mask = nn.Transformer.generate_square_subsequent_mask(length, dtype=self.dtype)
            found = found + self.torch.tensor(_positions(length), dtype=self.dtype)
            for layer in (net["layer1"], net["layer2"]):
                found = layer(found, mask, is_causal=True)
        logits = net["output"](found)
        return nn.functional.cross_entropy(logits.flatten(0, 1), self.torch.tensor(y).flatten())
