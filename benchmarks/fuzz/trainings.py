"""A checkpoint, and changes to it that an attacker could make, with the digest corrected afterwards."""

from __future__ import annotations

import copy
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import scratchnet as sn
from scratchnet.training.checkpoint import read

_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2, 3.5, 1e300, float("nan"), float("inf"), 1 << 70, "", "1", "é\n\x1b", [],
    [1], {}, {"a": {}},
)  # fmt: skip


class Noisy(sn.Module):
    """A network with its own random generator."""

    def __init__(self) -> None:
        """Two layers."""
        self.layers = sn.Linear(4, 3, 1, activation=sn.relu) >> sn.Linear(3, 3, 2)
        self.rng = np.random.default_rng(3)

    def forward(self, x: sn.Variable) -> sn.Variable:
        """Logits (n, 3)."""
        logits: sn.Variable = (x * np.float32(self.rng.random())) >> self.layers
        return logits


def learner() -> sn.Learner:
    """A small training run with newly drawn values."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 4)).astype(np.float32), rng.integers(0, 3, 12)
    loader = sn.ArrayDataLoader(x, y, 4)
    net = Noisy()
    metrics = sn.MetricsCollector(loader, loader, sn.softmax_loss)
    return sn.Learner(loader, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, metrics)


@cache
def content() -> bytes:
    """The checkpoint of two epochs."""
    training = learner()
    training.fit(2, None)
    training.history["duration"] = [0.5, 0.25]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "training")
        training.save(path)
        return path.read_bytes()


def lie(rng: np.random.Generator, whole: bytes) -> tuple[str, bytes]:
    """Put another value, name or array somewhere into it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "training")
        path.write_bytes(whole)
        arrays, metadata = read(path)
        how = str(rng.choice(["value", "without", "more", "array", "arrays", "metadata", "text"]))
        if how in ("value", "without", "more"):
            facts = json.loads(metadata["training"])
            how += " of " + _change(rng, facts, how)
            metadata["training"] = json.dumps(facts)
        elif how == "array":
            name = str(rng.choice(sorted(arrays)))
            how, arrays[name] = f"array {name}", _other(rng, arrays[name])
        elif how == "arrays":
            name = str(rng.choice(sorted(arrays)))
            names = ("", ".", "net", name + ".", "net.more", "none.at.all", "progress.epochs")
            arrays[str(rng.choice(names))] = arrays.pop(name) if rng.random() < 0.5 else arrays[name]
        elif how == "metadata":
            name = str(rng.choice(sorted(metadata)))
            metadata[name] = str(rng.choice(["", "2", "x", "{}", "[]", "null", "[" * 100_000]))
        else:
            start, end = sorted(rng.integers(0, len(metadata["training"]) + 1, 2).tolist())
            metadata["training"] = metadata["training"][:start] + metadata["training"][end:]
        sn.save(path, arrays, metadata, overwrite=True)
        return how, path.read_bytes()


def _change(rng: np.random.Generator, facts: dict[str, Any], how: str) -> str:
    """Change something at some depth, and return where."""
    inside: Any = facts
    path = []
    while True:
        path.append(str(rng.choice(sorted(inside))))
        below = inside[path[-1]]
        if not isinstance(below, dict) or not below or rng.random() < 0.15:
            break
        inside = below
    if how == "without":
        del inside[path[-1]]
    else:
        value = copy.deepcopy(_VALUES[int(rng.integers(len(_VALUES)))])
        inside[path[-1] if how == "value" else "more"] = value
    return ".".join(path)


def _other(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    forms = (
        array.astype(np.float64), array.astype(np.int64), array > 0, array[..., None], array[:0],
        array.reshape(-1), np.full_like(array, np.nan), np.concatenate([array, array]),
        np.zeros((), array.dtype),
    )  # fmt: skip
    return forms[int(rng.integers(len(forms)))]
