"""Sums over the devices of several processes, by NCCL.

NCCL is NVIDIA's library for this. A sum is a kernel on a stream, so a CUDA graph can contain it. Source
for what it allows in a graph: NCCL's user guide, Using NCCL with CUDA Graphs.
"""

from __future__ import annotations

import ctypes
import importlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from backends.errors import BackendUnavailableError, DeviceError, WrongArrayError, kind_of, one_line
from backends.plain.communicator import Communicator
from backends.plain.library import Array

ShareId = Callable[[bytes | None], bytes]
"""Returns on every process what process 0 gave."""

_PARTS = {"complex64": "float32", "complex128": "float64"}


class NcclCommunicator(Communicator):
    """A communicator of NCCL. Each process has another device.

    It makes a first sum at once, because NCCL connects the devices then, and cannot do so in a capture.
    A graph that contains sums is launched by all processes, or by none. Sums have the dtype of the
    arrays, also float16.
    """

    def __init__(self, cupy: ModuleType, name: str, rank: int, size: int, share_id: ShareId) -> None:
        """Wait for all processes, and connect with them.

        Args:
            cupy: the library.
            name: the backend's, for messages.
            rank: the number of this process.
            size: the number of processes.
            share_id: hands process 0's identifier of the communicator to all.

        Raises:
            BackendUnavailableError: NCCL is missing.
            DeviceError: NCCL cannot connect the devices, or they add up wrongly.
        """
        super().__init__(rank, size)
        self._cupy, self._name, self._nccl = cupy, name, _load_nccl(cupy, name)
        with self._explained("the connection of the devices"):
            shared = share_id(self._nccl.get_unique_id() if rank == 0 else None)
            self._communicator = self._nccl.NcclCommunicator(size, shared, rank)
        # When NCCL frees a communicator, it waits for the end of all graphs that use it. Python frees
        # objects at its end in any order, and would wait for ever. So this one is never freed by itself.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._communicator))
        self._in_graph = False
        self._side = cupy.cuda.Stream(non_blocking=True)
        self._fork, self._join = (cupy.cuda.Event(disable_timing=True) for _ in range(2))
        self._begun: list[Array] = []  # their memory must not be given to others before `finish`
        ones = cupy.ones((), "float32")
        self.sum([ones])
        if (found := float(ones)) != size:
            raise DeviceError(f"{name}: NCCL added up {size} ones to {found}; test it with nccl-tests")

    def sum(self, arrays: Sequence[Array]) -> None:
        """As the base class, on the current stream, in one launch."""
        stream = self._cupy.cuda.get_current_stream()
        self._in_graph |= bool(stream.is_capturing())
        kinds = [self._counted(each) for each in arrays]
        added = [each if each.flags.c_contiguous else each.copy() for each in arrays]
        with self._explained("a sum"), self._one_launch():
            for each, (kind, count) in zip(added, kinds, strict=True):
                if count:
                    place, by = each.data.ptr, self._nccl.NCCL_SUM
                    self._communicator.allReduce(place, place, count, kind, by, stream.ptr)
        for each, whole in zip(arrays, added, strict=True):
            if whole is not each:
                each[...] = whole

    def begin(self, arrays: Sequence[Array]) -> None:
        """As the base class, on a stream that runs beside the current one."""
        if arrays:
            self._fork.record(self._cupy.cuda.get_current_stream())
            self._side.wait_event(self._fork)
            with self._side:
                self.sum(arrays)
            self._begun += arrays

    def finish(self) -> None:
        """As the base class: the current stream waits for the other one."""
        if self._begun:
            self._join.record(self._side)
            self._cupy.cuda.get_current_stream().wait_event(self._join)
            self._begun.clear()

    def close(self) -> None:
        """As the base class. If a graph contains sums, the communicator lives as long as the process."""
        if not self._in_graph:
            self._communicator.destroy()

    def _counted(self, array: Array) -> tuple[int, int]:
        """Return NCCL's number for the array's dtype, and how many numbers of it the array has."""
        if not isinstance(array, self._cupy.ndarray):
            raise WrongArrayError(
                f"sum over devices: {kind_of(array)} where an array of backend {self._name} was "
                "expected; move it with backends.to_device(...)"
            )
        name = array.dtype.name
        kind = getattr(self._nccl, f"NCCL_{_PARTS.get(name, name).upper()}", None)
        if kind is None:
            raise WrongArrayError(
                f"sum over devices: NCCL cannot add up {name}; convert the array with astype"
            )
        return kind, array.size * (2 if name in _PARTS else 1)

    @contextmanager
    def _one_launch(self) -> Iterator[None]:
        self._nccl.groupStart()
        try:
            yield
        finally:
            self._nccl.groupEnd()

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._nccl.NcclError as error:
            raise DeviceError(
                f"{self._name}: NCCL: {what} failed on rank {self.rank} of {self.size}: "
                f"{one_line(error)}; each process needs a device of its own; NCCL_DEBUG=WARN shows more"
            ) from error


def _load_nccl(cupy: ModuleType, name: str) -> Any:
    """Return CuPy's module for NCCL, which `import cupy` does not load."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CuPy warns if NCCL is missing, in several lines
        nccl = importlib.import_module(f"{cupy.__name__}.cuda.nccl")
    if not nccl.available:
        package = f"nvidia-nccl-cu{cupy.cuda.runtime.runtimeGetVersion() // 1000}"
        raise BackendUnavailableError(
            f"backend {name}: NCCL is not installed, which adds up the gradients of several devices; "
            f"fix: pip install {package}, or run on the CPU with SCRATCHNET_BACKEND=numpy"
        )
    return nccl
