"""Capture: work that launches kernels, recorded once as a CUDA graph and launched as one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any, Generic, TypeVar

from backends.errors import CaptureError, DeviceError, TransferError, one_line

T = TypeVar("T")

_MENDS = {
    "cublas": "CuPy cannot capture cuBLAS; for products use backends.active().matmul",
    "capturing": "it copies between host and device, or waits for the device",
}


class SingleAllocations:
    """Allocates each array by a cudaMalloc of its own, and frees none before it is dropped itself."""

    def __init__(self, cupy: ModuleType) -> None:
        """Nothing is allocated yet."""
        self._cuda = cupy.cuda
        self._kept: list[Any] = []

    def malloc(self, size: int) -> Any:
        """Memory of that many bytes, as an allocator of CuPy returns it."""
        memory = self._cuda.MemoryPointer(self._cuda.Memory(size), 0)
        self._kept.append(memory)
        return memory


def capture(cupy: ModuleType, work: Callable[[], T], pooled: bool = True) -> Callable[[], T]:
    """Record the work, which is not done; the function returned does it, and gives its result.

    The result's arrays are the same at each call, and are overwritten by the next. What the work
    allocates comes from a pool of the graph's own: nothing else may be given an address that the graph
    will write to. Python numbers are frozen into the graph; a `Setting` is not.

    Args:
        cupy: the library.
        work: what to record.
        pooled: whether that pool may divide an allocation among arrays, and use it again; otherwise
            each array is an allocation of its own, which lives as long as the graph.

    Raises:
        CaptureError: the work does what CUDA or CuPy cannot capture.
    """
    stream = cupy.cuda.Stream(non_blocking=True)
    memory = cupy.cuda.MemoryPool() if pooled else SingleAllocations(cupy)
    cupy.cuda.get_current_stream().synchronize()  # the graph's stream does not wait for this one
    cupy.get_default_memory_pool().free_all_blocks()  # what the steps left there, the graph may need
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
    """The graph, and what must live as long as it: CuPy's memory does not keep its pool alive."""

    def __init__(self, graph: Any, result: T, memory: Any) -> None:
        self.graph, self.result, self.memory = graph, result, memory

    def __call__(self) -> T:
        """Launch it on the current stream; the result will be there when that has done its work."""
        self.graph.launch()
        return self.result


def _abandon(stream: Any) -> None:
    """End a capture that failed: a stream left capturing would refuse all that follows."""
    with suppress(RuntimeError):  # CUDA may have ended it already, and says so by an error
        stream.end_capture()


def _why(error: BaseException) -> str:
    while isinstance(error, DeviceError) and error.__cause__:
        error = error.__cause__  # here it is no failure of the device
    text = one_line(error)
    for sign, mend in _MENDS.items():
        if sign in text.lower():
            return mend
    return text or type(error).__name__
