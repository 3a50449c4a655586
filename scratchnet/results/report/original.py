"""The figures of the original's ten epochs: 784-100-10, batch 256, learning rate 0.1."""

from __future__ import annotations

from typing import NamedTuple


class OriginalEpoch(NamedTuple):
    """A line that the original has printed."""

    seconds: float
    valid_loss: float
    train_loss: float
    valid_accuracy: float
    train_accuracy: float


SECONDS = 4.3
"""The time of an epoch, as a round figure, on unknown hardware."""

SAMPLES, VALID_SAMPLES, LAYERS, BATCH_SIZE, LEARNING_RATE = 60_000, 10_000, "784-100-10", 256, 0.1

EPOCHS = (
    OriginalEpoch(5.052, 0.5210, 0.5223, 0.8193, 0.8170),
    OriginalEpoch(4.401, 0.4506, 0.4510, 0.8443, 0.8413),
    OriginalEpoch(4.308, 0.4212, 0.4174, 0.8530, 0.8526),
    OriginalEpoch(4.302, 0.4033, 0.3985, 0.8590, 0.8594),
    OriginalEpoch(4.239, 0.3876, 0.3803, 0.8642, 0.8661),
    OriginalEpoch(4.267, 0.3748, 0.3663, 0.8665, 0.8699),
    OriginalEpoch(4.251, 0.3682, 0.3557, 0.8669, 0.8740),
    OriginalEpoch(4.252, 0.3592, 0.3458, 0.8706, 0.8778),
    OriginalEpoch(4.273, 0.3546, 0.3392, 0.8714, 0.8787),
    OriginalEpoch(4.375, 0.3514, 0.3310, 0.8740, 0.8832),
)
"""Its validation set was another split of the 70,000 images than the official one."""
