"""Copies from the host to the device that run beside the work of the device."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np

from backends.plain.library import Array


class Copies:
    """A stream for copies, which the device does while it works on other streams.

    Such a copy needs pinned memory on the host: memory that the system keeps at its place. So an array
    goes there first. Threads may copy at the same time.
    """

    def __init__(self, cupy: ModuleType) -> None:
        self._cupy = cupy
        self._device, self._stream = cupy.cuda.Device(), cupy.cuda.Stream(non_blocking=True)
        self._pinned: deque[tuple[Any, Any]] = deque()  # memory that a copy reads, until it is done
        self._one_at_a_time = Lock()

    def begin(self, array: np.ndarray, consumer: Any) -> Callable[[], Array]:
        """Begin a copy. Return a function that returns it, once, in the thread that will use it.

        Args:
            array: on the host; it may change after this call.
            consumer: the stream on which the copy will be used.
        """
        cuda = self._cupy.cuda
        with self._one_at_a_time, self._device, self._stream:
            while self._pinned and self._pinned[0][0].done:
                self._pinned.popleft()
            memory = cuda.alloc_pinned_memory(max(array.nbytes, 1))
            pinned = np.ndarray(array.shape, array.dtype, buffer=memory)
            pinned[...] = array
            # An array that the consumer has used and dropped may give its memory to this one.
            self._stream.wait_event(consumer.record())
            copy = self._cupy.empty(array.shape, array.dtype)
            copy.set(pinned, stream=self._stream)
            done = self._stream.record()
            self._pinned.append((done, memory))

        def arrived() -> Array:
            consumer.wait_event(done)
            return copy

        return arrived
