"""The LSTM and the Transformer learn the characters of a text, beside PyTorch from the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np

from benchmarks.learning import networks, pytorch
from benchmarks.learning.text import BATCH, FILE, LENGTH, Text, batches, by_counting, in_order, load

SEED = 231
STEPS, EVERY, FIRST = 2_000, 50, 100
"""Steps of a run, steps between two entries of its curve, and steps that are compared with PyTorch's."""
GOALS = {"float64": 1e-8, "float32": 1e-4}
"""The largest difference to PyTorch's loss in the first steps."""

Trainings: TypeAlias = dict[str, networks.Training | pytorch.Training]


def trainings(kind: str, text: Text, dtype: str, torch: Any = None) -> Trainings:
    """Return our network in training, and PyTorch's from the same weights if the module is given."""
    net = networks.NETWORKS[kind](len(text.characters), SEED, dtype)
    found: Trainings = {"scratchnet": networks.Training(net)}
    if torch:
        found["pytorch"] = pytorch.Training(torch, kind, net.state_dict())
    return found


def first_losses(
    training: networks.Training | pytorch.Training, text: Text, steps: int, sequences: int = BATCH
) -> np.ndarray:
    """Train, and return the loss of each step."""
    first = islice(batches(text.train, SEED, sequences), steps)
    return np.array([training.step(*each) for each in first])


def learn(kind: str, quick: bool = False) -> Iterator[dict[str, Any]]:
    """Train in float32, and yield the record so far every 50 steps.

    Its training losses are means over these 50 steps. If PyTorch is installed, the record has its curve
    too, and the largest difference of the losses in the first 100 steps, in float64 and in float32.
    A quick run has four steps, and records every two.
    """
    steps, every, first = (4, 2, 2) if quick else (STEPS, EVERY, FIRST)
    torch = import_module("torch") if find_spec("torch") else None
    text = load()
    both = trainings(kind, text, "float32", torch)
    state = both["scratchnet"].net.state_dict()
    record: dict[str, Any] = {
        "data": "this project's docs", "text": FILE.name, "characters": len(text.characters),
        "training": len(text.train), "validation": len(text.valid), "sequences": BATCH, "length": LENGTH,
        "weights": sum(each.size for each in state.values()), "optimizer": "Adam",
        "learning_rate": networks.RATE, "seed": SEED, "steps": steps, "by_counting": by_counting(text),
    }  # fmt: skip
    differences = {}
    if torch:
        record["pytorch"] = {"version": torch.__version__, "first_steps": first, "goals": GOALS}
        wide = trainings(kind, text, "float64", torch).values()
        differences["float64"] = _largest([first_losses(each, text, first) for each in wide])
        print(f"float64, {first} steps: within {differences['float64']:.1e} of PyTorch", flush=True)
    losses: dict[str, list[float]] = {name: [] for name in both}
    curve: dict[str, dict[str, list[float]]] = {
        name: {"train_loss": [], "valid_loss": []} for name in both
    }
    at, seconds = [], 0.0
    for done, batch in enumerate(islice(batches(text.train, SEED), steps), 1):
        start = perf_counter()
        losses["scratchnet"].append(both["scratchnet"].step(*batch))
        seconds += perf_counter() - start
        if torch:
            losses["pytorch"].append(both["pytorch"].step(*batch))
        if done % every:
            continue
        at.append(done)
        for name, training in both.items():
            curve[name]["train_loss"].append(float(np.mean(losses[name][-every:])))
            curve[name]["valid_loss"].append(training.measure(*in_order(text.valid)))
        told = (f"{n} {c['train_loss'][-1]:.4f} / {c['valid_loss'][-1]:.4f}" for n, c in curve.items())
        print(f"step {done}, loss in training / validation:", ", ".join(told), flush=True)
        if torch and done >= first:
            differences["float32"] = _largest([each[:first] for each in losses.values()])
            record["pytorch"]["largest_difference"] = differences
        yield record | {
            "curve": {"step": at, **curve}, "seconds": seconds, "complete": done == steps,
        }  # fmt: skip


def _largest(losses: list[Any]) -> float:
    ours, theirs = losses
    return float(np.abs(np.subtract(ours, theirs)).max())
