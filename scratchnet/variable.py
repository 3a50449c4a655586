"""Variable: an array that remembers where it is from.

A Variable wraps an array and remembers the Function that made it; a Function remembers the
Variables it was applied to. That is the graph, and `Variable.backward` sends the sweep through it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import EllipsisType
from typing import Any, TypeAlias

import numpy as np

from backends import Array, active, check, to_device, to_host, xp
from backends.errors import kind_of, one_line
from scratchnet import functions as F
from scratchnet.core.function import Function, Operand, array_of, check_real, plain
from scratchnet.core.sweep import fit, sweep
from scratchnet.core.watch import Watch, ages
from scratchnet.errors import GraphError, OperandError, ShapeError

Index: TypeAlias = int | slice | EllipsisType | None | list[Any] | Array | tuple[Any, ...]


class Variable(Operand):
    """An array, and what is needed to compute the gradient of a result with respect to it.

    Args:
        data: an array of the active backend, which is kept and not copied; or a number or nested
            list, which becomes a float32 array.
        requires_grad: whether `backward` computes its gradient. Integers never need one.
        name: shown by `repr` and in messages.

    Attributes:
        data: the array. A leaf's, changed between a forward and its backward pass, makes that backward
            pass a `StaleGraphError`.
        grad: the gradient that `backward` left, of data's shape and dtype, or None.
        creator: the Function that made it; None where it was made by hand, or once a backward pass
            has consumed the graph.
        is_leaf: whether it was made by hand, and so can be a parameter; what a Function or a loader
            made is not.

    Raises:
        WrongArrayError: data is an array of another library than the active backend's.
        OperandError: data is no array, number or list of numbers.
    """

    __slots__ = ("__weakref__", "name")
    __array_ufunc__ = None  # array + Variable is the Variable's business

    def __init__(self, data: Any, requires_grad: bool = True, name: str | None = None) -> None:
        """See the class."""
        data = _as_data(data)
        self.requires_grad = requires_grad and data.dtype.kind == "f"
        self.array, self.name, self.is_leaf = data, name, True
        self.watch = Watch(self)
        self.raw_grad = self.creator = None
        self.keeps_grad = False

    def made(self, function: Function, sources: list[Operand | None], data: Array) -> Variable:
        """The function's result as a Variable, whose creator it is if a graph is recorded."""
        result = object.__new__(Variable)
        result.array, result.name, result.raw_grad = data, None, None
        result.is_leaf = result.keeps_grad = False
        result.requires_grad = needed = True in function.needs_grad and data.dtype.kind == "f"
        if needed:
            function.operands, function.age, result.creator = sources, next(ages), function
        else:
            result.creator = None
            check_real(f"{type(function).__name__}: the result is", data)
        return result

    # The backward pass.

    def backward(self, grad: Any = None, retain_graph: bool = False) -> None:
        """Add the gradient of this Variable to the `grad` of every leaf it was computed from.

        Args:
            grad: the gradient at this Variable, of its shape; all ones if None.
            retain_graph: keep the graph for another pass. Else it is cut as the sweep goes, and
                its memory is given back at once.

        Raises:
            GraphError: nothing here needs a gradient.
            GraphFreedError: an earlier pass has consumed the graph, or a part of it.
            StaleGraphError: a leaf was changed since. (An array that was taken out of it before the
                forward pass is not watched; a change undone counts, if another graph was made between.)
            ShapeError: a gradient does not fit the Variable it is for.
        """
        check("backward", "the Variable", self.array)
        if not self.requires_grad:
            raise GraphError(
                f"backward: {self.label()} needs no gradient: it was made under no_grad(), by a "
                "loader, or of integers or inputs with requires_grad=False"
            )
        sweep(self, _seed(grad, self), retain_graph)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def retain_grad(self) -> None:
        """Let `backward` leave the gradient here too, though this is no leaf."""
        self.keeps_grad = not self.is_leaf

    def detach(self) -> Variable:
        """The same data, out of the graph."""
        return Variable(self.data, requires_grad=False, name=self.name)

    # What it is.

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        return self.array.shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.array.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.array.size  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The elements' type."""
        return self.array.dtype  # type: ignore[no-any-return]

    def item(self) -> float | int | bool:
        """The only element as a Python number. Crosses to the host."""
        return to_host(self.array).item()  # type: ignore[no-any-return]

    def __float__(self) -> float:
        """The only element. Crosses to the host."""
        return float(self.item())

    def __format__(self, spec: str) -> str:
        """With a format, that of the only element: `f"{loss:.4f}"`. Crosses to the host."""
        return format(self.item(), spec) if spec else repr(self)

    def __len__(self) -> int:
        """The size of the first axis."""
        return len(self.array)

    def __bool__(self) -> bool:
        """The truth of the only element. Crosses to the host."""
        return bool(self.item())

    def __iter__(self) -> Iterator[Variable]:
        """Along the first axis."""
        return (self[i] for i in range(len(self)))

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        """Refused: a silent conversion would drop the graph and cross to the host."""
        raise OperandError("a Variable is no array; use backends.to_host(variable.data)")

    def __repr__(self) -> str:
        """Values, shape, dtype, and where it is from. Crosses to the host."""
        values = np.array2string(to_host(self.array), separator=", ", threshold=8, edgeitems=2)
        facts = [" ".join(values.split()), f"shape={self.shape}", f"dtype={self.dtype}"]
        if self.name:
            facts.append(f"name={self.name!r}")
        if self.creator is not None:
            facts.append(f"creator={type(self.creator).__name__}")
        elif not self.requires_grad:
            facts.append("requires_grad=False")
        return f"Variable({', '.join(facts)})"

    def label(self) -> str:
        """Shape and name, for messages."""
        return f"Variable{self.shape}" + (f" {self.name!r}" if self.name else "")

    # Operators: each is a Function.

    def __add__(self, other: Any) -> Variable:
        return _apply(F.Add(), self, other)

    def __radd__(self, other: Any) -> Variable:
        return _apply(F.Add(), other, self)

    def __sub__(self, other: Any) -> Variable:
        return _apply(F.Sub(), self, other)

    def __rsub__(self, other: Any) -> Variable:
        return _apply(F.Sub(), other, self)

    def __mul__(self, other: Any) -> Variable:
        return _apply(F.Mul(), self, other)

    def __rmul__(self, other: Any) -> Variable:
        return _apply(F.Mul(), other, self)

    def __truediv__(self, other: Any) -> Variable:
        return _apply(F.Div(), self, other)

    def __rtruediv__(self, other: Any) -> Variable:
        return _apply(F.Div(), other, self)

    def __pow__(self, other: Any) -> Variable:
        return _apply(F.Pow(), self, other)

    def __rpow__(self, other: Any) -> Variable:
        return _apply(F.Pow(), other, self)

    def __matmul__(self, other: Any) -> Variable:
        return _apply(F.MatMul(), self, other)

    def __rmatmul__(self, other: Any) -> Variable:
        return _apply(F.MatMul(), other, self)

    def __neg__(self) -> Variable:
        return _apply(F.Neg(), self)

    # Comparisons give arrays of booleans: masks, which have no gradient.

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Array:
        return self.array == array_of(other)

    def __ne__(self, other: object) -> Array:
        return self.array != array_of(other)

    def __lt__(self, other: object) -> Array:
        return self.array < array_of(other)

    def __le__(self, other: object) -> Array:
        return self.array <= array_of(other)

    def __gt__(self, other: object) -> Array:
        return self.array > array_of(other)

    def __ge__(self, other: object) -> Array:
        return self.array >= array_of(other)

    def __getitem__(self, index: Index) -> Variable:
        parts = index if isinstance(index, tuple) else (index,)
        parts = tuple(array_of(part) for part in parts)
        return _apply(F.GetItem(parts if isinstance(index, tuple) else parts[0]), self)

    def __rshift__(self, function: Callable[[Variable], Any]) -> Any:
        """`x >> f` is f(x): the original's chain operator ~>."""
        return function(self)

    def dot(self, other: Any) -> Variable:
        """The matrix product, as `@`."""
        return _apply(F.MatMul(), self, other)

    def t(self) -> Variable:
        """The axes reversed."""
        return _apply(F.Transpose(), self)

    T = property(t)

    def reshape(self, *shape: Any) -> Variable:
        """The same elements in another shape: `reshape(2, 3)` or `reshape((2, 3))`."""
        sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        return _apply(F.Reshape(tuple(sizes)), self)

    def sum(self, axis: F.Axis = None, keepdims: bool = False) -> Variable:
        """The sum over all elements or the axes given."""
        return _apply(F.Sum(axis, keepdims), self)

    def mean(self, axis: F.Axis = None, keepdims: bool = False) -> Variable:
        """The mean over all elements or the axes given."""
        return _apply(F.Mean(axis, keepdims), self)

    def max(self, axis: F.Axis = None, keepdims: bool = False) -> Variable:
        """The maximum over all elements or the axes given; ties share the gradient."""
        return _apply(F.Max(axis, keepdims), self)

    def exp(self) -> Variable:
        """The exponential of each element."""
        return _apply(F.Exp(), self)

    def log(self) -> Variable:
        """The natural logarithm of each element."""
        return _apply(F.Log(), self)

    def tanh(self) -> Variable:
        """The hyperbolic tangent of each element."""
        return _apply(F.Tanh(), self)


def _apply(function: Function, *operands: Any) -> Variable:
    """The function on the operands, of which one is a Variable: so the result is one."""
    result: Variable = function.on(*operands)
    return result


def _seed(grad: Any, root: Variable) -> Array | None:
    """The gradient to begin with, never an array that the caller goes on holding; None for ones."""
    if grad is None:
        return None
    if isinstance(grad, (int, float, np.number)):
        return xp.full_like(root.array, plain(grad))
    data = _as_data(array_of(grad))
    if data.shape != root.shape:
        raise ShapeError(
            f"backward: a gradient of shape {data.shape} for {root.label()}; give one of its shape"
        )
    return fit(data.copy(), root, "backward")


def _as_data(data: Any) -> Array:
    """An array as it is, after a look at whose it is; numbers and lists as float32."""
    array_type: Any = active().array_type
    if isinstance(data, array_type):
        check_real("Variable: an array", data)
        return data
    if isinstance(data, Variable):
        raise OperandError("Variable(Variable): it is one already; for its data use .detach()")
    if isinstance(data, (int, float, list, tuple, np.generic)):
        try:
            values = np.asarray(data)
        except ValueError as error:
            cause = one_line(error)
            raise OperandError(f"Variable: the list is no array of numbers: {cause}") from error
        check_real("Variable: a list", values)
        return to_device(values.astype(np.float32))
    if not hasattr(data, "dtype"):
        raise OperandError(
            f"Variable: data is {kind_of(data)}, neither array, number nor list of numbers"
        )
    check("Variable", "data", data)
    return data
