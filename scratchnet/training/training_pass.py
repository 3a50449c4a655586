"""One pass over the training data: forward, loss, backward and update for every minibatch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from backends import (
    Array,
    DeviceMemoryError,
    LabelError,
    active,
    synchronize,
    to_host,
    xp,
)
from scratchnet import optimizers
from scratchnet.core.sweep import functions_behind
from scratchnet.data.batches import Batch, Structure, as_batch, outputs_of, size_of
from scratchnet.data.loader import DataLoader
from scratchnet.errors import (
    DataError,
    NonFiniteLossError,
    SettingError,
    UntrainedWarning,
    warn_the_user,
)
from scratchnet.layers import Module
from scratchnet.layers.arguments import positive, size
from scratchnet.optimizers import Optimizer
from scratchnet.training.callbacks.together import Callbacks
from scratchnet.training.capture.launched import LaunchedPass
from scratchnet.training.capture.replay import Replay
from scratchnet.training.objective import (
    LossFunction,
    check_count,
    check_labels,
    counted,
    loss_of,
    may_count_nothing,
    name_of_loss,
    on_device,
    summed_loss,
)
from scratchnet.training.outside import collector_paused
from scratchnet.variable import Variable

if TYPE_CHECKING:
    from scratchnet.training.parallel.team import Team


class TrainingPass:
    """Trains a network for one epoch, or for the rest of one.

    Args:
        train: the training loader.
        net: the network.
        optimizer: the optimizer of the network's parameters.
        loss: a function of the network's output and the labels.
        capture, clip_grad_norm, clip_grad_value, accumulate: see `Learner`.

    Attributes:
        epochs: the number of epochs trained so far.
        batches_done, seconds: the finished batches of an epoch that `stop` ended early, and their time;
            otherwise 0.
        callbacks: the callbacks of `fit`, which are called for batches too.
        losses: the losses of the finished batches of the running pass, 0-d arrays. Empty if the pass is
            one launch.

    Raises:
        SettingError: the optimizer does not have a parameter of the network that needs a gradient.
    """

    def __init__(
        self,
        train: DataLoader,
        net: Module,
        optimizer: Optimizer,
        loss: LossFunction,
        capture: bool | str,
        clip_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
        accumulate: int = 1,
    ) -> None:
        self.train, self.net, self.optimizer, self.loss = train, net, optimizer, loss
        self.clip_grad_norm, self.clip_grad_value = clip_grad_norm, clip_grad_value
        self.accumulate = size("Learner", "accumulate", accumulate)
        if self.accumulate > 1 and not callable(loss) and may_count_nothing(loss):
            raise SettingError(
                f"Learner: accumulate is {accumulate}, and of several losses ({name_of_loss(loss)}) one "
                "has ignore_index or class weights: each divides by another number, so that batches do "
                "not add up to a large one; give accumulate=1 and a larger batch"
            )
        self._check_parameters()
        for name, limit in (("clip_grad_norm", clip_grad_norm), ("clip_grad_value", clip_grad_value)):
            if limit is not None:
                positive("Learner", name, limit)
        self._prepare()
        self._launched = LaunchedPass(capture)
        self.callbacks = Callbacks()
        self.epochs = self.batches_done = 0
        self.seconds = 0.0
        self.losses: list[Array] = []
        self._stopping = self._broken_off = self._looked = False
        self._team: Team | None = None

    @property
    def replay(self) -> Replay[list[Array] | Array]:
        """How the training pass runs: `replay.how` says it in words."""
        return self._launched.replay

    def stop(self) -> None:
        """Let `fit` return after the current batch or launch. Call it from a signal handler or thread.

        You can save the unfinished epoch, and the next `fit` goes on with it. If no `fit` is running,
        the next one returns at once.
        """
        self._stopping = True

    def _epoch(self) -> bool:
        """Run one training pass, or the rest of one. Return whether it was finished.

        No step waits for the device.

        Raises:
            DataError: the loader gave more or fewer batches than its length says.
        """
        self.net.train()
        self._broken_off = False
        if (name := self.callbacks.needing_batches) and self.replay.wanted:
            self.replay.refuse(f"{name} needs every batch")
        with nullcontext() if self._team is None else self._team.dividing():
            losses = self._run()
        self._check(losses)
        if not self.losses:
            self.callbacks.warn_of_a_launch()
        self.batches_done += len(losses)
        self.losses = []
        for each in self.replay.launched_on:
            each.grad = None
            each.edge.version[0] += 1
        if not self._broken_off and self.batches_done != len(self.train):
            raise DataError(
                f"epoch {self.epochs}: the training loader gave {self.batches_done} batches, and its "
                f"len is {len(self.train)}; __len__ must return the number of batches of a pass"
            )
        return not self._broken_off

    def _run(self) -> list[Array] | Array:
        """Run the training pass, or the rest of one. Return the losses of its batches."""
        resident = None if self.batches_done else self._launched.prepare(self.train)
        pending: Iterator[Batch] = iter(())
        if resident:
            resident.draw()
        else:
            pending = self.train.rest(self.batches_done) if self.batches_done else iter(self.train)
        synchronize()
        start = perf_counter()
        losses: list[Array] | Array
        if resident:
            resident.gather()
            losses = self._launched(resident, self.train_on, self.net, self.optimizer, self.loss)
        else:
            losses = self.train_on(self._until_stopped(pending))
        synchronize()
        self.seconds += perf_counter() - start
        return losses

    def train_on(self, batches: Iterable[Batch]) -> list[Array]:
        """Train on each batch: forward, loss, backward, update. Return the losses, 0-d arrays.

        With `accumulate`, several batches have one update, which is that of one batch of all their
        samples.
        """
        losses: list[Array] = []
        self.losses = losses
        if self._prepared[0] is not self.loss:
            self._prepare()
        before = active().memory_in_use()
        inputs: Any = None
        pending: list[Any] = []  # what each batch since the last update counts
        team = self._team
        batches = batches if team is None else team.group.reading(batches)
        callbacks, recording = self.callbacks, self.replay.recording
        try:
            with active().explained(), collector_paused():
                for given in map(as_batch, batches):
                    inputs = given[0]
                    if callbacks.at_batch_begin and not recording:
                        callbacks.on_batch_begin(self.batches_done + len(losses))
                    if not pending:
                        self.optimizer.zero_grad()
                    last = len(pending) + 1 == self.accumulate
                    loss, count = self._step(given, not losses, last)
                    losses.append(loss)
                    if count is not None:
                        pending.append(count)
                    if len(pending) in (0, self.accumulate):
                        self._update(pending)
                    if callbacks.at_batch_end and not recording:
                        number = float(to_host(losses[-1]))
                        self.replay.copies_between += 1
                        callbacks.on_batch_end(self.batches_done + len(losses) - 1, number)
                if pending:
                    self._update(pending)
        except DeviceMemoryError as error:
            if inputs is None:
                raise
            raise _with_a_batch_that_fits(error, before, size_of(inputs)) from error
        except LabelError as error:
            batch = self.batches_done + len(losses)
            raise LabelError(f"epoch {self.epochs}, batch {batch}: {error}") from error
        return losses

    def _prepare(self) -> None:
        """Make the loss ready for batches on the device. Find out whether a batch may count nothing."""
        function = on_device(self.loss)
        self._prepared = self.loss, function, may_count_nothing(function)

    def _step(self, batch: Batch, first: bool, last: bool) -> tuple[Array, Any]:
        """Run forward and backward for one batch.

        Args:
            batch: (inputs, targets, weights).
            first: whether it is the first one of the pass.
            last: whether an update follows.

        Returns:
            Its mean loss, 0-d, and what it counts. That is None if its gradients need no division.
        """
        inputs, targets, *weights = batch
        _, loss_function, some_may_not_count = self._prepared
        some_may_not_count = some_may_not_count and not weights
        if self._team is not None:
            step = partial(self._on_share, loss_function, first)
            mean, count = self._team.run(batch, step, self._stopping, last)
            if some_may_not_count and callable(loss_function):
                check_count(loss_function, count)
            return mean, count
        outputs = outputs_of(self.net, inputs)
        loss = loss_of(loss_function, outputs, targets, *weights)
        if some_may_not_count:
            check_labels(loss_function, outputs, targets)
        if first:
            self._look(loss, inputs, targets)
        if self.accumulate == 1:
            loss.backward()
            return loss.data, None
        count = counted(loss_function, targets, *weights)
        count = size_of(inputs) if count is None else count
        (loss * count).backward()
        return loss.data, count

    def _on_share(self, loss: LossFunction, first: bool, batch: Batch) -> tuple[Variable, Any]:
        """Forward for some rows. Return the sum of their losses, and what it counts."""
        inputs, targets, *weights = batch
        outputs = outputs_of(self.net, inputs)
        total, count = summed_loss(loss, size_of(inputs), outputs, targets, *weights)
        if first:
            self._look(total, inputs, targets)
        return total, count

    def _look(self, loss: Variable, inputs: Structure, targets: Structure) -> None:
        """Look at the graph of the first step, before `backward` frees it."""
        self._warn_of_untrained(loss)
        self._launched.look(loss, inputs, targets)

    def _update(self, pending: list[Any]) -> None:
        """Clip the gradients and update the parameters.

        Args:
            pending: what the mean of each batch was divided by, and the gradients were multiplied by:
                see `counted`. Emptied.
        """
        if self._team is not None:
            self._team.reduce(sum(pending))
        elif pending:
            count = sum(pending)
            for parameter in self.optimizer.parameters:
                if parameter.grad is not None:
                    parameter.grad = parameter.grad / count
        pending.clear()
        if self.clip_grad_value is not None:
            optimizers.clip_grad_value(self.optimizer.parameters, self.clip_grad_value)
        if self.clip_grad_norm is not None:
            optimizers.clip_grad_norm(self.optimizer.parameters, self.clip_grad_norm)
        self.optimizer.step()

    def _until_stopped(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield batches, at least one, until `stop` and the next update."""
        for done, batch in enumerate(batches, start=self.batches_done + 1):
            yield batch
            stopping = self._stopping if self._team is None else self._team.stopping
            if stopping and done % self.accumulate == 0 and done < len(self.train):
                self._broken_off = True  # before the loader draws another batch
                return

    def _warn_of_untrained(self, loss: Variable) -> None:
        """Warn once of each leaf that the loss depends on and that is not trained."""
        if self._looked or loss.creator is None:
            return
        self._looked = True
        trained = {id(each) for each in self.optimizer.parameters}
        for function in functions_behind([loss.edge]):
            for edge, needed in zip(function.edges or (), function.needs_grad, strict=True):
                leaf = edge.variable if needed and edge.creator is None else None
                if leaf is not None and id(leaf) not in trained:
                    trained.add(id(leaf))
                    warn_the_user(
                        f"{edge.label()}, which {type(function).__name__} uses, needs a gradient, and "
                        "the optimizer does not have it: it is not trained. Keep its module in an "
                        "attribute of the network, and not in a function alone",
                        UntrainedWarning,
                    )

    def _check_parameters(self) -> None:
        trained = {id(each) for each in self.optimizer.parameters}
        for path, each in self.net.named_parameters():
            if each.requires_grad and id(each) not in trained:
                raise SettingError(
                    f"Learner: parameter {path} of shape {each.shape} is not the optimizer's, and so "
                    "is not trained; give it net.parameters(), or set requires_grad = False on that one"
                )

    def _check(self, losses: list[Array] | Array) -> None:
        """Raise an error for the first loss of the pass that is not finite."""
        if not len(losses):
            return
        found = to_host(xp.stack(losses) if isinstance(losses, list) else losses)
        finite = np.isfinite(found)
        if not finite.all():
            batch, done = int(np.argmin(finite)), self.batches_done
            maybe = ": it may have no label that counts" if may_count_nothing(self.loss) else ""
            raise NonFiniteLossError(
                f"the loss became {found[batch]} at epoch {self.epochs}, batch {done + batch} of "
                f"{done + len(losses)}; lower the learning rate, or look at that batch's data{maybe}"
            )


def _with_a_batch_that_fits(error: DeviceMemoryError, before: int, size: int) -> DeviceMemoryError:
    """Return the same error with a batch size that fits.

    The arrays of a step grow with the batch. Half of the free memory is left for everything else.
    """
    grown = error.in_use - before
    fits = size * (error.free + grown) // (2 * (error.wanted + grown))
    fix = f"a batch of {fits} would fit, this one has {size}" if fits else "not even one row would fit"
    return DeviceMemoryError(f"{error}; {fix}", error.wanted, error.free, error.in_use)
