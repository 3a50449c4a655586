"""Copies ahead, on a device whose streams run as late and in as odd an order as CUDA allows."""

import ctypes
import random
import threading
import weakref
from collections import defaultdict
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from backends import active, to_host
from backends.cuda.copying import Copies


class Event:
    done = False


class Stream:
    """A queue of work; `device.run` decides when it is done."""

    def __init__(self, device):
        self.device, self.queue = device, []
        device.streams.append(self)

    def __enter__(self):
        self.outer, self.device.current = self.device.current, self

    def __exit__(self, *_):
        self.device.current = self.outer

    def record(self):
        event = Event()
        self.queue.append(lambda: setattr(event, "done", True))
        return event

    def wait_event(self, event):
        self.queue.append(event)


class Array:
    def __init__(self, memory, shape):
        self.memory = memory

    def set(self, host, stream):
        memory = self.memory
        address = host.ctypes.data, host.shape, host.dtype  # a copy reads the memory, whoever owns it
        stream.queue.append(lambda: memory.__setitem__(..., read(*address)))


def read(pointer, shape, dtype):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(pointer), dtype).reshape(shape)


class Device:
    """What `Copies` uses of CuPy. Memory that is dropped is given out again at once, as by its pools."""

    def __init__(self, seed):
        self.random, self.streams, self.free, self.pinned = (
            random.Random(seed),
            [],
            defaultdict(list),
            [],
        )
        self.main = self.current = Stream(self)
        self.cuda = SimpleNamespace(
            Device=nullcontext, Stream=lambda non_blocking: Stream(self),
            alloc_pinned_memory=self._pinned_memory,
        )  # fmt: skip

    def _pinned_memory(self, size):
        memory = self.pinned.pop() if self.pinned else np.zeros(size, np.uint8)
        owner = memory[:]
        weakref.finalize(owner, self.pinned.append, memory)
        return owner

    def empty(self, shape, dtype):
        pool = self.free[self.current]
        memory = pool.pop() if pool else np.zeros(shape, dtype)
        array = Array(memory, shape)
        weakref.finalize(array, pool.append, memory)
        return array

    def run(self, steps):
        """Do some pieces of work, of streams drawn at random. A stream waits for its next event."""
        for _ in range(steps):
            ready = [s for s in self.streams if s.queue and getattr(s.queue[0], "done", True)]
            if not ready:
                return
            work = self.random.choice(ready).queue.pop(0)
            if callable(work):
                work()


@pytest.mark.parametrize("seed", range(30))
def test_the_consumer_sees_each_batch_whole_whatever_the_order(seed):
    device, seen = Device(seed), []
    copies, waiting = Copies(device), []

    def use(array):
        memory = array.memory
        device.main.queue.append(lambda: seen.append(memory.copy()))

    for number in range(40):
        waiting.append(copies.begin(np.full((2, 3), number, np.float32), device.main))
        device.run(device.random.randrange(6))
        if len(waiting) > 2:
            use(waiting.pop(0)())
            device.run(device.random.randrange(6))
    for arrived in waiting:
        use(arrived())
    device.run(10_000)
    assert [each.min() for each in seen] == [each.max() for each in seen] == list(range(40))


def test_pinned_memory_is_bounded():
    device = Device(0)
    copies = Copies(device)
    for number in range(50):
        copies.begin(np.full((2, 3), number, np.float32), device.main)()
        device.run(1000)
    assert len(copies._pinned) == 1


def test_an_empty_array_is_copied(backend):
    assert active().copier()(np.zeros((3, 0), np.float32))().shape == (3, 0)


def test_threads_copy_at_the_same_time(backend):
    begin, found = active().copier(), {}

    def copy(number):
        found[number] = begin(np.full(1000, number))

    threads = [threading.Thread(target=copy, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert all((to_host(arrived()) == number).all() for number, arrived in found.items())
