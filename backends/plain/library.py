"""An array library: its device, and the array operations that a backend may do in its own way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from backends import error_function
from backends.errors import WrongArrayError, kind_of

if TYPE_CHECKING:
    from backends.plain.communicator import Communicator

Array: TypeAlias = Any
"""An array of the active backend's library: `numpy.ndarray`, `cupy.ndarray`, …"""

T = TypeVar("T")


class Library:
    """An array library with a NumPy-like interface.

    A subclass sets `name`, and its `__init__` sets `xp` and `array_type`. If the library or its device
    cannot be used, `__init__` raises `BackendUnavailableError` with the cause and the fix.
    """

    name: str
    device_name: str = "the CPU"
    xp: ModuleType
    array_type: Any  # a class

    def __repr__(self) -> str:
        """The backend's name."""
        return self.name

    # The device boundary. Call these through `backends.to_host` and so on, which count the copies.

    def to_host(self, array: Array) -> np.ndarray:
        """Return the same numbers as a NumPy array."""
        return np.asarray(array)

    def to_device(self, array: np.ndarray) -> Array:
        """Return the same numbers as an array of this backend."""
        return self.xp.asarray(array)

    def copier(self) -> Callable[[np.ndarray], Callable[[], Array]]:
        """Return a function that begins to copy a host array to the device.

        It may be called in other threads. What it returns gives the copy, in this thread. This default
        copies at once.
        """

        def begin(array: np.ndarray) -> Callable[[], Array]:
            copy = self.to_device(array)
            return lambda: copy

        return begin

    def as_array(self, result: object) -> Array:
        """Return a function's result as an array. Most libraries return only arrays.

        Raises:
            WrongArrayError: it is something else, such as a host array on a device backend.
        """
        if not isinstance(result, self.array_type):
            raise WrongArrayError(
                f"{kind_of(result)} where an array of backend {self.name} was expected; "
                "move it with backends.to_device(...)"
            )
        return result

    def synchronize(self) -> None:
        """Wait until the device has finished all work."""

    def at_hand(self, number: Array) -> float | None:
        """Return a 0-d array's number if reading it does not wait for the device; otherwise None."""
        return None

    def first_false(self, known: Array) -> int | None:
        """Return the place of the first False among all elements, counted from 0; None if all are True.

        Return None also if reading it would wait for the device.
        """
        return None

    def describe(self) -> str:
        """Describe library, version and device in one line."""
        return f"{self.xp.__name__} {self.xp.__version__}"

    def explained(self) -> AbstractContextManager[object]:
        """Return a context in which the device's errors become `DeviceMemoryError` and `DeviceError`."""
        return nullcontext()

    def memory_in_use(self) -> int:
        """Return the bytes of the arrays on the device; 0 if the backend does not count them."""
        return 0

    def without_pools(self) -> None:
        """Give each new array its own allocation, so that a memory checker notices every overrun.

        This is for `compute-sanitizer` on a GPU. On the CPU it does nothing, because there is no pool.
        """

    def communicator(
        self, rank: int, size: int, share_id: Callable[[bytes | None], bytes]
    ) -> Communicator | None:
        """Return what adds up arrays over the devices of several processes; None for arrays of the host.

        The processes add up arrays of the host by MPI, which needs nothing of the backend.

        Args:
            rank: the number of this process, from 0.
            size: the number of processes. All call this function, and it waits for them.
            share_id: returns on every process the bytes that process 0 gave; others give None.

        Raises:
            BackendUnavailableError: a library that this needs is missing.
            DeviceError: the devices cannot be connected.
        """
        return None

    # Capture: repeated work as one launch.

    captures: bool = False
    """Whether `capture` makes repeated work faster. If not, nothing needs to be prepared for it."""

    def capture(self, work: Callable[[], T]) -> Callable[[], T]:
        """Return a function that does the same work on the same arrays; on the CPU, the work itself.

        Raises:
            CaptureError: the work cannot be captured. It has not been done.
        """
        return work

    def lay_out(self, weight: Array) -> Array:
        """Return a layer's weight, (out, in), in the memory order that `affine` reads fastest."""
        return weight

    # Array operations. These plain twins specify them.

    def matmul(self, a: Array, b: Array) -> Array:
        """Return `a @ b` for vectors, matrices, and stacks of matrices."""
        return a @ b

    def sum(self, x: Array, axis: Any = None, keepdims: bool = False) -> Array:
        """Return the sum along axes, in the dtype of x. float16 is added up in float32."""
        if x.dtype.char == "e":
            return x.sum(axis=axis, keepdims=keepdims, dtype=self.xp.float32).astype(x.dtype)
        return x.sum(axis=axis, keepdims=keepdims)

    def erf(self, x: Array) -> Array:
        """Return the error function of each element, to 4 ULP."""
        return error_function.erf(self.xp, x)

    def erfc(self, x: Array) -> Array:
        """Return 1 - erf(x), to 4 ULP, also on the tail."""
        return error_function.erfc(self.xp, x)

    def gelu(self, x: Array) -> Array:
        """Return x · erfc(-x / √2) / 2, to 4 ULP, also on the tail."""
        return error_function.gelu(self.xp, x)

    def threshold(self, x: Array, d: float) -> Array:
        """Return the larger of each element and d. NaN stays NaN."""
        return self.xp.maximum(x, d)

    def masked(self, grad: Array, mask: Array) -> Array:
        """Return grad where the mask is True, and 0 elsewhere, also where grad is infinite or NaN."""
        return self.xp.where(mask, grad, 0)

    def take_rows(self, source: Array, order: Array, out: Array) -> None:
        """Copy rows: row i of `out` becomes row order[i] of `source`.

        Args:
            source: (n, …), contiguous.
            order: (m,), integers in 0 … n - 1. Other values are not checked, and their result is
                undefined.
            out: (m, …), contiguous, of the source's dtype.
        """
        self.xp.take(source, order, axis=0, out=out)

    def embedding(self, weight: Array, indices: Array) -> Array:
        """Return the rows of a weight that the indices name.

        Args:
            weight: (rows, columns), floating.
            indices: integers of any shape.

        Returns:
            An array of the shape of `indices` followed by `columns`. An index outside 0 … rows - 1 gives
                a row of NaN, because a device cannot raise an error without stopping the host.
        """
        xp = self.xp
        known = (indices >= 0) & (indices < len(weight))
        return xp.where(known[..., None], weight[xp.where(known, indices, 0)], xp.nan)

    def scatter_add(self, target: Array, index: Array, values: Array) -> None:
        """Compute `target[index] += values` in place. If an index is repeated, its values are added up.

        Each row of the target receives its values one after the other, in their order in `values`. Each
        sum is rounded to the target's dtype. So the same input gives the same bits every time, on every
        backend. Only for float16 may the result be rounded once at the end.

        Args:
            target: (n, …), contiguous.
            index: integers in -n … n - 1, of any shape. Other values raise IndexError. A device cannot
                raise, so there they count modulo n, as in the device's indexing.
            values: the shape of `index` followed by that of a row; of the target's dtype.
        """
        self.xp.add.at(target, index, values)


def without_underflow(work: Callable[..., T], *arguments: Any) -> T:
    """Do work in which a number that is too small for its dtype becomes 0, also under `np.errstate`.

    Other floating-point errors raise as the caller's `np.errstate` says.
    """
    with np.errstate(under="ignore"):
        return work(*arguments)


def added_in_float32(
    scatter_add: Callable[[Array, Array, Array], None], target: Array, index: Array, values: Array
) -> None:
    """Do a `scatter_add` of float16 in float32, so that each sum is rounded once, at the end."""
    wide = target.astype(np.float32)
    scatter_add(wide, index, values.astype(np.float32))
    target[...] = wide
