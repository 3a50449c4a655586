"""CuPy: one NVIDIA GPU. Its kernels are written in CUDA, and a whole epoch becomes one launch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from backends.backend import Backend, TwoLayers
from backends.cuda.collective import NcclCommunicator, ShareId
from backends.cuda.compiled import LABEL, NUMBER, REAL, RULES, Kernels
from backends.cuda.copying import Copies
from backends.cuda.graph import capture
from backends.cuda.loading import load_cupy, version_name
from backends.cuda.two_layers import MOST_CLASSES, TwoLayerKernels, shared_bytes
from backends.errors import DeviceError, DeviceMemoryError
from backends.plain.library import Array, added_in_float32
from backends.plain.update import Rule, Target
from backends.setting import Setting

T = TypeVar("T")


class CuPyBackend(Backend):
    """CuPy on one CUDA device: see `backends.cuda.loading.choose_device`.

    The kernels take float32 and float64. Other dtypes, and operands of different dtypes, use the plain
    twins.
    """

    name = "cupy"
    captures = True

    def __init__(self) -> None:
        """Import CuPy and check that it works.

        Raises:
            BackendUnavailableError: CuPy or the driver is missing, too old or broken; or there is no
                device, or it is too old.
        """
        self._start(load_cupy())

    def _start(self, cupy: ModuleType) -> None:
        self.xp, self.array_type = cupy, cupy.ndarray
        device = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())
        self.device_name = device["name"].decode()
        self._cluster = 8 if device["major"] >= 9 else 1
        self._copies_by_itself = device["major"] >= 8
        self._shared_limit = device["sharedMemPerBlockOptin"]
        self._kernels = Kernels(cupy, device["multiProcessorCount"])
        self._two_layers: dict[tuple[Any, ...], TwoLayerKernels] = {}
        self._pooled = True
        self._copies: Copies | None = None

    def to_host(self, array: Array) -> np.ndarray:
        """Copy to the host; waits for the device."""
        host: np.ndarray = self.xp.asnumpy(array)
        return host

    def to_device(self, array: np.ndarray) -> Array:
        """Copy to the device.

        Raises:
            DeviceMemoryError: the device has too little memory.
        """
        with self.explained():
            return self.xp.asarray(array)

    def copier(self) -> Callable[[np.ndarray], Callable[[], Array]]:
        """As the base class, by copies that run beside the work of the current stream."""
        if self._copies is None:
            self._copies = Copies(self.xp)
        copies, consumer = self._copies, self.xp.cuda.get_current_stream()

        def begin(array: np.ndarray) -> Callable[[], Array]:
            with self.explained():
                return copies.begin(array, consumer)

        return begin

    def synchronize(self) -> None:
        """Wait for the current stream."""
        self.xp.cuda.get_current_stream().synchronize()

    def describe(self) -> str:
        """Return the versions of CuPy and CUDA, and the device."""
        runtime = self.xp.cuda.runtime
        cuda = version_name(runtime.runtimeGetVersion())
        return f"cupy {self.xp.__version__}, CUDA {cuda}, {self.device_name}"

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn CuPy's errors into ours, with the sizes and the fix.

        Raises:
            DeviceMemoryError: there was too little memory for an array.
            DeviceError: a kernel failed, and the device refuses this process from then on; or a kernel
                does not compile for this device.
        """
        cuda = self.xp.cuda
        try:
            yield
        except cuda.memory.OutOfMemoryError as error:
            wanted, free = error._size, cuda.runtime.memGetInfo()[0]
            in_use = self.memory_in_use()
            raise DeviceMemoryError(
                f"{self.name}: an array of {_size(wanted)} does not fit on {self.device_name}, "
                f"which has {_size(free)} free; {_size(in_use)} are in use here",
                wanted,
                free,
                in_use,
            ) from error
        except (cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError) as error:
            raise DeviceError(
                f"{self.name}: {self.device_name} failed: {' '.join(str(error).split())}; restart the "
                "process, with CUDA_LAUNCH_BLOCKING=1 to find out which operation failed"
            ) from error

        except cuda.compiler.CompileException as error:
            cause = str(error).strip().partition("\n")[0]
            raise DeviceError(
                f"{self.name}: a kernel does not compile for {self.device_name}: {cause}; fix: another "
                "version of CuPy, or of CUDA"
            ) from error

    def memory_in_use(self) -> int:
        """Return the bytes in use, as CuPy's memory pool counts them."""
        return int(self.xp.get_default_memory_pool().used_bytes())

    def communicator(self, rank: int, size: int, share_id: ShareId) -> NcclCommunicator:
        """As the base class, by NCCL."""
        with self.explained():
            return NcclCommunicator(self.xp, self.name, rank, size, share_id)

    def capture(self, work: Callable[[], T]) -> Callable[[], T]:
        """Record the work as a CUDA graph: see `backends.cuda.graph.capture`."""
        return capture(self.xp, work, self._pooled)

    def without_pools(self) -> None:
        """Give each new array its own cudaMalloc, for compute-sanitizer.

        A memory pool places arrays next to each other in large allocations. If a kernel writes past the
        end of an array, it changes another array, and the sanitizer does not notice. A graph that is
        captured from now on keeps all its allocations as long as it lives. Existing arrays and graphs
        stay in their pools. This process cannot return to pools.
        """
        self.xp.cuda.set_allocator(None)
        self._pooled = False

    def matmul(self, a: Array, b: Array) -> Array:
        """As the plain twin, by a kernel that can be captured."""
        if not _alike(a, b):
            return super().matmul(a, b)
        row, column = a.ndim == 1, b.ndim == 1
        a = a[None, :] if row else a
        b = b[:, None] if column else b
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        if stack:
            count = math.prod(stack)
            a, b = (
                self.xp.broadcast_to(m, stack + m.shape[-2:]).reshape(count, *m.shape[-2:])
                for m in (a, b)
            )
        c = self._kernels.product(a, b)
        c = c.reshape(*stack, *c.shape[-2:])
        c = c[..., 0, :] if row else c
        return c[..., 0] if column else c

    def erf(self, x: Array) -> Array:
        """As the plain twin, in one launch."""
        return self._of_each("erf", x, super().erf)

    def erfc(self, x: Array) -> Array:
        """As the plain twin, in one launch."""
        return self._of_each("erfc", x, super().erfc)

    def gelu(self, x: Array) -> Array:
        """As the plain twin, in one launch."""
        return self._of_each("gelu", x, super().gelu)

    def _of_each(self, name: str, x: Array, twin: Callable[[Array], Array]) -> Array:
        if not _alike(x):
            return twin(x)
        return self._kernels.error_function(name, self.xp.ascontiguousarray(x)).reshape(x.shape)

    def random_bits(self, key: tuple[int, int], draws: Array, count: int, first: int = 0) -> Array:
        """As the plain twin, in one launch."""
        return self._kernels.random_bits(key, draws, count, first)

    def take_rows(self, source: Array, order: Array, out: Array) -> None:
        """As the plain twin, 16 bytes at a time if the rows allow it."""
        self._kernels.take_rows(source, self.xp.ascontiguousarray(order), out)

    def scatter_add(self, target: Array, index: Array, values: Array) -> None:
        """As the plain twin. CuPy's own `add.at` is atomic, so its order of additions changes."""
        if target.dtype == np.float16:
            added_in_float32(self.scatter_add, target, index, values)
            return
        real = {"F": "f", "D": "d"}.get(target.dtype.char, target.dtype.char)
        if real not in NUMBER:
            super().scatter_add(target, index, values)
        elif values.size:
            contiguous = self.xp.ascontiguousarray
            target, values = (
                each.reshape(many, -1).view(real)
                for each, many in ((target, len(target)), (contiguous(values), index.size))
            )
            self._kernels.scatter_add(target, contiguous(index).reshape(-1), values)

    def affine(self, x: Array, weight: Array, bias: Array, relu: bool = False) -> Array:
        """As the plain twin, in one launch."""
        if not _alike(x, weight, bias):
            return super().affine(x, weight, bias, relu)
        bias = self.xp.ascontiguousarray(bias)
        return self._kernels.product(x, weight.T, bias=bias, relu=relu)

    def affine_backward(
        self,
        grad: Array,
        x: Array,
        weight: Array,
        y: Array | None,
        needs_grad: Sequence[bool],
    ) -> tuple[Array | None, Array | None, Array | None]:
        """As the plain twin, in one launch for x and one for weight and bias."""
        if not _alike(grad, *(each for each in (x, weight, y) if each is not None)):
            return super().affine_backward(grad, x, weight, y, needs_grad)
        if y is not None and grad.strides != y.strides:
            grad, y = self.xp.ascontiguousarray(grad), self.xp.ascontiguousarray(y)
        product, to_x, to_weight, to_bias = self._kernels.product, None, None, None
        if needs_grad[0]:
            to_x = product(grad, weight, mask=y)
        if needs_grad[1]:
            mask = None if y is None else y.T
            to_bias = self.xp.empty(grad.shape[1], grad.dtype) if needs_grad[2] else None
            to_weight = product(grad.T, x, mask=mask, row_sums=to_bias)
        elif needs_grad[2]:
            to_bias = self.sum(grad if y is None else self.masked(grad, y > 0), axis=0)
        return to_x, to_weight, to_bias

    def softmax_cross_entropy(self, logits: Array, labels: Array) -> tuple[Array, Array]:
        """As the plain twin, in two launches."""
        if not _alike(logits) or labels.dtype.char not in LABEL:
            return super().softmax_cross_entropy(logits, labels)
        contiguous = self.xp.ascontiguousarray
        return self._kernels.softmax_cross_entropy(contiguous(logits), contiguous(labels))

    def sgd_update(
        self, parameters: Sequence[Array], gradients: Sequence[Array], learning_rate: Setting
    ) -> None:
        """As the plain twin, in one launch for all contiguous arrays of one dtype."""
        alike: dict[str, tuple[list[Array], list[Array]]] = {}
        for pair in zip(parameters, gradients, strict=True):
            if _alike(*pair) and all(each.flags.c_contiguous for each in pair):
                group = alike.setdefault(pair[0].dtype.char, ([], []))
                for arrays, array in zip(group, pair, strict=True):
                    arrays.append(array)
            else:
                rate = learning_rate.on_device(self.xp).astype(pair[0].dtype)
                pair[0].__isub__(rate * pair[1])
        for group in alike.values():
            self._kernels.sgd_update(*group, learning_rate)

    def update(
        self, rule: Rule, settings: Mapping[str, Any], learning_rate: Setting, targets: Sequence[Target]
    ) -> None:
        """As the plain twin. All contiguous arrays of one dtype are updated in one launch.

        If the rule keeps a number for each parameter, a launch before it changes those.
        """
        alike: dict[str, list[Target]] = {}
        for parameter, gradient, arrays, scalars in targets:
            if not gradient.flags.c_contiguous:
                gradient = self.xp.ascontiguousarray(gradient)
            every = parameter, gradient, *arrays
            fits = _alike(*every) and all(array.flags.c_contiguous for array in every)
            known = rule.name in RULES and fits
            target = Target(parameter, gradient, arrays, scalars)
            alike.setdefault(parameter.dtype.char if known else "", []).append(target)
        for char, chosen in alike.items():
            update = self._kernels.update_rule if char else super().update
            update(rule, settings, learning_rate, chosen)

    def fuses(self, x: Array, labels: Array, parameters: TwoLayers) -> bool:
        """Return whether the kernels of the two-layer network can train with these arrays.

        They need contiguous float32 arrays, integer labels, 2 to 32 classes, and a hidden layer that
        fits into a block's shared memory. They copy 16 bytes at a time asynchronously. This needs
        aligned addresses and compute capability 8.0 or later.
        """
        (hidden, inputs), classes = parameters[0].shape, len(parameters[2])
        arrays = (x, *parameters)
        return (
            self._copies_by_itself
            and 2 <= classes <= MOST_CLASSES
            and shared_bytes(inputs, hidden, classes, self._cluster) <= self._shared_limit
            and labels.dtype.char in LABEL
            and all(each.dtype == np.float32 and each.data.ptr % 16 == 0 for each in arrays)
            and all(each.flags.c_contiguous for each in (*arrays, labels))
        )

    def two_layer_epoch(
        self, x: Array, labels: Array, batch_size: int, parameters: TwoLayers, learning_rate: Setting
    ) -> Array:
        """As the plain twin, in two launches per step."""
        kernels = self.two_layer_kernels(labels, parameters)
        return kernels.epoch(x, labels, batch_size, parameters, learning_rate)

    def two_layer_evaluation(
        self, x: Array, labels: Array, batch_size: int, parameters: TwoLayers
    ) -> Array:
        """As the plain twin, in two launches."""
        return self.two_layer_kernels(labels, parameters).evaluation(x, labels, batch_size, parameters)

    def two_layer_kernels(self, labels: Array, parameters: TwoLayers) -> TwoLayerKernels:
        """Return the kernels for these sizes, compiled at their first use."""
        (hidden, inputs), classes = parameters[0].shape, len(parameters[2])
        key = inputs, hidden, classes, labels.dtype.char
        if key not in self._two_layers:
            self._two_layers[key] = TwoLayerKernels(self._kernels, self._cluster, *key)
        return self._two_layers[key]


def _alike(*arrays: Array) -> bool:
    """Whether all have the same dtype, and the kernels support it."""
    chars = {each.dtype.char for each in arrays}
    return len(chars) == 1 and chars <= REAL.keys()


def _size(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"
