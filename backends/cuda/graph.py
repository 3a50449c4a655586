"""Capture: record work that launches kernels once, as a CUDA graph, and launch the graph at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any, Generic, TypeVar

from backends.errors import CaptureError, DeviceError, TransferError, one_line

T = TypeVar("T")

_FIXES = {
    "cublas": "CuPy cannot capture cuBLAS; for products use backends.active().matmul",
    "capturing": "it copies between host and device, or waits for the device",
}


class SingleAllocations:
    """An allocator that gives each array its own cudaMalloc, and frees none as long as it lives."""

    def __init__(self, cupy: ModuleType) -> None:
        """Create the allocator, without allocations."""
        self._cuda = cupy.cuda
        self._kept: list[Any] = []

    def malloc(self, size: int) -> Any:
        """Return memory of this many bytes, as an allocator of CuPy does."""
        memory = self._cuda.MemoryPointer(self._cuda.Memory(size), 0)
        self._kept.append(memory)
        return memory


def capture(cupy: ModuleType, work: Callable[[], T], pooled: bool = True) -> Callable[[], T]:
    """Record the work without doing it. Return a function that does it and returns its result.

    The result's arrays are the same at each call, and the next call overwrites them. The work allocates
    from a separate pool, because nothing else may get an address that the graph writes to. Python
    numbers are frozen into the graph; a `Setting` is not.

    Args:
        cupy: the library.
        work: what to record.
        pooled: whether the pool may divide an allocation between arrays and use it again. Otherwise each
            array has its own allocation, which lives as long as the graph.

    Raises:
        CaptureError: the work does something that CUDA or CuPy cannot capture.
    """
    stream = cupy.cuda.Stream(non_blocking=True)
    memory = cupy.cuda.MemoryPool() if pooled else SingleAllocations(cupy)
    cupy.cuda.get_current_stream().synchronize()  # the graph's stream does not wait for this one
    cupy.get_default_memory_pool().free_all_blocks()  # the graph may need what earlier steps left there
    with stream, cupy.cuda.using_allocator(memory.malloc):
        stream.begin_capture()
        try:
            result = work()
        except BaseException as error:
            _abandon(stream)
            if isinstance(error, (NotImplementedError, RuntimeError, TransferError)):
                raise CaptureError(_why(error)) from error
            raise
        try:
            graph = stream.end_capture()
        except RuntimeError as error:
            raise CaptureError(_why(error)) from error

    return _Recorded(graph, result, memory)


class _Recorded(Generic[T]):
    """The graph, and everything that must live as long: CuPy's memory does not keep its pool alive."""

    def __init__(self, graph: Any, result: T, memory: Any) -> None:
        self.graph, self.result, self.memory = graph, result, memory

    def __call__(self) -> T:
        """Launch the graph on the current stream. The result is ready when the stream has finished."""
        self.graph.launch()
        return self.result


def _abandon(stream: Any) -> None:
    """End a failed capture: otherwise the stream keeps capturing and refuses all later work."""
    with suppress(RuntimeError):  # CUDA may have ended it already; then this raises an error
        stream.end_capture()


def _why(error: BaseException) -> str:
    while isinstance(error, DeviceError) and error.__cause__:
        error = error.__cause__  # here this is not a failure of the device
    text = one_line(error)
    for sign, fix in _FIXES.items():
        if sign in text.lower():
            return fix
    return text or type(error).__name__
