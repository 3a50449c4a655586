"""A strict stand-in for `cupy.cuda.nccl`: MPI takes NCCL's place between processes.

- A pointer must lead into an array of the communicator's device, with room for the count, of the dtype.
- The first sum must not be in a capture, because NCCL connects the devices then.
- The stream of a sum must wait for the stream that its operands come from. The sum ends as late as it
  may: until another stream waits for it, its array is NaN.
- What a device would hang on is an error: other sums on another rank, a rank that does not come within
  `patience` seconds, and a communicator that is destroyed while a graph uses it.
"""

import ast
import os
import threading
import time
import weakref

import numpy as np
import strict_cupy

available = True
patience = 20.0
launches = 0
"""How many kernels NCCL has launched in this process, or recorded in a graph."""

_KINDS = "int8 uint8 int32 uint32 int64 uint64 float16 float32 float64"
NCCL_SUM = 0
for _number, _name in enumerate(_KINDS.split()):
    globals()[f"NCCL_{_name.upper()}"] = _number

_ERRORS = {
    1: "NCCL_ERROR_UNHANDLED_CUDA_ERROR: unhandled cuda error (run with NCCL_DEBUG=INFO for details)",
    4: "NCCL_ERROR_INVALID_ARGUMENT: invalid argument (run with NCCL_DEBUG=WARN for details)",
    5: "NCCL_ERROR_INVALID_USAGE: invalid usage (run with NCCL_DEBUG=WARN for details)",
}


class NcclError(RuntimeError):
    def __init__(self, status):
        super().__init__(_ERRORS[status])
        self.status = status


class _Group(threading.local):
    depth = 0
    calls = None


_group = _Group()


def get_unique_id():
    return os.urandom(128)


def groupStart():
    if not _group.depth:
        _group.calls = []
    _group.depth += 1


def groupEnd():
    if not _group.depth:
        raise NcclError(5)
    _group.depth -= 1
    if not _group.depth and _group.calls:
        _launch(_group.calls)


class NcclCommunicator:
    def __init__(self, ndev, commId, rank):
        assert isinstance(commId, bytes), "CuPy 14 takes bytes"
        if len(commId) != 128 or not 0 <= rank < ndev:
            raise NcclError(4)
        self.warm = self.destroyed = False
        self.size, self.rank, self.device = ndev, rank, strict_cupy.cuda.runtime.getDevice()
        self.graphs = weakref.WeakSet()
        self._comm = None
        if ndev > 1:
            from mpi4py import MPI

            self._mpi, self._comm = MPI, MPI.COMM_WORLD.Dup()
            assert (self._comm.size, self._comm.rank) == (ndev, rank)
            told = self._gather((commId, self.device))
            assert len({each for each, _ in told}) == 1, "two ranks have other identifiers"
            if len({device for _, device in told}) < ndev:
                raise NcclError(5)  # NCCL: duplicate GPU detected

    def allReduce(self, sendbuf, recvbuf, count, datatype, op, stream):
        if self.destroyed or op != NCCL_SUM:
            raise NcclError(4)
        kind = np.dtype(_KINDS.split()[datatype])
        ends = [self._at(address, count, kind) for address in (sendbuf, recvbuf)]
        groupStart()
        _group.calls.append((self, *ends, strict_cupy._streams[stream]))
        groupEnd()

    def destroy(self):
        assert not self.graphs, "ncclCommDestroy waits for ever for the graphs that use it"
        self.destroyed = True

    def _at(self, address, count, kind):
        """Return the numbers at an address of the device, flat."""
        memory = strict_cupy._memory_at(address)
        assert memory is not None, "a pointer that does not lead to an array on the device"
        assert memory.device == self.device, "an array on another device"
        first = address - memory.host.ctypes.data
        assert first + count * kind.itemsize <= memory.host.nbytes, "more numbers than the array has"
        written = np.dtype(memory.host.dtype.char.translate({ord("F"): "f", ord("D"): "d"}))
        assert written == kind, f"an array of {written} is no array of {kind}"
        flat = memory.host.reshape(-1).view(np.uint8)
        return flat[first : first + count * kind.itemsize].view(kind)

    def sums(self, operands, captured):
        """Return the sums over the ranks, each added up in their order."""
        if self.size == 1:
            return [each.copy() for each in operands]
        called = captured, [(each.dtype.char, each.size) for each in operands]
        told = self._gather(called)
        assert all(each == called for each in told), f"NCCL would hang: the ranks add up {told}"
        sent = np.concatenate([each.view(np.uint8) for each in operands])
        parts = np.empty((self.size, sent.size), np.uint8)
        self._wait(self._comm.Iallgather(sent, parts))
        ends = np.cumsum([each.nbytes for each in operands])[:-1]
        several = [
            [part.view(each.dtype) for part, each in zip(np.split(row, ends), operands, strict=True)]
            for row in parts
        ]
        return [sum(each[1:], each[0]) for each in zip(*several, strict=True)]

    def _gather(self, thing):
        """Return what each rank gave."""
        text = repr(thing).encode()
        sizes = np.empty(self.size, int)
        self._wait(self._comm.Iallgather(np.array([len(text)]), sizes))
        sent = np.frombuffer(text.ljust(sizes.max()), np.uint8)
        found = np.empty((self.size, sizes.max()), np.uint8)
        self._wait(self._comm.Iallgather(sent, found))
        return [ast.literal_eval(row.tobytes().decode()) for row in found]

    def _wait(self, request):
        end = time.monotonic() + patience
        while not request.Test():
            assert time.monotonic() < end, "NCCL would hang: another rank did not come"
            time.sleep(0)


def _launch(calls):
    """Add up, on the stream of the calls, what they name."""
    global launches
    launches += 1
    (communicator,), (stream,) = ({each[i] for each in calls} for i in (0, 3))
    _, sent, received, _ = zip(*calls, strict=True)
    captured = strict_cupy._check_order(stream)
    if captured and not communicator.warm:
        raise NcclError(1)
    communicator.warm = True
    found = []

    def begin():
        found[:] = communicator.sums(sent, captured)
        for each in received:
            each.view(np.uint8).fill(255)  # NaN, and the integer with all bits set

    def end():
        for each, added in zip(received, found, strict=True):
            each[...] = added

    strict_cupy._enqueue(stream, begin, end)
    if captured:
        strict_cupy._stream.communicators.append(communicator)
