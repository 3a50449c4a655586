"""Variable: an array that remembers how it was computed.

Its operators and methods apply Functions, which form a graph. `backward` runs the sweep through it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from types import EllipsisType
from typing import Any, TypeAlias
from weakref import ref

import numpy as np

from backends import Array, active, check, to_device, to_host, xp
from backends.errors import kind_of, one_line
from backends.plain.library import without_underflow
from scratchnet import functions as F
from scratchnet.core.function import Edge, Function, Operand, array_of, check_real
from scratchnet.core.modes import pauses
from scratchnet.core.share import share
from scratchnet.core.sweep import accumulate, fit, no_gradient, sweep
from scratchnet.errors import GraphError, IndexingError, OperandError, ShapeError

Index: TypeAlias = int | slice | EllipsisType | None | list[Any] | Array | tuple[Any, ...]


def _operator(function: type[Function]) -> Callable[[Any, Any], Variable]:
    return lambda self, other: function().on(self, other)


def _reversed(function: type[Function]) -> Callable[[Any, Any], Variable]:
    return lambda self, other: function().on(other, self)


class Variable(Operand):
    """An array, and what is needed to compute the gradient of a result with respect to it.

    Args:
        data: an array of the active backend, which is not copied; or a number or nested list, which
            becomes a float32 array.
        requires_grad: whether `backward` computes its gradient. Integers never need one.
        name: a name for `repr`, messages and drawings.

    Attributes:
        data: the array. If the library changes or replaces it (`p -= rate * p.grad` under `no_grad`, an
            optimizer's step, `load_state_dict`), the backward pass of an earlier graph that needs the
            old values raises `StaleGraphError`. Only `detect_anomaly` finds other changes, such as
            `p.data[0] = 1`.
        grad: the gradient that `backward` computed, of data's shape and dtype, or None. After
            `backward(create_graph=True)` it is a Variable.
        edge: what the graph stores about the Variable. `edge.version[0]` counts the changes of the data.
        is_leaf: whether you created it, so that it can be a parameter. The results of Functions and
            loaders are not leaves.

    Raises:
        WrongArrayError: data is an array of another library than the active backend's.
        OperandError: data is not an array, a number or a list of numbers.
    """

    __slots__ = ("__weakref__", "_wanted")
    __array_ufunc__ = None  # so that array + Variable calls Variable.__radd__

    def __init__(self, data: Any, requires_grad: bool = True, name: str | None = None) -> None:
        self._data = data = _as_data(data)
        self._grad, self.is_leaf, self._wanted = None, True, requires_grad
        self._requires_grad = requires_grad and data.dtype.kind == "f"
        self.edge = Edge(data, name, leaf=self)

    def _set_data(self, data: Any) -> None:
        if not isinstance(data, active().array_type):
            raise OperandError(
                f"{self.label()}.data = {kind_of(data)}: data must be an array of the active backend; "
                "make one with backends.to_device(...)"
            )
        data = active().as_array(data)
        check_real("Variable: an array", data)
        self.edge.version[0] += 1
        if data is not self._data:  # views of the former memory do not share the new memory
            self.edge.version = [self.edge.version[0]]
        self._data = data
        if data.shape != self.edge.shape or data.dtype != self.edge.dtype:
            leaf = self if self.is_leaf else None
            self.edge = Edge(data, self.edge.name, leaf)
            if leaf is not None:
                self._requires_grad = self._wanted and data.dtype.kind == "f"

    def _set_grad(self, grad: Any) -> None:
        if isinstance(grad, active().array_type):
            grad = active().as_array(grad)
        if grad is not None and getattr(grad, "shape", None) != self._data.shape:
            given = f"shape {grad.shape}" if hasattr(grad, "shape") else kind_of(grad)
            raise ShapeError(
                f"{self.label()}.grad = {given}: a gradient must be an array of shape "
                f"{self._data.shape}, or None"
            )
        if grad is not None:
            check_real(f"{self.label()}.grad =", array_of(grad))
        self._grad = grad

    def _set_requires_grad(self, requires_grad: bool) -> None:
        if self._requires_grad and not requires_grad and not self.is_leaf:
            raise GraphError(
                f"{self.label()}.requires_grad = False: it is a result of the graph, which would lose a "
                "part of the gradient; use .detach()"
            )
        if self.edge.creator is None:
            self.is_leaf = self.is_leaf or requires_grad  # a result without a graph becomes a leaf
            self.edge.receiver = ref(self) if self.is_leaf else None
            self._wanted = requires_grad
        self._requires_grad = requires_grad and self._data.dtype.kind == "f"

    def _set_name(self, name: str | None) -> None:
        self.edge.name = name

    # C code reads these, so a training step needs no Python frame for them.
    data = property(attrgetter("_data"), _set_data, doc="The array.")
    grad = property(attrgetter("_grad"), _set_grad, doc="The gradient, or None.")
    requires_grad = property(
        attrgetter("_requires_grad"), _set_requires_grad, doc="Whether it needs a gradient."
    )
    name = property(attrgetter("edge.name"), _set_name, doc="The name for messages and drawings.")
    shape = property(attrgetter("_data.shape"), doc="The sizes of the axes.")
    ndim = property(attrgetter("_data.ndim"), doc="The number of axes.")
    size = property(attrgetter("_data.size"), doc="The number of elements.")
    dtype = property(attrgetter("_data.dtype"), doc="The elements' type.")

    @property
    def creator(self) -> Function | None:
        """The Function that made it; None for a leaf, and after a backward pass has freed the graph."""
        function = self.edge.creator
        return None if function is None or function.edges is None else function

    # The backward pass.

    def backward(
        self, grad: Any = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Add the gradient of this Variable to the `grad` of every leaf it was computed from.

        Args:
            grad: the gradient at this Variable, of its shape; all ones if None.
            retain_graph: whether to keep the graph for another pass. Otherwise the sweep frees each
                Function and its memory as soon as it is done. None means the same as `create_graph`.
            create_graph: whether to record the pass, so that the gradients are Variables that can be
                differentiated again.

        Raises:
            GraphError: this Variable needs no gradient.
            GraphFreedError: an earlier pass has freed the graph, or a part of it.
            StaleGraphError: data that a rule needs have changed since forward.
            ShapeError: a gradient does not fit the shape of its Variable.
        """
        accumulate(swept(self, grad, retain_graph, create_graph, None, "backward"))

    def zero_grad(self) -> None:
        """Set the gradient to None."""
        self._grad = None

    def retain_grad(self) -> None:
        """Make `backward` store the gradient in `grad`, although this Variable is not a leaf."""
        if not self.is_leaf:
            self.edge.receiver = ref(self)

    def detach(self) -> Variable:
        """Return a Variable with the same data, outside the graph. It needs no gradient."""
        twin = Variable(self._data, requires_grad=False, name=self.name)
        twin.edge.version = self.edge.version
        return twin

    def __copy__(self) -> Variable:
        """Return a Variable with the same array: a new leaf, or the same result of the graph."""
        twin = object.__new__(type(self))
        twin.__setstate__(self.__getstate__())
        twin.edge.version = self.edge.version
        if not self.is_leaf:
            twin.edge = self.edge
        return twin

    # A deep copy and a pickle have no graph.

    def __getstate__(self) -> dict[str, Any]:
        """Return everything except the graph."""
        return {
            "data": self._data, "grad": array_of(self._grad), "name": self.name, "is_leaf": self.is_leaf,
            "requires_grad": self._requires_grad, "wanted": getattr(self, "_wanted", True),
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore what `__getstate__` returned."""
        self._data, self._grad, self.is_leaf = state["data"], state["grad"], state["is_leaf"]
        self._requires_grad, self._wanted = state["requires_grad"], state["wanted"]
        self.edge = Edge(self._data, state["name"], self if self.is_leaf else None)

    # Conversions.

    def item(self) -> float | int | bool:
        """Return the only element as a Python number. Copies it to the host.

        Raises:
            ShapeError: there is not exactly one element.
        """
        if self._data.size != 1:
            raise ShapeError(
                f"{self.label()} has {self._data.size} elements and is not a single number; index it "
                "or take its sum"
            )
        return to_host(self._data).item()

    def __float__(self) -> float:
        """Return the only element. Copies it to the host.

        Raises:
            OperandError: NumPy calls this to assign the Variable to an element of an array. The graph
                would be lost silently.
        """
        from opcode import opmap

        caller = sys._getframe(1)
        if self._requires_grad and caller.f_code.co_code[caller.f_lasti] == opmap["STORE_SUBSCR"]:
            raise OperandError(
                f"array[…] = {self.label()}: an array cannot hold the Variable's graph; assign "
                "float(variable), or compute with Variables"
            )
        return float(self.item())

    def __int__(self) -> int:
        """Return the only element, rounded toward zero. Copies it to the host."""
        return int(self.item())

    def __format__(self, spec: str) -> str:
        """Format the only element, as in `f"{loss:.4f}"`; without a format, return `repr`."""
        return format(self.item(), spec) if spec else repr(self)

    def __len__(self) -> int:
        """Return the size of the first axis."""
        return len(self._data)

    def __bool__(self) -> bool:
        """Return whether the only element is true. Copies it to the host."""
        return bool(self.item())

    def __iter__(self) -> Iterator[Variable]:
        """Iterate along the first axis."""
        return (self[i] for i in range(len(self)))

    def __array_function__(self, function: Any, *_: Any) -> Any:
        """Raise `OperandError`: NumPy's functions would drop the graph."""
        name = getattr(function, "__name__", "function")
        ours = f"use sn.{name}, or take" if hasattr(F, name) else "take"
        raise OperandError(
            f"np.{name}: a Variable is not an array; {ours} backends.to_host(variable.data)"
        )

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        """Raise `OperandError`: a silent conversion would drop the graph and copy to the host."""
        raise OperandError("a Variable is not an array; use backends.to_host(variable.data)")

    def __repr__(self) -> str:
        """Show values, shape, dtype and creator. Copies to the host."""
        values = np.array2string(to_host(self._data), separator=", ", threshold=8, edgeitems=2)
        facts = [" ".join(values.split()), f"shape={self.shape}", f"dtype={self.dtype}"]
        if self.name:
            facts.append(f"name={self.name!r}")
        if self.creator is not None:
            facts.append(f"creator={type(self.creator).__name__}")
        elif not self.requires_grad:
            facts.append("requires_grad=False")
        return f"Variable({', '.join(facts)})"

    def label(self) -> str:
        """Return the shape and the name, for messages."""
        return self.edge.label()

    # Operators: each is a Function.

    __add__, __radd__ = _operator(F.Add), _reversed(F.Add)
    __sub__, __rsub__ = _operator(F.Sub), _reversed(F.Sub)
    __mul__, __rmul__ = _operator(F.Mul), _reversed(F.Mul)
    __truediv__, __rtruediv__ = _operator(F.Div), _reversed(F.Div)
    __pow__, __rpow__ = _operator(F.Pow), _reversed(F.Pow)
    __matmul__, __rmatmul__ = _operator(F.MatMul), _reversed(F.MatMul)

    def __neg__(self) -> Variable:
        return F.Neg().on(self)

    def __pos__(self) -> Variable:
        return self

    def __abs__(self) -> Variable:
        return F.Abs().on(self)

    # Comparisons give arrays of booleans: masks, which have no gradient.

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Array:
        return self._data == array_of(other)

    def __ne__(self, other: object) -> Array:
        return self._data != array_of(other)

    def __lt__(self, other: object) -> Array:
        return self._data < array_of(other)

    def __le__(self, other: object) -> Array:
        return self._data <= array_of(other)

    def __gt__(self, other: object) -> Array:
        return self._data > array_of(other)

    def __ge__(self, other: object) -> Array:
        return self._data >= array_of(other)

    # In place: under no_grad the array is changed; while a graph is recorded, a += b means a = a + b.

    def __iadd__(self, other: Any) -> Variable:
        return self._in_place(other, "+", F.Add)

    def __isub__(self, other: Any) -> Variable:
        return self._in_place(other, "-", F.Sub)

    def __imul__(self, other: Any) -> Variable:
        return self._in_place(other, "*", F.Mul)

    def __itruediv__(self, other: Any) -> Variable:
        return self._in_place(other, "/", F.Div)

    def __ipow__(self, other: Any) -> Variable:
        return self._in_place(other, "**", F.Pow)

    def __imatmul__(self, other: Any) -> Variable:
        return self._in_place(other, "@", F.MatMul)

    def _in_place(self, other: Any, sign: str, function: type[Function]) -> Variable:
        if not pauses.get():
            if self.is_leaf and self._requires_grad:
                raise GraphError(
                    f"{self.label()} {sign}= …: a leaf that needs a gradient must not be changed in "
                    f"place while a graph is recorded; use `with no_grad():`, or write v = v {sign} …"
                )
            return function().on(self, other)
        self[...] = array_of(function().on(self, other))
        return self

    def __setitem__(self, index: Index, value: Any) -> None:
        recording = not pauses.get()
        if recording and (self._requires_grad or getattr(value, "requires_grad", False)):
            raise GraphError(
                f"{self.label()}[…] = …: elements cannot be assigned while a graph is recorded and "
                "a gradient is needed; use `with no_grad():`"
            )
        data = array_of(value)
        if hasattr(data, "dtype"):
            data = active().as_array(data)
            fits = np.can_cast(data.dtype, self.dtype, "same_kind")
        else:
            fits = data is not None and (self.dtype.kind == "f" or _has_no_fraction(data))
        if not fits:
            given = getattr(data, "dtype", data)
            raise OperandError(
                f"{self.label()}[…] = … of {given}: it does not fit into {self.dtype} "
                "without loss; convert it with .astype"
            )
        try:
            self._data[_plain_index(index)] = data
        except IndexError as error:
            raise IndexingError(f"{self.label()}[…] = …: {one_line(error)}") from error
        except (ValueError, TypeError) as error:
            raise ShapeError(f"{self.label()}[…] = …: {one_line(error)}") from error
        self.edge.version[0] += 1

    def __getitem__(self, index: Index) -> Variable:
        return F.GetItem(_plain_index(index)).on(self)

    def __rshift__(self, function: Callable[[Variable], Any]) -> Any:
        """`x >> f` is f(x): the original's chain operator ~>."""
        return function(self)

    # NumPy's methods are the functions, with the Variable as the first argument.

    sum, mean, max, min, prod = F.sum, F.mean, F.max, F.min, F.prod
    var, std, cumsum, argmax, argmin = F.var, F.std, F.cumsum, F.argmax, F.argmin
    squeeze, ravel, flatten, swapaxes = F.squeeze, F.ravel, F.flatten, F.swapaxes
    take, repeat, diagonal, trace = F.take, F.repeat, F.diagonal, F.trace
    dot, clip, astype = F.dot, F.clip, F.astype
    exp, log, tanh = F.exp, F.log, F.tanh  # those of the original

    def reshape(self, *shape: Any) -> Variable:
        """Return the same elements in another shape: `reshape(2, 3)` or `reshape((2, 3))`."""
        return F.reshape(self, _unpacked(shape))

    def transpose(self, *axes: Any) -> Variable:
        """Reverse the axes, or put them in an order: `transpose(1, 0)` or `transpose((1, 0))`."""
        return F.transpose(self, _unpacked(axes) or None)

    def t(self) -> Variable:
        """Reverse the axes."""
        return F.transpose(self)

    T = property(t)


def _unpacked(numbers: tuple[Any, ...]) -> Any:
    """Return several arguments, or one tuple or list of them, as a tuple."""
    several = len(numbers) == 1 and isinstance(numbers[0], (tuple, list, np.ndarray))
    return tuple(numbers[0]) if several else None if numbers == (None,) else numbers


def grad(
    output: Variable,
    inputs: Variable | Sequence[Variable],
    grad_output: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> tuple[Array | Variable | None, ...]:
    """Return the gradients of an output with respect to some Variables. Their `grad` does not change.

    Args:
        output: a Variable.
        inputs: one Variable or a list of them. They are leaves, or results that the output depends on.
        grad_output: the gradient at the output, of its shape; all ones if None.
        retain_graph: whether to keep the graph for another pass; None means the same as `create_graph`.
        create_graph: whether to record the pass, so that the gradients can be differentiated again.

    Returns:
        A tuple in the order of the inputs: arrays, or Variables with `create_graph`; None where the
            output does not depend on an input.

    Raises:
        GraphError, GraphFreedError, StaleGraphError, ShapeError: as `Variable.backward`; also if an
            input needs no gradient.
        OperandError: an input is not a Variable.
    """
    wanted = (
        list(inputs) if isinstance(inputs, Iterable) and not isinstance(inputs, Variable) else [inputs]
    )
    for each in (output, *wanted):
        if not isinstance(each, Variable):
            raise OperandError(f"grad: {kind_of(each)} is not a Variable; give the Variables themselves")
        if not each.requires_grad:
            raise no_gradient("grad", each)
    edges = [each.edge for each in wanted]
    found = swept(output, grad_output, retain_graph, create_graph, edges, "grad")
    return tuple(found.get(edge) for edge in edges)


def swept(
    root: Variable,
    grad: Any,
    retain_graph: bool | None,
    create_graph: bool,
    targets: list[Edge] | None,
    name: str,
) -> dict[Edge, Any]:
    """Return the gradients of a sweep from the root."""
    if not isinstance(root._data, active().array_type):
        check(name, "the Variable", root._data)
    if not root._requires_grad:
        raise no_gradient(name, root)
    seed = _seed(grad, root, create_graph)
    mine = share.get()
    if mine is not None and mine.weight != 1 and targets is None:
        seed = seed * mine.weight
    retain = create_graph if retain_graph is None else retain_graph
    return sweep(root, seed, retain_graph=retain, create_graph=create_graph, targets=targets)


def _seed(grad: Any, root: Variable, create_graph: bool) -> Any:
    """Return the first gradient: an array, or a Variable if the pass is recorded."""
    if grad is None:
        ones = root._data.copy()
        ones.fill(1)
        return Variable(ones, requires_grad=False) if create_graph else ones
    data = array_of(grad)
    data = xp.full_like(root._data, data) if isinstance(data, (int, float)) else _as_data(data)
    if data.shape != root.shape:
        raise ShapeError(
            f"backward: a gradient of shape {data.shape} for {root.label()}; give one of its shape"
        )
    if create_graph and not isinstance(grad, Variable):
        grad = Variable(data, requires_grad=False)
    return fit(grad if create_graph else data, root.edge, "backward")


def _has_no_fraction(number: Any) -> bool:
    """Return whether a number, or each number of a list, is an integer; True if it is something else."""
    if isinstance(number, (list, tuple)):
        return all(map(_has_no_fraction, number))
    return not isinstance(number, float) or number.is_integer()


def _plain_index(index: Index) -> Any:
    """Return an index with arrays in place of Variables."""
    return tuple(map(array_of, index)) if isinstance(index, tuple) else array_of(index)


def _as_data(data: Any) -> Array:
    """Return an array of the active backend unchanged; numbers and lists as a float32 array."""
    array_type: Any = active().array_type
    if isinstance(data, array_type):
        data = data if type(data) is array_type else active().as_array(data)
        check_real("Variable: an array", data)
        return data
    if isinstance(data, Variable):
        raise OperandError("Variable(Variable): it is one already; for its data use .detach()")
    if isinstance(data, (int, float, list, tuple, np.generic)):
        try:
            values = np.asarray(data)
        except ValueError as error:
            cause = one_line(error)
            raise OperandError(f"Variable: the list is not an array of numbers: {cause}") from error
        check_real("Variable: a list", values)
        return to_device(without_underflow(values.astype, np.float32))
    if not hasattr(data, "dtype"):
        raise OperandError(
            f"Variable: data is {kind_of(data)}, which is not an array, a number or a list of numbers"
        )
    check("Variable", "data", data)
    return data


Operand.result_type = Variable
