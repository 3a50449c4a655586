"""The embedding layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from backends import Array
from scratchnet.functions import embedding
from scratchnet.functions.embedding import padding_row
from scratchnet.layers.arguments import floating, generator, parameter, size
from scratchnet.layers.initializers import Initializer, normal
from scratchnet.layers.module import Module
from scratchnet.variable import Variable


class Embedding(Module):
    """A table of vectors: the layer maps each integer, such as the number of a word, to its vector.

        layer = sn.Embedding(10_000, 128, rng=0)
        y = layer(words)  # words is (n, length), integers; y is (n, length, 128)

    Args:
        num_embeddings: the number of vectors; the indices go from 0 to num_embeddings - 1.
        embedding_dim: the size of a vector.
        padding_idx: the index of a vector that is 0 at first and gets no gradient, such as that of the
            padding of short sequences. A negative one counts from the end.
        weight_init: an initializer `(shape, rng) -> array` for the weight; see `sn.initializers`. By
            default the weight is drawn from a normal distribution with deviation 1, as in PyTorch.
        rng: a generator or a seed from which the layer draws the weight; None uses a random seed.
        dtype: the floating dtype of the weight.

    Attributes:
        weight: a Variable of shape (num_embeddings, embedding_dim).

    Raises:
        SettingError: a size is not a positive integer, there is no vector padding_idx, the dtype is not
            floating, or the initializer returns something other than a finite floating array.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        weight_init: Initializer | None = None,
        rng: np.random.Generator | int | None = None,
        dtype: Any = np.float32,
    ) -> None:
        self.num_embeddings = size("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = size("Embedding", "embedding_dim", embedding_dim)
        self.padding_idx = padding_row("Embedding", padding_idx, self.num_embeddings)
        rng, kind = generator("Embedding", rng), floating("Embedding", dtype)
        shape = (self.num_embeddings, self.embedding_dim)
        self.weight = parameter("Embedding: weight", weight_init or normal(1.0), shape, rng, kind)
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def extra_repr(self) -> str:
        """Return the sizes and the padding, as `print` shows them."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"

    def forward(self, indices: Variable | Array) -> Variable:
        """Map integers of any shape (...) to their vectors, (..., embedding_dim).

        Raises:
            IndexingError: an index is outside 0 … num_embeddings - 1, on NumPy. On a GPU its vector is
                NaN.
            OperandError: the indices are not an array of integers.
        """
        return embedding(indices, self.weight, self.padding_idx)
