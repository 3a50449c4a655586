"""The training pass as one launch, if the backend and the step allow it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from backends import Array, DeviceMemoryError, active
from scratchnet.core.share import part
from scratchnet.data.arrays import ResidentPass
from scratchnet.data.batches import Batch, Structure
from scratchnet.data.loader import DataLoader
from scratchnet.layers import Module
from scratchnet.optimizers import Optimizer
from scratchnet.training.capture.fused import TwoLayerNetwork, two_layers
from scratchnet.training.capture.replay import UNSTEADY, Replay, Whole
from scratchnet.training.objective import LossFunction
from scratchnet.training.running import agreed
from scratchnet.variable import Variable

_MOST_BATCHES = 20_000
"""In one launch. A batch is a dozen nodes of a CUDA graph, and recording takes an epoch's time."""


class LaunchedPass:
    """A training pass that is repeated on data at fixed addresses on the device.

    Args:
        capture: see `Learner`.

    Attributes:
        replay: runs the pass, step by step or as one launch.
    """

    def __init__(self, capture: bool | str) -> None:
        self.replay: Replay[list[Array] | Array] = Replay("the training pass", capture)
        self.resident: ResidentPass | None = None
        self._resident_of: Iterable[Batch] | None = None
        self._network: TwoLayerNetwork | None = None

    def prepare(self, train: Iterable[Batch]) -> ResidentPass | None:
        """Return passes of this loader that can be captured; None if not wanted or not possible."""
        if not self.replay.wanted:
            self.resident = None  # and free its copy of the data
        elif self.resident is None or self._resident_of is not train:
            self.resident, self._resident_of = self._new_resident(train), train
        return self.resident

    def look(self, loss: Variable, x: Structure, y: Structure) -> None:
        """Look at the graph of a step before `backward` frees it, to recognize the network."""
        if self.replay.wanted:
            self.replay.see(loss)
            self._network = two_layers(loss, x, y)

    def __call__(
        self,
        resident: ResidentPass,
        steps: Callable[[Iterable[Batch]], list[Array]],
        net: Module,
        optimizer: Optimizer,
        loss: LossFunction,
    ) -> list[Array] | Array:
        """Run the pass over the resident's batches, by `steps` or as one launch. Return the losses."""
        things = {"net": net, "optimizer": optimizer, "loss": loss, "train": resident}
        whole = partial(self._whole, resident, optimizer)
        optimizer.look_ahead(2 * resident.num_batches)  # to record them, Python runs the steps again
        try:
            return self.replay(partial(steps, resident), whole, things)
        finally:
            optimizer.forget_ahead()

    def _new_resident(self, train: Iterable[Batch]) -> ResidentPass | None:
        if not isinstance(train, DataLoader) or not train.lies_still:
            self.replay.refuse(UNSTEADY)
        elif len(train) > _MOST_BATCHES:
            self.replay.refuse(f"{len(train)} batches are too many; at most {_MOST_BATCHES}")
        else:
            resident, fault = None, ""
            try:
                with active().explained():
                    resident = train.resident()
            except DeviceMemoryError as error:
                fault = str(error)
            if not (fault := agreed(fault)):
                return resident
            self.replay.refuse(fault)
        return None

    def _whole(self, data: ResidentPass, optimizer: Optimizer) -> Whole | None:
        """Return the pass by fused kernels, if the first step's graph was that of two layers."""
        network, rate = self._network, optimizer.plain_rate
        if part.get() is not None:
            return None
        if network is None or rate is None or not data.loader.plain:
            return None
        if {id(each) for each in network.parameters} != {id(each) for each in optimizer.parameters}:
            return None
        inputs, labels, *_ = data.parts
        if not active().fuses(inputs, labels, network.arrays):
            return None
        size = data.loader.batch_size
        return Whole(
            lambda arrays: active().two_layer_epoch(inputs, labels, size, arrays, rate),
            network.arrays,
        )
