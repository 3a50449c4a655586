"""The text that the LSTM and the Transformer learn, and the losses of two models that only count.

text.txt holds the pages of docs/explanation and docs/how-to as they once were. It is stored, because
otherwise each change of a page would change the curves. `python -m benchmarks.learning.text` makes it
again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

FILE = Path(__file__).with_name("text.txt")
BATCH, LENGTH = 32, 64
"""Sequences in a batch, and characters in a sequence."""
_HELD_OUT = 10  # the last tenth of the text is for validation
_DOCS = Path(__file__).parents[2] / "docs"


class Text(NamedTuple):
    """The characters of the text, sorted, and the two parts of it as numbers of these characters."""

    characters: str
    train: np.ndarray
    valid: np.ndarray


def load() -> Text:
    """Read the stored text."""
    characters, codes = np.unique(np.array([*FILE.read_text("ascii")]), return_inverse=True)
    end = len(codes) - len(codes) // _HELD_OUT
    return Text("".join(characters), codes[:end], codes[end:])


def batches(
    codes: np.ndarray, seed: int, sequences: int = BATCH
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield inputs and targets without end, each (sequences, 64), that begin at random places."""
    windows = np.lib.stride_tricks.sliding_window_view(codes, LENGTH + 1)
    rng = np.random.default_rng(seed)
    while True:
        chosen = windows[rng.integers(0, len(windows), sequences)]
        yield chosen[:, :-1], chosen[:, 1:]


def in_order(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all inputs and targets as sequences one after another, without the incomplete last one."""
    ends = (len(codes) - 1) // LENGTH * LENGTH
    return codes[:ends].reshape(-1, LENGTH), codes[1 : ends + 1].reshape(-1, LENGTH)


def by_counting(text: Text) -> dict[str, float]:
    """Return the validation losses, in nats, of two models that count characters of the training text.

    The first counts how often each character occurs. The second counts how often each pair of
    neighbours occurs. One is added to each count, so that no probability is 0.
    """
    size, (x, y) = len(text.characters), in_order(text.valid)
    pairs = np.ones((size, size))
    np.add.at(pairs, (text.train[:-1], text.train[1:]), 1)
    single = 1 + np.bincount(text.train, minlength=size)
    of_single = np.log(single / single.sum())[y]
    of_pairs = np.log(pairs / pairs.sum(1, keepdims=True))[x, y]
    return {"characters": float(-of_single.mean()), "pairs": float(-of_pairs.mean())}


def _make() -> None:
    """Join the pages that explain and show. A line with characters outside ASCII is left out."""
    pages = [
        page for folder in ("explanation", "how-to") for page in sorted((_DOCS / folder).glob("*.md"))
    ]
    lines = [line for page in pages for line in page.read_text().splitlines() if line.isascii()]
    FILE.write_text("\n".join(lines) + "\n", "ascii")


if __name__ == "__main__":
    _make()
