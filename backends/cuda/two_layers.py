"""The launches of `kernels/two_layers.cu`: two for a training step, two for an evaluation."""

from __future__ import annotations

import numpy as np

from backends.backend import TwoLayers
from backends.cuda.compiled import LABEL, Kernels
from backends.plain.library import Array
from backends.setting import Setting

ROWS = 16
"""The rows of a batch that one cluster computes."""
MOST_CLASSES = 32
_THREADS = (256,)


def shared_bytes(inputs: int, hidden: int, classes: int, cluster: int) -> int:
    """Return the bytes of dynamic shared memory per block of `forward_backward` or `evaluate`."""
    part = _round_up(-(-inputs // cluster), 4)
    chunk = min(part, 112)
    pitch = chunk if chunk // 4 % 2 else chunk + 4
    own = ROWS // cluster
    staged = (128 + ROWS) * pitch
    return 4 * (staged + (ROWS + own + classes + 1) * hidden + classes + own * 32)


class TwoLayerKernels:
    """The kernels for one network. Its sizes are compiled into them.

    The source computes the same sizes again, and does not compile if they differ from those computed
    here.
    """

    def __init__(
        self, kernels: Kernels, cluster: int, inputs: int, hidden: int, classes: int, label: str
    ) -> None:
        """Take the sizes, the number of blocks per cluster, and the `dtype.char` of the labels."""
        self.xp, self.cluster = kernels.xp, cluster
        self.hidden_pitch, self.class_pitch = _round_up(hidden, 20), _round_up(classes, 20)
        self.update_blocks = _tiles(hidden, inputs) + _tiles(classes, hidden) + 1
        self.shared = shared_bytes(inputs, hidden, classes, cluster)
        defines = (
            f"INPUTS={inputs}", f"HIDDEN={hidden}", f"CLASSES={classes}", f"CLUSTER={cluster}",
            f"LABEL={LABEL[label]}", f"SHARED={self.shared // 4}",
            f"SCRATCH={2 * self.hidden_pitch + self.class_pitch}",
            f"UPDATE_BLOCKS={self.update_blocks}",
        )  # fmt: skip
        self.forward_backward, self.evaluate = (
            kernels.function("forward_backward", name, *defines)
            for name in ("forward_backward", "evaluate")
        )
        self.update, self.batch_means = (
            kernels.function("update", name, *defines) for name in ("update", "batch_means")
        )
        for kernel in (self.forward_backward, self.evaluate):
            kernel.max_dynamic_shared_size_bytes = self.shared
            kernel.preferred_shared_memory_carveout = 100  # percent; they need no first-level cache

    def epoch(
        self, x: Array, labels: Array, batch_size: int, parameters: TwoLayers, learning_rate: Setting
    ) -> Array:
        """Compute `Backend.two_layer_epoch`."""
        w1, b1, w2, b2 = parameters
        xp, most = self.xp, min(batch_size, len(x))
        losses = xp.empty(-(-len(x) // batch_size), np.float32)
        # Zeros, because `update` reads whole tiles, including the padding at the end of each row.
        hidden, hidden_gradient = xp.zeros((2, most, self.hidden_pitch), np.float32)
        logits_gradient = xp.zeros((most, self.class_pitch), np.float32)
        row_losses = xp.empty(most, np.float32)
        rate = learning_rate.on_device(xp)
        for step, start in enumerate(range(0, len(x), batch_size)):
            batch, y = x[start : start + batch_size], labels[start : start + batch_size]
            rows = np.int32(len(batch))
            self.forward_backward(
                self._clusters(len(batch)), _THREADS,
                (batch, y, rows, w1, b1, w2, b2, hidden, hidden_gradient, logits_gradient, row_losses),
                shared_mem=self.shared,
            )  # fmt: skip
            self.update(
                (self.update_blocks,), _THREADS,
                (batch, rows, hidden, hidden_gradient, logits_gradient, row_losses, w1, b1, w2, b2,
                 rate, losses[step:]),
            )  # fmt: skip
        return losses

    def evaluation(self, x: Array, labels: Array, batch_size: int, parameters: TwoLayers) -> Array:
        """Compute `Backend.two_layer_evaluation`."""
        rows = np.int32(len(x))
        row_losses, row_hits = self.xp.empty((2, len(x)), np.float32)
        self.evaluate(
            self._clusters(len(x)), _THREADS, (x, labels, rows, *parameters, row_losses, row_hits),
            shared_mem=self.shared,
        )  # fmt: skip
        found = self.xp.empty((2, -(-len(x) // batch_size)), np.float32)
        self.batch_means(
            (found.shape[1],), _THREADS,
            (row_losses, row_hits, rows, np.int32(batch_size), found[0], found[1]),
        )  # fmt: skip
        return found

    def _clusters(self, rows: int) -> tuple[int]:
        """Return the grid of `forward_backward` and `evaluate`."""
        return (-(-rows // ROWS) * self.cluster,)


def _round_up(number: int, to: int) -> int:
    return -(-number // to) * to


def _tiles(units: int, inputs: int) -> int:
    """Return the number of tiles of a layer: 20 units × 32 inputs; the last input is the bias's."""
    return -(-units // 20) * -(-(inputs + 1) // 32)
