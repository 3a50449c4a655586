"""Products of matrices that go straight into what they are added to, which NumPy does not offer.

BLAS computes `out += alpha * a @ b` in one pass. The gradient of a weight is such a product, and the
update adds it to the weight: so, where nobody looks in between, the gradient need not be written to
memory and read again, which two cores pay for dearly. A product is deferred, then, until it is known
what becomes of it.

NumPy's wheels carry OpenBLAS, and its C interface (netlib.org/blas/cblas.h) is called in that very
library: a second BLAS beside it would bring threads of its own, and the two would take turns waiting.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

import numpy as np

_BY_ROWS, _BY_COLUMNS, _AS_IT_IS, _TRANSPOSED = 101, 102, 111, 112

_PROBE = np.zeros(1)

_deferring: ContextVar[Mapping[int, np.ndarray]] = ContextVar(
    "scratchnet_deferring", default=MappingProxyType({})
)
"""The weights whose gradients may be deferred, by identity."""


class DeferredProduct:
    """`a @ b`, computed when somebody asks. Until then, neither may be changed.

    Args:
        a: (n, k).
        b: (k, m).
        like: (n, m), an array whose dtype and memory order the product has.
    """

    __slots__ = ("a", "b", "like", "product")
    base = None  # as an array that is nobody's view

    def __init__(self, a: np.ndarray, b: np.ndarray, like: np.ndarray) -> None:
        """See the class."""
        self.a, self.b, self.like = a, b, like
        self.product: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The product's, (n, m)."""
        return self.like.shape

    def compute(self) -> np.ndarray:
        """The product as an array, the same each time."""
        a, b, like = self.a, self.b, self.like
        if self.product is None:
            if a.dtype is b.dtype is like.dtype:
                self.product = np.matmul(a, b, out=np.empty_like(like))
            else:
                self.product = np.matmul(a, b).astype(like.dtype)
        return self.product

    def uses(self, arrays: Iterable[np.ndarray]) -> bool:
        """Whether a factor may lie in the memory of one of the arrays."""
        a, b = _owner(self.a), _owner(self.b)
        for each in arrays:
            owner = _owner(each)
            if owner is None or a is None or b is None:
                if np.may_share_memory(each, self.a) or np.may_share_memory(each, self.b):
                    return True
            elif owner is a or owner is b:
                return True
        return False

    def add_to(self, out: np.ndarray, alpha: float) -> None:
        """`out += alpha * a @ b`, in place: in one pass where BLAS can."""
        a, b = self.a, self.b
        lies, a_lies, b_lies = out.flags, a.flags, b.flags
        gemm = _gemm(out.dtype) if out.dtype is a.dtype is b.dtype and lies.writeable else None
        if (
            self.product is not None
            or gemm is None
            or not (lies.forc and a_lies.forc and b_lies.forc and a.size and b.size)
        ):
            out += alpha * self.compute()
            return
        (n, k), m = a.shape, b.shape[1]
        rows, a_rows, b_rows = lies.c_contiguous, a_lies.c_contiguous, b_lies.c_contiguous
        gemm(
            _BY_ROWS if rows else _BY_COLUMNS,
            _AS_IT_IS if a_rows == rows else _TRANSPOSED,
            _AS_IT_IS if b_rows == rows else _TRANSPOSED,
            n, m, k,
            alpha, _address(a), k if a_rows else n, _address(b), m if b_rows else k,
            1.0, _address(out), m if rows else n,
        )  # fmt: skip


def computed(array: Any) -> Any:
    """A deferred product as an array; an array as it is."""
    return array.compute() if type(array) is DeferredProduct else array


@contextmanager
def deferred_products(weights: Iterable[np.ndarray]) -> Iterator[None]:
    """Within it, a backend may leave the gradient of one of these weights as a `DeferredProduct`.

    For whoever sees to it that nothing it is made of changes before it is used or computed.
    """
    token = _deferring.set({id(each): each for each in weights})
    try:
        yield
    finally:
        _deferring.reset(token)


def deferred(weight: np.ndarray) -> bool:
    """Whether the gradient of this weight may be deferred."""
    return id(weight) in _deferring.get()


def adds_products() -> bool:
    """Whether a product can be added to an array in one pass here: with NumPy's own wheels."""
    return _gemm(np.dtype("float32")) is not None


def _owner(array: np.ndarray) -> np.ndarray | None:
    """The array whose memory this one lies in; None where that is not NumPy's own."""
    while array.base is not None:
        array = array.base
        if type(array) is not np.ndarray:
            return None
    return array


def _address(array: np.ndarray) -> Any:
    """`array.ctypes.data`, four times as fast: the field that follows Python's header.

    That place is part of NumPy's binary interface (PyArrayObject_fields in ndarraytypes.h), and `_gemm`
    looks whether it is so.
    """
    return ctypes.c_void_p.from_address(id(array) + object.__basicsize__).value


@cache
def _gemm(dtype: np.dtype[Any]) -> Callable[..., None] | None:
    """BLAS's product of matrices of this dtype, in the library that NumPy itself uses."""
    letter = {np.dtype("float32"): "s", np.dtype("float64"): "d"}.get(dtype)
    try:
        library = ctypes.CDLL(import_module("numpy._core._multiarray_umath").__file__)
        gemm: Any = library[f"scipy_cblas_{letter}gemm64_"]
    except (ImportError, OSError, AttributeError):
        return None
    if sys.implementation.name != "cpython" or _address(_PROBE) != _PROBE.ctypes.data:
        return None
    number = ctypes.c_float if letter == "s" else ctypes.c_double
    address, size = ctypes.c_void_p, ctypes.c_int64
    gemm.argtypes = (
        *3 * [ctypes.c_int], *3 * [size], number, address, size, address, size, number, address, size,
    )  # fmt: skip
    gemm.restype = None
    found: Callable[..., None] = gemm
    return found
