"""Several leaves of a batch in one process: each runs in a thread, and only one runs at a time.

A leaf runs until it needs a sum over the whole batch. Then the next leaf has its turn. When all leaves
have given their part, the sum is computed, and the first leaf goes on. A network that needs no such sum
runs leaf after leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, TypeVar

from backends import Array
from scratchnet.errors import GraphError
from scratchnet.layers import Module

T = TypeVar("T")


class World:
    """What forward changes in a network besides gradients: its buffers and its random generators.

    Each leaf of a batch starts with the same, and sees only its own changes.

    Args:
        net: the network.
    """

    def __init__(self, net: Module) -> None:
        self.buffers = [each for _, each in net.named_buffers()]
        self.generators = list(net.generators().values())

    def read(self) -> list[Any]:
        """Return copies of everything."""
        buffers = [(each.edge.version[0], each.data.copy()) for each in self.buffers]
        return [buffers, [each.bit_generator.state for each in self.generators]]

    def write(self, held: list[Any]) -> None:
        """Set everything to what `read` returned."""
        buffers, states = held
        for each, (version, data) in zip(self.buffers, buffers, strict=True):
            each.data[...] = data
            each.edge.version[0] = version
        for generator, state in zip(self.generators, states, strict=True):
            generator.bit_generator.state = state


class _Ended(BaseException):
    """Another leaf has failed."""


class Turns:
    """Runs the leaves of a batch, each with a state of the network of its own.

    Args:
        world: the state.
        add: adds up an array over all processes, in place.
    """

    def __init__(self, world: World, add: Callable[[list[Array]], None]) -> None:
        self._world, self._add = world, add

    def run(self, leaves: Sequence[Callable[[], T]]) -> list[T]:
        """Run the leaves, and return their results. The network is left as the first leaf leaves it."""
        import threading  # few runs need it

        count = len(leaves)
        self._gates = [threading.Semaphore(0) for _ in leaves]
        self._held = [self._world.read()] * count
        self._given: list[Array | None] = [None] * count
        self._done = [False] * count
        self._error: BaseException | None = None
        self._finished = threading.Event()
        results: list[Any] = [None] * count
        threads = []
        for number, leaf in enumerate(leaves):
            run = copy_context().run
            work = (number, leaf, results)
            threads.append(threading.Thread(target=run, args=(self._leaf, *work), daemon=True))
            threads[-1].start()
        self._gates[0].release()
        try:
            self._finished.wait()
        except BaseException as error:  # Ctrl-C: the leaves end at their next turn
            self._error = self._error or error
            raise
        for each in threads:
            each.join()
        if self._error is not None:
            raise self._error
        self._world.write(self._held[0])
        return results

    def sum(self, number: int, array: Array) -> Array:
        """Return the sum of an array over all leaves of the batch. Called by a leaf in its turn."""
        if any(self._done):
            raise GraphError(
                "data_parallel: some rows of a batch need more sums over the batch than others; a "
                "network with batch normalization must call the same layers for every row"
            )
        self._given[number] = array
        if number == len(self._given) - 1:
            total = tree(self._given)
            self._add([total])
            self._total = total
        self._held[number] = self._world.read()
        self._pass_on(number)
        self._wait_for_a_turn(number)
        return self._total.copy()

    def _leaf(self, number: int, leaf: Callable[[], T], results: list[Any]) -> None:
        try:
            self._wait_for_a_turn(number)
            results[number] = leaf()
            self._held[number] = self._world.read()
        except _Ended:
            pass
        except BaseException as error:
            self._error = self._error or error
        self._done[number] = True
        if all(self._done):
            self._finished.set()
        else:
            self._pass_on(number)

    def _wait_for_a_turn(self, number: int) -> None:
        self._gates[number].acquire()
        if self._error is not None:
            raise _Ended
        self._world.write(self._held[number])

    def _pass_on(self, number: int) -> None:
        count = len(self._gates)
        ahead = ((number + step) % count for step in range(1, count + 1))
        self._gates[next(each for each in ahead if not self._done[each])].release()


def tree(parts: Sequence[Any]) -> Any:
    """Return the sum of arrays as a binary tree: ((0 + 1) + (2 + 3)) + …; None counts as zero.

    The result is an array of its own, unless there is one part.
    """
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    a, b = tree(parts[:middle]), tree(parts[middle:])
    return b if a is None else a if b is None else a + b
