"""A strict stand-in for CuPy where there is no GPU: NumPy's arithmetic and CuPy's refusals.

- A host array is a TypeError in every function and operator; so is an implicit conversion.
- Reductions give 0-d arrays, never scalars.
- What makes the host wait for a real device (`get`, `item`, `float`, `bool`, boolean masks, copies
  either way) is counted in `synchronizations`.

It is registered as backend "strict" through the entry-point group `scratchnet.backends`, as any
other distribution would register one.
"""

import sys
from types import SimpleNamespace

import numpy as np

from backends.cupy_backend import CuPyBackend

__version__ = "14.2 (strict stand-in)"
synchronizations = 0


class ndarray:
    """An array "on the device"."""

    __slots__ = ("_host", "base")
    __hash__ = None
    __array_priority__ = 100

    def __init__(self, host, base=None):
        self._host, self.base = np.asarray(host), base

    shape = property(lambda self: self._host.shape)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    dtype = property(lambda self: self._host.dtype)
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

    def item(self):
        _synchronize()
        return self._host.item()

    tolist = __float__ = __int__ = __bool__ = None  # replaced below

    def __getitem__(self, index):
        return _out(self._host[_index(index)], base=self)

    def __setitem__(self, index, value):
        self._host[_index(index)] = _in(value)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getattr__(self, name):
        if name.startswith("__") or not hasattr(np.ndarray, name):
            raise AttributeError(name)
        return _wrap(getattr(self._host, name), self)


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
            return NotImplemented  # as CuPy: the other operand takes over
        host = [_in(other) for other in others]
        result = getattr(self._host, name)(*host)
        if name.startswith("__i"):
            return self
        return result if result is NotImplemented else _out(result)

    return method


_OPERATORS = """add sub mul truediv floordiv mod pow matmul radd rsub rmul rtruediv rpow rmatmul
iadd isub imul itruediv eq ne lt le gt ge and or neg abs invert"""

for _name in _OPERATORS.split():
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))


def _synchronize():
    global synchronizations
    synchronizations += 1


def _in(value):
    """What a function of CuPy takes: device arrays, Python scalars, and lists of them."""
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


def _out(result, base=None):
    if isinstance(result, (np.ndarray, np.generic)):
        shares = base is not None and np.may_share_memory(result, base._host)
        return ndarray(result, base=base if shares else None)
    if isinstance(result, (list, tuple)):
        return type(result)(_out(each) for each in result)
    return result


def _wrap(function, owner=None):
    def call(*args, **kwargs):
        out = kwargs.get("out")
        host = {name: _in(value) for name, value in kwargs.items()}
        result = function(*_in(args), **host)
        owners = [owner, *(each for each in args if isinstance(each, ndarray))]
        base = next((each for each in owners if each is not None), None)
        return out if out is not None else _out(result, base=base)

    if isinstance(function, np.ufunc):
        call.at = lambda *args: function.at(*_in(args))
    return call


def asarray(value, dtype=None):
    if isinstance(value, ndarray):
        return ndarray(value._host.astype(dtype)) if dtype else value
    _synchronize()
    return ndarray(np.array(value, dtype))


def asnumpy(value):
    return value.get()


array = asarray


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    found = getattr(np, name)
    return found if isinstance(found, (type, float, type(None))) else _wrap(found)


cuda = SimpleNamespace(
    get_current_stream=lambda: SimpleNamespace(synchronize=_synchronize),
)


class StrictBackend(CuPyBackend):
    """The CuPy backend over this module."""

    name = "strict"

    def __init__(self):
        self.xp = sys.modules[__name__]
        self.array_type = ndarray

    def describe(self):
        return "strict stand-in for CuPy, on the CPU"
