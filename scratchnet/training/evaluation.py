"""Measure the loss and accuracy of every batch of a data set, batch by batch or as one launch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from backends import Array, active, xp
from scratchnet.core.function import array_of
from scratchnet.core.modes import no_grad
from scratchnet.data import ArrayDataLoader, DataLoader
from scratchnet.errors import DataError
from scratchnet.layers import Module
from scratchnet.training.capture.fused import TwoLayerNetwork, two_layers
from scratchnet.training.capture.replay import Replay, Whole
from scratchnet.variable import Variable

LossFunction: TypeAlias = Callable[[Variable, Any], Variable]


class Evaluation:
    """Measures a network on one data set, in the loader's own order.

    Args:
        loader: the loader of the data set.
        loss: a loss function that is a mean over the batch.
        capture: see `Learner`.

    Attributes:
        weights: the share of each batch in the data set; they sum to 1. Set by the first measurement.
    """

    def __init__(self, loader: DataLoader, loss: LossFunction, capture: bool | str) -> None:
        self.loader, self.loss = loader, loss
        self.replay: Replay[Array] = Replay(f"the evaluation of the {loader.mode} set", capture)
        self.weights = np.zeros(0)
        self._network: TwoLayerNetwork | None = None

    def measure(self, net: Module) -> Array:
        """Return the loss and the accuracy of each batch, (2, batches), on the device.

        Raises:
            DataError: the loader gives no batches, or not `num_batches` of them.
        """
        loader = self.loader
        if self.replay.wanted and not loader.lies_still:
            self.replay.refuse("its loader may hand out new arrays; take an ArrayDataLoader as it is")
        things = {"net": net, "loss": self.loss, "loader": loader}
        return self.replay(partial(self._steps, net), self._whole, things)

    def _steps(self, net: Module) -> Array:
        found, expected = None, self.loader.num_batches
        sizes: list[int] = []
        for x, y in self.loader.in_order():
            # Only a recorded graph shows what the network computes.
            looking = found is None and self.replay.wanted
            with nullcontext() if looking else no_grad():
                output = net(x)
                loss = self.loss(output, y)
            if looking:
                self.replay.see(loss)
                self._network = two_layers(loss, x, y)
            if found is None:
                found = xp.empty((2, expected), output.dtype)
            if len(sizes) < expected:
                hits = output.data.argmax(axis=1) == array_of(y).reshape(-1)
                found[0, len(sizes)] = loss.data
                found[1, len(sizes)] = hits.mean(dtype=output.dtype)
            sizes.append(len(x))
        if found is None or len(sizes) != expected:
            raise DataError(
                f"the {self.loader.mode} loader gave {len(sizes)} batches to evaluate, and its "
                f"num_batches is {expected}"
            )
        self.weights = np.array(sizes) / sum(sizes)
        return found

    def _whole(self) -> Whole | None:
        data, network = self.loader, self._network
        if network is None or not isinstance(data, ArrayDataLoader):
            return None
        if not active().fuses(data.inputs, data.labels, network.arrays):
            return None
        inputs, labels, size = data.inputs, data.labels, data.batch_size
        return Whole(
            lambda arrays: active().two_layer_evaluation(inputs, labels, size, arrays), network.arrays
        )
