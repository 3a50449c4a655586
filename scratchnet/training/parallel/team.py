"""A team: the processes of a group train one network, each on its leaves of every batch.

Each batch is cut into `shards` leaves of neighboring rows. A process computes some neighboring leaves,
one after the other. Whatever is added up over a batch is added up as one binary tree over its leaves, so
the bits of a training run do not depend on how many processes share the leaves. On a device, which adds
up in its own way, a process has one leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from backends import Array, active, xp
from scratchnet.core.share import first_row, part, rows_of, share, whole_batches
from scratchnet.data.batches import Batch, rows_in, size_of
from scratchnet.layers import Module
from scratchnet.training.generators import set_states, states_of
from scratchnet.training.parallel.alike import check_batch
from scratchnet.training.parallel.buckets import Buckets
from scratchnet.training.parallel.group import Group
from scratchnet.training.parallel.rows import OVER_A_BATCH, Rows
from scratchnet.training.parallel.turns import Turns, World, tree
from scratchnet.variable import Variable

_TINY = float(np.finfo(np.float32).tiny)
"""A divisor instead of 0, if all weights of a batch are 0."""

Step = Callable[[Batch], tuple[Variable, Any]]
"""Forward for some rows. It returns the sum of their losses, and what it counts."""


class Leaf(Rows):
    """A leaf of a batch, which a team computes."""

    def __init__(
        self,
        add: Callable[[Array], Array],
        arrived: Callable[[Any, Array], None] | None,
        *rows: int,
    ) -> None:
        super().__init__(*rows)
        self._add, self._arrived = add, arrived
        self.listens = False  # forward may have backward passes of its own

    def backward(self, loss: Variable) -> None:
        """Run the backward pass of the leaf, and hand on its gradients."""
        self.listens = self._arrived is not None
        loss.backward()

    def sum(self, array: Array) -> Array:
        """Return the sum of the arrays that all leaves give."""
        return self._add(array)

    def ready(self, leaf: Any, gradient: Any) -> None:
        """Hand on the gradient, if it is the last one of an update."""
        if self._arrived is not None:
            self._arrived(leaf, gradient)


class Team:
    """Trains a network on one share of every batch, together with the other processes of a group.

    Args:
        group: the processes.
        shards: the number of leaves of a batch, which the number of processes divides.
        net: the network.
        parameters: those of the optimizer.

    Attributes:
        streams: see `Part`.
        stopping: whether a process wants to stop after the last batch.
    """

    def __init__(self, group: Group, shards: int, net: Module, parameters: Sequence[Variable]) -> None:
        self.group, self.parameters = group, parameters
        self.streams, self.shards = shards, shards if group.adds_on_host else group.size
        each = self.shards // group.size
        self._leaves = range(group.rank * each, (group.rank + 1) * each)
        self._gradients: list[list[Array | None]] = [[None] * len(parameters) for _ in self._leaves]
        self._present = np.zeros(len(parameters), bool)
        self._buckets = Buckets(group, parameters)
        self._places = {id(each): place for place, each in enumerate(parameters)}
        self._world = World(net)
        self._counts_last, self._finished = True, 0
        self._is_first = True  # of a pass
        self.stopping = False

    def share(self, total: int) -> Rows:
        """Return the rows of this process in a batch of this size."""
        first, end = (
            first_row(total, leaf, self.shards) for leaf in (self._leaves[0], self._leaves[-1] + 1)
        )
        return Rows(first, end - first, total)

    def reading(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield what a loader reads. The training pass has told the others, for every kind of loader."""
        return iter(batches)

    @contextmanager
    def dividing(self) -> Iterator[None]:
        """Let loaders yield the rows of this process."""
        with whole_batches():
            part.set(self)
            self._is_first = True
            yield

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Keep the buffers alike if a network changes them in an evaluation, whose batches are dealt."""
        buffers = self._world.buffers
        versions = [each.edge.version[0] for each in buffers]
        yield
        changed = versions != [each.edge.version[0] for each in buffers]
        if buffers and self.group.any(changed, "the end of an evaluation"):
            self._take_from_first([each.data for each in buffers])

    def run(self, batch: Batch, step: Step, stop: bool, updates: bool) -> tuple[Array, Any]:
        """Run a step and backward on this process's leaves of a batch; keep gradients for `reduce`.

        Args:
            batch: the rows of this process, or the whole batch of a loader that knows nothing of shares.
            step: see `Step`.
            stop: whether this process wants to stop.
            updates: whether an update follows this batch.

        Returns:
            The mean loss of the whole batch, 0-d, and what the batch counts.
        """
        mine: Any = share.get()
        share.set(None)
        if mine is None:
            mine = self.share(size_of(batch[0]))
            if self._is_first:
                check_batch(self.group, batch)
            batch = rows_in(batch, rows_of(mine))
        world, self._finished, self._is_first = self._world, 0, False
        self._counts_last = mine.first + mine.rows > first_row(mine.total, self._leaves[-1], self.shards)
        versions = [each.edge.version[0] for each in world.buffers]
        arrived = self._arrived if updates and self._buckets.several else None
        turns = Turns(world, partial(self.group.add, what=OVER_A_BATCH))
        several = len(self._leaves) > 1
        leaves = []
        for place, number in enumerate(self._leaves):
            first, end = (first_row(mine.total, each, self.shards) for each in (number, number + 1))
            add = partial(turns.sum, place) if several else partial(self.group.added, what=OVER_A_BATCH)
            last = number == self._leaves[-1]
            leaf = Leaf(add, arrived if last else None, first, end - first, mine.total)
            own = rows_of(Rows(first - mine.first, end - first, mine.total))
            leaves.append(partial(self._leaf, leaf, place, rows_in(batch, own), step))
        found = turns.run(leaves) if several else [leaves[0]()]
        totals = self._agree(tree([each for each, _ in found]), stop)
        changed = [
            each for each, version in zip(world.buffers, versions, strict=True)
            if each.edge.version[0] != version
        ]  # fmt: skip
        self._take_from_first([each.data for each in changed])
        self._draw_on_as_first()
        loss = active().as_array((totals[0] / xp.maximum(totals[1], _TINY)).astype(found[0][1]))
        return loss, totals[1]

    def reduce(self, count: Any) -> None:
        """Set the gradients of the parameters to those of the batches since the last `reduce`.

        Args:
            count: what the batches count, a 0-d float64.
        """
        own = [tree(each) for each in zip(*self._gradients, strict=True)]
        sums = self._buckets.sums(own)
        for parameter, total, present in zip(self.parameters, sums, self._present, strict=True):
            if present:
                total /= xp.maximum(count, _TINY).astype(total.dtype)
            parameter.grad = total if present else None
        for each in self._gradients:
            each[:] = [None] * len(each)

    def _leaf(self, leaf: Leaf, place: int, batch: Batch, step: Step) -> tuple[Array, Any]:
        """Run a step on the rows of a leaf. Return its two totals, and the dtype of its loss."""
        token = share.set(leaf)
        self._world.begin(self._leaves[place])
        try:
            loss, count = step(batch)
            leaf.backward(loss)
        finally:
            share.reset(token)
        totals = xp.zeros(2, xp.float64)
        if leaf.counts:
            totals[0], totals[1] = loss.data, count
        held = self._gradients[place]
        for number, parameter in enumerate(self.parameters):
            found: Any = parameter.grad
            parameter.grad = None
            if leaf.counts and found is not None:
                former = held[number]
                held[number] = found if former is None else former + found
        self._finished += 1
        return totals, loss.dtype

    def _arrived(self, parameter: Any, gradient: Array) -> None:
        """Take a gradient of the last leaf, to which nothing is added any more in this process.

        If leaves take turns, the others may not have their gradients yet. Then it waits for `reduce`.
        """
        place = self._places.get(id(parameter))
        if place is not None and self._finished == len(self._leaves) - 1:
            if parameter.grad is not None:  # of a backward pass within forward
                gradient = parameter.grad + gradient
            *others, former = (each[place] for each in self._gradients)
            if self._counts_last:
                former = gradient if former is None else former + gradient
            self._buckets.arrive(place, tree([*others, former]))

    def _agree(self, totals: Array, stop: bool) -> Array:
        """Add up the totals over all processes; find out who stops, and which gradients there are."""
        present = [
            any(each is not None for each in several) for several in zip(*self._gradients, strict=True)
        ]
        flags = np.array([stop, *present], np.float64)
        if self.group.adds_on_host:
            both = np.concatenate([totals, flags])
            self.group.sum([both], "the losses of a batch")
            totals, flags = both[:2], both[2:]
        else:
            self.group.sum([flags], "the end of a batch")
            self.group.add([totals], "the losses of a batch")
        self.stopping, self._present = bool(flags[0]), flags[1:] > 0
        return totals

    def _take_from_first(self, buffers: list[Array]) -> None:
        """Set buffers that have changed to what the first leaf of the batch has made of them."""
        if self.group.size == 1 or not buffers:
            return
        copies = [each.copy() for each in buffers]
        if self.group.rank:
            for each in copies:
                each[...] = 0
        self.group.add(copies, "the buffers")
        for each, found in zip(buffers, copies, strict=True):
            each[...] = found

    def _draw_on_as_first(self) -> None:
        """Set NumPy's generators in the network to the states in which the first leaf left them."""
        if (several := self._world.of_numpy) and self.group.size > 1:
            mine = states_of(several)
            set_states(several, self.group.gather_json(mine, "the random generators")[0])
