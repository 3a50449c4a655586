"""Several leaves of a batch in one process, of which only one runs at a time.

A leaf runs until it needs a sum over the whole batch. Then the next leaf has its turn. When all leaves
have given their part, the sum is computed, and the first leaf goes on. So each leaf but the first has a
thread. A network that needs no such sum runs leaf after leaf, without threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import numpy as np

from backends import Array
from scratchnet.core.function import is_ours
from scratchnet.errors import GraphError
from scratchnet.layers import Module

if TYPE_CHECKING:
    from threading import Semaphore, Thread


class World:
    """What forward changes in a network besides gradients.

    These are its buffers, its random generators, and numbers in attributes of the user's own modules.
    Each leaf of a batch starts with the same, and sees only its own changes.

    Args:
        net: the network.
    """

    def __init__(self, net: Module) -> None:
        self.buffers = [each for _, each in net.named_buffers()]
        self.generators = list(dict.fromkeys(net.generators().values()))
        self.of_numpy = {
            str(place): each
            for place, each in enumerate(self.generators) if isinstance(each, np.random.Generator)
        }  # fmt: skip
        self._own = [each for each in net.modules() if not is_ours(type(each))]

    def begin(self, leaf: int) -> None:
        """Let a leaf draw other numbers than the other leaves. A `Philox` does so by itself."""
        for each in self.of_numpy.values():
            bits: Any = each.bit_generator
            if leaf and hasattr(bits, "jumped"):
                bits.state = bits.jumped(leaf).state

    def read(self) -> list[Any]:
        """Return copies of everything."""
        buffers = [(each.edge.version[0], each.data.copy()) for each in self.buffers]
        numbers = [
            {name: value for name, value in vars(each).items() if type(value) in (int, float)}
            for each in self._own
        ]
        return [buffers, [each.bit_generator.state for each in self.generators], numbers]

    def write(self, held: list[Any]) -> None:
        """Set everything to what `read` returned."""
        buffers, states, numbers = held
        for each, (version, data) in zip(self.buffers, buffers, strict=True):
            each.data[...] = data
            each.edge.version[0] = version
        for generator, state in zip(self.generators, states, strict=True):
            generator.bit_generator.state = state
        for module, given in zip(self._own, numbers, strict=True):
            vars(module).update(given)


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

    def run(self, leaves: Sequence[Callable[[], Any]]) -> list[Any]:
        """Run leaves, which call `sum`. The network is left as the first leaf leaves it.

        Returns:
            Their results.
        """
        self._leaves = leaves
        self._context = copy_context()  # before the first leaf calls any module
        self._held = [self._world.read()] * len(leaves)
        self._given: list[Array | None] = [None] * len(leaves)
        self._results: list[Any] = [None] * len(leaves)
        self._done = [False] * len(leaves)
        self._gates: list[Semaphore] = []
        self._threads: list[Thread] = []
        self._error: BaseException | None = None
        try:
            for number in range(len(leaves)):
                if not self._threads:
                    self._world.write(self._held[number])
                    self._run(number)
        except BaseException as error:
            self._error = self._error or error
        for number, thread in enumerate(self._threads, start=1):
            while thread.is_alive():
                self._gates[number].release()
                thread.join()
        if self._error is not None:
            raise self._error
        self._world.write(self._held[0])
        return self._results

    def sum(self, number: int, array: Array) -> Array:
        """Return the sum of an array over all leaves of the batch. Called by a leaf in its turn."""
        if any(self._done):
            raise _different()
        if not self._threads:
            self._start_the_others()
        self._given[number] = array
        if number == len(self._given) - 1:
            self._total = tree(self._given)
            self._add([self._total])
            self._given = [None] * len(self._given)
        self._held[number] = self._world.read()
        self._pass_on(number)
        self._wait_for_a_turn(number)
        return self._total.copy()

    def _run(self, number: int) -> None:
        self._results[number] = self._leaves[number]()
        if any(each is not None for each in self._given):
            raise _different()
        self._held[number] = self._world.read()
        self._done[number] = True

    def _start_the_others(self) -> None:
        """Start a thread for each leaf but the first, which runs in this thread."""
        from threading import Semaphore, Thread  # few runs need it

        self._gates = [Semaphore(0) for _ in self._leaves]
        for number in range(1, len(self._leaves)):
            run = self._context.copy().run
            self._threads.append(Thread(target=run, args=(self._run_in_a_thread, number), daemon=True))
            self._threads[-1].start()

    def _run_in_a_thread(self, number: int) -> None:
        try:
            self._wait_for_a_turn(number)
            self._run(number)
        except _Ended:
            pass
        except BaseException as error:
            self._error = self._error or error
            self._gates[0].release()
        else:
            self._pass_on(number)

    def _wait_for_a_turn(self, number: int) -> None:
        self._gates[number].acquire()
        if self._error is not None:
            raise _Ended
        self._world.write(self._held[number])

    def _pass_on(self, number: int) -> None:
        self._gates[(number + 1) % len(self._gates)].release()


def _different() -> GraphError:
    return GraphError(
        "data_parallel: some rows of a batch need more sums over the batch than others; a network with "
        "batch normalization must call the same layers for every row"
    )


def tree(parts: Sequence[Any]) -> Any:
    """Return the sum of arrays as a binary tree: ((0 + 1) + (2 + 3)) + …; None counts as zero.

    The result is an array of its own, unless there is one part.
    """
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    a, b = tree(parts[:middle]), tree(parts[middle:])
    return b if a is None else a if b is None else a + b
