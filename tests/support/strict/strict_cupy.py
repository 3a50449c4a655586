"""A strict stand-in for CuPy without a GPU: NumPy's arithmetic with CuPy's refusals.

- A host array is a TypeError in every function and operator; so is an implicit conversion.
- Reductions return 0-d arrays, never scalars.
- Calls that would make the host wait for a real device (`get`, `item`, `float`, `bool`, boolean
  masks, copies in either direction) are counted in `synchronizations`.
- Memory that a kernel or `empty` does not write is NaN, or the integer with all bits set.
- `add.at` adds in another order each time, as atomic additions do.
- Raw kernels run their own CUDA source, under `tests/support/host_cuda`.
- While a thread's stream captures, its operations are only recorded: results are NaN until the graph
  is launched. Waiting for the device is refused, and so is cuBLAS.
- A stream other than the current one does a sum over devices as late as it may: see `strict_nccl`. What
  follows on that stream waits for it, and so does a stream that waits for an event after it.
- An array larger than `memory_limit` bytes finds no memory.
- The current allocator allocates each new array. A graph whose memory is freed cannot be launched.

It is registered as backend "strict" through the entry-point group `scratchnet.backends`, as a backend of
another package would be.
"""

import contextlib
import importlib
import sys
import threading
import weakref
from types import SimpleNamespace

import numpy as np
from host_cuda import COMPILER, HostModule

from backends import BackendUnavailableError
from backends.cuda.backend import CuPyBackend
from backends.cuda.loading import choose_device

__version__ = "14.2 (strict stand-in)"
synchronizations = 0
memory_limit = 1 << 33


class _Current(threading.local):
    work = None  # while this thread's stream captures, what a launch of the graph will do
    memory = None  # and where that has allocated its arrays
    capturing = ()  # and the streams that take part
    communicators = ()  # and those of the sums in it
    allocator = None  # within `using_allocator`
    device = 0

    def __init__(self):
        self.streams = [_null]  # the current one is the last
        self.waited = {}  # for which work of each stream the host has waited


class Event:
    def __init__(self, disable_timing=False):
        self.stream = None

    done = True

    def record(self, stream):
        self.stream, self.capture = stream, _stream.work if stream in _stream.capturing else None
        self.known = stream.known | {stream.ptr: stream.issued}
        self.ended = stream.ended + len(stream.pending)


_streams = weakref.WeakValueDictionary()


class Stream:
    def __init__(self, non_blocking=False, ptr=None):
        assert non_blocking, "while a blocking stream captures, the null stream fails"
        self.ptr = 1 + max(_streams, default=0) if ptr is None else ptr
        self.pending, self.ended = [], 0  # work that it has yet to do, and how much it has done of it
        self.issued, self.known = 0, {}  # the work on this stream, and on others that it has waited for
        _streams[self.ptr] = self

    def __enter__(self):
        _stream.streams.append(self)
        return self

    def __exit__(self, *_):
        assert _stream.streams.pop() is self

    def synchronize(self):
        _synchronize(self)

    def is_capturing(self):
        return self in _stream.capturing

    def record(self):
        event = Event()
        event.record(self)
        return event

    def wait_event(self, event):
        assert event.stream is not None, "an event that was not recorded"
        if event.capture is not None:
            if event.capture is not _stream.work:
                raise CUDARuntimeError("cudaErrorCapturedEvent: the capture has ended")
            if self not in _stream.capturing:
                _stream.capturing.append(self)
                self.issued += 1  # the capture has to wait for it, even if it does nothing
        elif self in _stream.capturing:
            raise CUDARuntimeError("cudaErrorStreamCaptureIsolation: an event outside of the capture")
        for ptr, issued in event.known.items():
            self.known[ptr] = max(issued, self.known.get(ptr, 0))
        for work in event.stream.ends(event.ended):
            _issue(self, work)

    def ends(self, ended):
        """Return the pending work up to this place, which it no longer has to do."""
        many = max(0, ended - self.ended)
        work, self.pending[:many] = self.pending[:many], []
        self.ended += many
        return work

    def begin_capture(self):
        assert _stream.work is None, "a stream was left capturing"
        _stream.work, _stream.memory, _stream.communicators = [], [], []
        _stream.capturing = [self]

    def end_capture(self):
        work, _stream.work = _stream.work, None
        (_, *others), _stream.capturing = _stream.capturing, ()
        left = [each for each in others if self.known.get(each.ptr, 0) < each.issued]
        for each in left:
            each.ends(each.ended + len(each.pending))
        if left:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnjoined: a stream was not waited for")
        return Graph(work, _stream.memory, _stream.communicators)


_null = Stream(non_blocking=True, ptr=0)
_stream = _Current()


def _issue(stream, work):
    """Do work on a stream: now, after what that has yet to do, or at each launch of the graph."""
    stream.issued += 1
    if stream.pending:
        stream.pending.append(work)
    elif _stream.work is None:
        work()
    else:
        _stream.work.append(work)


def _check_order(stream):
    """Return whether a stream captures. It must have waited for the one that its work comes from."""
    origin = next((each for each in reversed(_stream.streams) if each is not stream), stream)
    known = max(stream.known.get(origin.ptr, 0), _stream.waited.get(origin.ptr, 0))
    assert origin is stream or known >= origin.issued, "a sum begins before its operands are there"
    captured = _stream.work is not None
    assert captured == stream.is_capturing(), "a sum that does not take part in the capture"
    return captured


def _enqueue(stream, begin, end):
    """Let a stream do work that ends as late as it may, unless the host works with this stream."""
    first = _stream.capturing[0] if _stream.capturing else _null
    if stream is first or stream.pending:
        _issue(stream, begin)
        _issue(stream, end)
    else:
        _issue(stream, begin)
        stream.pending.append(end)


_memories = weakref.WeakValueDictionary()
"""The memory of each array on the device, by its address."""


def _memory_at(address):
    if address in _memories:
        return _memories[address]
    for first, memory in list(_memories.items()):
        if first < address < first + memory.host.nbytes:
            return memory
    return None


class ndarray:
    """An array "on the device"."""

    __slots__ = ("_host", "_memory", "base")
    __hash__ = None
    __array_priority__ = 100

    def __init__(self, host, base=None, memory=None):
        self._host, self.base, self._memory = np.asarray(host), base, memory

    shape = property(lambda self: self._host.shape)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    dtype = property(lambda self: self._host.dtype)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: self._host.flags)
    data = property(lambda self: SimpleNamespace(ptr=self._host.ctypes.data))
    T = property(lambda self: ndarray(self._host.T, base=self))

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_ufunc__(self, *_, **__):
        raise TypeError("a NumPy ufunc met a device array")

    def __array_function__(self, *_):
        raise TypeError("a NumPy function met a device array")

    def __len__(self):
        return len(self._host)

    def __repr__(self):
        return f"strict{self._host!r}"

    def get(self):
        _synchronize()
        return self._host.copy()

    def set(self, host, stream):
        _synchronize()
        assert (host.shape, host.dtype) == (self.shape, self.dtype)
        self._host[...] = host

    def item(self):
        _synchronize()
        return self._host.item()

    tolist = __float__ = __int__ = __bool__ = None  # replaced below

    def __getitem__(self, index):
        host, index = self._host, _index(index)
        return _new(lambda: host[index], self)

    def __setitem__(self, index, value):
        host, index, value = self._host, _index(index), _in(value)
        _change(lambda: host.__setitem__(index, value))

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getattr__(self, name):
        if name.startswith("__") or not hasattr(np.ndarray, name):
            raise AttributeError(name)
        found = getattr(self._host, name)
        return _wrap(found, name, self) if callable(found) else found


def _converter(convert):
    def method(self):
        _synchronize()
        return convert(self._host)

    return method


for _name, _convert in (
    ("tolist", np.ndarray.tolist), ("__float__", float), ("__int__", int), ("__bool__", bool),
):  # fmt: skip
    setattr(ndarray, _name, _converter(_convert))


def _operator(name):
    def method(self, *others):
        if any(getattr(other, "__array_ufunc__", 0) is None for other in others):
            return NotImplemented  # as in CuPy: the other operand takes over
        _no_cublas(name)
        host, others = self._host, [_in(other) for other in others]
        if name.startswith("__i") and name != "__invert__":
            _change(lambda: getattr(host, name)(*others))
            return self
        return _new(lambda: getattr(host, name)(*others))

    return method


_OPERATORS = """add sub mul truediv floordiv mod pow matmul radd rsub rmul rtruediv rpow rmatmul
iadd isub imul itruediv eq ne lt le gt ge and or xor lshift rshift neg abs invert"""

for _name in _OPERATORS.split():
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))


def _synchronize(stream=None):
    global synchronizations
    if _stream.work is not None:
        raise RuntimeError("the current stream is capturing, so synchronous API calls are disallowed")
    synchronizations += 1
    stream = stream or _stream.streams[-1]
    for work in stream.ends(stream.ended + len(stream.pending)):
        work()
    _stream.waited |= stream.known | {stream.ptr: stream.issued}


_CUBLAS = {"matmul", "rmatmul", "dot", "tensordot", "einsum"}


def _no_cublas(name):
    if _stream.work is not None and name.strip("_") in _CUBLAS:
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")


def _in(value):
    """Check what a function of CuPy accepts: device arrays, Python scalars, and lists of them."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, (np.ndarray, np.generic)):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        return type(value)(_in(each) for each in value)
    return value


def _index(index):
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, ndarray) and part.dtype == bool for part in parts):
        _synchronize()  # the size of the result depends on the data
    return _in(index)


def _change(work):
    """Do work on an existing array, on the current stream."""
    _issue(_stream.streams[-1], work)


def _new(work, base=None, unwritten=False):
    """Return the result of some work as a device array, or a view."""
    stream = _stream.streams[-1]
    later = _stream.work is not None or bool(stream.pending)
    with np.errstate(**({"all": "ignore"} if later else {})):
        result = work()
    if isinstance(result, (list, tuple)):
        return type(result)(_new(lambda i=i: work()[i], base) for i in range(len(result)))
    if not isinstance(result, (np.ndarray, np.generic)):
        return result
    if base is not None and np.may_share_memory(result, base._host):
        return ndarray(result, base=base)
    if result.nbytes > memory_limit:
        raise OutOfMemoryError(result.nbytes, 0)
    host = np.array(result)
    if (unwritten or later) and host.dtype.kind in "fiu":
        host.fill(np.nan if host.dtype.kind == "f" else np.invert(host.dtype.type(0)))
    memory = (_stream.allocator or _allocator)(host.nbytes)
    memory.mem.host, memory.mem.device = host, _stream.device
    if host.nbytes:
        _memories[host.ctypes.data] = memory.mem
    if later:  # a launch may name it by its address alone: the graph keeps it
        _issue(stream, (lambda: host) if unwritten else (lambda: np.copyto(host, work())))
    else:
        stream.issued += 1
    if _stream.work is not None:
        _stream.memory.append(memory.mem.lives_with)
    return ndarray(host, memory=memory)


_CHANGES = {"fill", "sort", "partition"}


def _wrap(function, name, owner=None):
    def call(*args, **kwargs):
        _no_cublas(name)
        out, given = kwargs.get("out"), _in(args)
        host = {key: _in(value) for key, value in kwargs.items()}
        if out is not None or name in _CHANGES:
            _change(lambda: function(*given, **host))
            return out
        owners = [owner, *(each for each in args if isinstance(each, ndarray))]
        base = next((each for each in owners if each is not None), None)
        return _new(lambda: function(*given, **host), base, unwritten=name.startswith("empty"))

    if isinstance(function, np.ufunc):
        call.at = lambda *args: (lambda given: _change(lambda: _in_some_order(function, *given)))(
            _in(args)
        )
    return call


def _in_some_order(function, target, index, values):
    """Run `function.at` in another order each time, whatever the seed: on a device it is atomic."""
    places = np.arange(target.size).reshape(target.shape)[index]
    order = np.random.default_rng().permutation(places.size)
    where = np.unravel_index(places.reshape(-1)[order], target.shape)
    function.at(target, where, np.broadcast_to(values, places.shape).reshape(-1)[order])


def asarray(value, dtype=None):
    if isinstance(value, ndarray):
        return value.astype(dtype) if dtype else value
    _synchronize()
    host = np.array(value, dtype)
    host = host.astype(host.dtype.newbyteorder("="))  # CuPy does not keep a foreign byte order either
    return _new(lambda: host)


def asnumpy(value):
    return value.get()


array = asarray


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    found = getattr(np, name)
    return found if isinstance(found, (type, float, type(None))) else _wrap(found, name)


class RawModule:
    """CUDA source and options. Its kernels run on the CPU."""

    def __init__(self, code, options):
        self._module = HostModule(code, options)

    def get_function(self, name):
        return RawKernel(self._module.get_function(name))


class RawKernel:
    __slots__ = ("_kernel", "max_dynamic_shared_size_bytes", "preferred_shared_memory_carveout")

    def __init__(self, kernel):
        self._kernel = kernel
        self.max_dynamic_shared_size_bytes, self.preferred_shared_memory_carveout = 0, -1

    def __call__(self, grid, block, args, shared_mem=0):
        for each in args:
            assert isinstance(each, (ndarray, np.generic)) or each.shape == (), "not what CuPy takes"
        held = [each._host if isinstance(each, ndarray) else np.array(each) for each in args]
        told = [
            np.uint64(host.ctypes.data) if isinstance(each, ndarray) else host
            for each, host in zip(args, held, strict=True)
        ]
        self._kernel.max_dynamic_shared_size_bytes = self.max_dynamic_shared_size_bytes
        _change(lambda held=held: self._kernel(grid, block, told, shared_mem))


class OutOfMemoryError(MemoryError):
    def __init__(self, size, total):
        self._size, self._total = size, total


class CUDARuntimeError(RuntimeError):
    pass


class CUDADriverError(RuntimeError):
    pass


class Graph:
    def __init__(self, work, memory, communicators):
        self._work, self._memory = work, memory
        for each in communicators:
            each.graphs.add(self)

    def launch(self):
        if any(each() is None for each in self._memory):
            raise CUDARuntimeError("cudaErrorIllegalAddress: memory of the graph has been freed")
        for each in self._work:
            each()


class Memory:
    """Memory from cudaMalloc, freed when it is dropped, or with its pool."""

    def __init__(self, size, pool=None):
        self.size, self.lives_with = size, weakref.ref(pool or self)


class MemoryPointer:
    def __init__(self, mem, offset):
        self.mem = mem


class MemoryPool:
    def malloc(self, size):
        return MemoryPointer(Memory(size, pool=self), 0)

    def used_bytes(self):
        return 0

    def free_all_blocks(self):
        pass


_default_pool = MemoryPool()
_allocator = _default_pool.malloc


def _set_allocator(allocator=None):
    global _allocator
    if _stream.allocator is not None:
        raise ValueError("Can't change the global allocator inside `using_allocator` context manager")
    _allocator = allocator or (lambda size: MemoryPointer(Memory(size), 0))


@contextlib.contextmanager
def _using_allocator(allocator):
    former, _stream.allocator = _stream.allocator, allocator
    try:
        yield
    finally:
        _stream.allocator = former


devices = 8
"""How many devices the machine has."""


class Device:
    def __init__(self):
        self.id = _stream.device

    def __enter__(self):
        self._former, _stream.device = _stream.device, self.id

    def __exit__(self, *_):
        _stream.device = self._former


def _set_device(number):
    assert 0 <= number < devices
    _stream.device = number


_device = {
    "name": b"strict stand-in", "major": 9, "minor": 0, "multiProcessorCount": 4,
    "sharedMemPerBlockOptin": 232448,
}  # fmt: skip

cuda = SimpleNamespace(
    Stream=Stream,
    Event=Event,
    Memory=Memory,
    MemoryPointer=MemoryPointer,
    MemoryPool=MemoryPool,
    set_allocator=_set_allocator,
    using_allocator=_using_allocator,
    get_current_stream=lambda: _stream.streams[-1],
    Device=Device,
    alloc_pinned_memory=bytearray,
    compiler=SimpleNamespace(CompileException=HostModule.CompileException),
    memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    driver=SimpleNamespace(CUDADriverError=CUDADriverError),
    runtime=SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        getDevice=lambda: _stream.device,
        getDeviceCount=lambda: devices,
        setDevice=_set_device,
        getDeviceProperties=lambda device: _device,
        memGetInfo=lambda: (memory_limit, memory_limit),
        runtimeGetVersion=lambda: 13020,
    ),
)


def get_default_memory_pool():
    return _default_pool


class StrictBackend(CuPyBackend):
    """The CuPy backend over this module."""

    name = "strict"

    def __init__(self):
        if COMPILER is None:
            raise BackendUnavailableError("backend strict: no C++ compiler; fix: install g++")
        choose_device(cuda.runtime, devices)
        self._start(sys.modules[__name__])

    def describe(self):
        return "strict stand-in for CuPy, on the CPU"


sys.modules[f"{__name__}.cuda.nccl"] = importlib.import_module("strict_nccl")
