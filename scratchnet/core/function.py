"""Function: one step of a computation, as two rules on arrays.

A subclass defines only `forward(*arrays)` and `backward(grad, *kept)`. The sweep handles broadcasting,
sums at forks and devices.

    class Mul(Function):
        def forward(self, a, b):
            self.keep(a, b)
            return a * b

        def backward(self, grad, a, b):
            return grad * b, grad * a

Apply a Function to Variables and it returns a Variable and becomes part of the graph. Apply it to arrays
and it returns an array. `backward` uses operators and the library's own functions, which take arrays and
Variables alike. So the same rule works for `backward(create_graph=True)`, which passes Variables to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias, TypeVar
from weakref import ref

import numpy as np

from backends import Array, BackendError, WrongArrayError, active, check, xp
from backends.errors import kind_of, one_line
from backends.plain.library import without_underflow
from scratchnet.core.modes import observer, pauses, scopes
from scratchnet.errors import IndexingError, OperandError, ScratchnetError, ShapeError

T = TypeVar("T", bound=Any)
"""A Variable or an array; a function returns the kind that it takes."""

_new = object.__new__


GRAPH = {"kept", "edges", "results", "settings", "sources", "scope", "needs_grad"}
"""The attributes of a Function that the graph uses."""


class Edge:
    """What the graph stores about a Variable: everything except its array.

    Every Variable has an edge. The Functions that used the Variable hold only the edge. So the array can
    be freed while the graph lives.

    Attributes:
        creator: the Function that made the Variable; None for a leaf and for a constant.
        index: the position of the Variable among the creator's results.
        receiver: a weak reference to the Variable if it stores its gradient. A leaf does, and a result
            that retains its gradient. Otherwise None.
        shape, dtype, name: those of the Variable. For a number, dtype is None and name is its text.
        version: how often the library has changed the memory of the Variable's data, as a list of one
            number. Variables that share memory, such as a view and what it is a view of, share the list.
    """

    creator: Function | None = None
    index: int = 0
    receiver: ref[Operand] | None = None
    name: str | None = None
    version: list[int]
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None

    def __init__(self, array: Any, name: str | None = None, leaf: Operand | None = None) -> None:
        """Describe an array or a number, and refer to the leaf if there is one."""
        self.shape, self.dtype = getattr(array, "shape", ()), getattr(array, "dtype", None)
        self.name = _text(array) if self.dtype is None else name
        self.receiver, self.version = None if leaf is None else ref(leaf), [0]

    @property
    def variable(self) -> Any:
        """The Variable that stores the gradient; None if there is none or it was deleted."""
        return None if self.receiver is None else self.receiver()

    def as_variable(self, array: Array) -> Any:
        """Return the array as a Variable at this place in the graph; return a constant unchanged.

        If the Variable of this edge still exists, return that one. Otherwise make a new one.
        """
        known = self.variable
        if known is not None and known.edge is self:
            return known
        if self.creator is None:
            return array
        variable = _new(Operand.result_type)
        variable._data, variable._grad, variable.edge = array, None, self
        variable._requires_grad, variable.is_leaf = True, False
        return variable

    def label(self) -> str:
        """Return the Variable's shape and name, as messages show it."""
        return f"Variable{self.shape}" + (f" {self.name!r}" if self.name else "")


Result: TypeAlias = tuple[ref[Edge], tuple[int, ...], "np.dtype[Any]"]
Source: TypeAlias = tuple[Edge | int, list[int], int] | None
Sample: TypeAlias = tuple[Sequence[tuple[int, ...] | list[Any]], dict[str, Any]]


class Operand:
    """The base class of `variable.Variable`: the part that Functions and the sweep need.

    Attributes:
        result_type: the class of a Function's results if an operand is a Variable.
    """

    __slots__ = ("_data", "_grad", "_requires_grad", "edge", "is_leaf")
    result_type: ClassVar[type[Operand]]
    _data: Array
    _grad: Any
    _requires_grad: bool
    edge: Edge
    is_leaf: bool
    sum: Any
    astype: Any


class Function:
    """One step of a computation.

    The graph uses the names below; give your own attributes other names.

    Attributes:
        rule: the formulas of `backward` for a reader, separated by "; ", with one for each operand of
            `forward`: "∂L/∂a = grad · b; ∂L/∂b = grad · a". Here grad is ∂L/∂y, and y is the result. A
            remark may follow after a comma or as a further part. Empty if there is none.
        operations: the number of floating-point operations per element of the largest array, first of
            `forward` and then of `backward` for each operand. None if it is unknown.
        samples: pairs of operands and settings for tests. An operand is a shape or a list of numbers.
        constants: the names of attributes with arrays that count as constants in a second derivative. A
            Function with floating-point arrays in other attributes cannot be differentiated twice.
        needs_grad: for each operand, whether anything needs its gradient. `forward` and `backward` may
            read it to save work. The sweep drops a gradient that nothing needs.
        kept: the arrays that were passed to `keep`.
        edges: the edges of the operands, in a graph; None before the Function is applied and after the
            graph is freed.
        results: for each result in a graph, a weak reference to its edge, its shape and its dtype.
        sources: for each kept array, where it came from: the edge of an operand or the index of a
            result, then its version, and the number in it at that time. None has None.
        scope: the innermost module call in which the Function was applied.
        settings: the names of the attributes that `forward` found.
    """

    rule: ClassVar[str] = ""
    operations: ClassVar[tuple[int, ...] | None] = None
    samples: ClassVar[Sequence[Sample]] = ()
    constants: ClassVar[tuple[str, ...]] = ()
    needs_grad: tuple[bool, ...] = ()
    kept: Sequence[Any] = ()
    edges: Sequence[Any] | None = None
    results: list[Result]
    sources: list[Source]
    settings: tuple[str, ...]
    scope: Any = None

    def __init_subclass__(cls) -> None:
        """Clear an inherited rule. A rule belongs to one `backward`: a subclass must state its own."""
        if "rule" not in vars(cls):
            cls.rule = ""

    def forward(self, *arrays: Array) -> Array | tuple[Array, ...]:
        """Return the result or a tuple of results, and keep what `backward` needs with `self.keep`.

        The operands are arrays of the active backend or Python numbers.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward(*arrays)")

    def backward(self, grad: Any, *kept: Any) -> Any:
        """Return the gradient at each operand.

        Args:
            grad: the gradient at the result, with the result's shape; a tuple of gradients if `forward`
                returns a tuple. Do not change it in place.
            kept: the arrays that `forward` kept. Do not change them in place.

        Returns:
            A gradient, or a tuple with one for each operand. Each has the shape that the operand was
            broadcast to; None stands for zero.
        """
        raise NotImplementedError(f"{type(self).__name__} must define backward(grad, *kept)")

    def __getstate__(self) -> Any:
        """Return everything except the graph: a copy and a pickle have not been applied."""
        state: Any = super().__getstate__()  # a pair if the class has slots
        own, slots = state if isinstance(state, tuple) else (state, None)
        own = {name: value for name, value in (own or {}).items() if name not in GRAPH}
        return own if slots is None else (own, slots)

    def keep(self, *arrays: Any) -> None:
        """Store operands and results of `forward` for `backward`. None is allowed as a placeholder."""
        self.kept = arrays

    def __call__(self, *operands: Any) -> Any:
        """Apply a copy of this Function to Variables, arrays or numbers; the object stays unchanged.

        Raises:
            ShapeError: the shapes of the operands do not fit together.
            OperandError: an operand is not a Variable, an array or a number.
            WrongArrayError: an array belongs to a library that is not the active backend's.
        """
        from copy import copy  # this import costs more than the whole file

        return copy(self).on(*operands)

    def on(self, *operands: Any) -> Any:
        """Apply this object itself, without a copy. Use it only for an object that nothing else holds.

        The results are Variables if an operand is a Variable, and arrays otherwise. It raises the same
        errors as a call.
        """
        array_type, of_variables = active().array_type, False
        arrays: list[Any] = []
        edges: list[Edge | None] = []
        needs_grad: list[bool] = []
        for operand in operands:
            edge, needed = None, False
            if isinstance(operand, Operand):
                of_variables, edge, needed = True, operand.edge, operand._requires_grad
                operand = operand._data
            if type(operand) is not array_type:
                operand = self._array_or_number(operand, len(arrays), operands)
            arrays.append(operand)
            edges.append(edge)
            needs_grad.append(needed)
        recorded = True in needs_grad and not pauses.get()
        self.needs_grad = tuple(needs_grad) if recorded else (False,) * len(arrays)
        sources: dict[int, Source] = {id(None): None}
        if recorded:
            self.edges, self.settings = edges, (*self.__dict__,)
            for position, array in enumerate(arrays):
                edge = edges[position]
                if edge is None:
                    edges[position] = edge = Edge(array)
                if id(array) in sources and isinstance(array, array_type):
                    arrays[position] = array = array[...]  # a view, so that the operands have two ids
                sources[id(array)] = edge, edge.version, edge.version[0]
        try:
            try:
                given = self.forward(*arrays)
            except FloatingPointError:
                given = without_underflow(self.forward, *arrays)
        except (ScratchnetError, BackendError):
            raise
        except (ValueError, IndexError, TypeError, OverflowError) as error:
            if isinstance(error, (TypeError, OverflowError)) and not is_ours(type(self)):
                raise  # a fault in the user's own code
            raise self._refused(arrays, error) from error
        made: list[Any] = []
        known: list[Result] = []
        owned: dict[int, list[int]] = {}
        for index, array in enumerate(given if type(given) is tuple else (given,)):
            known_as = id(array)
            if type(array) is not array_type:
                array = self._array(array, "forward returned")
            if of_variables:
                result = _new(Operand.result_type)
                result._data, result._grad, result.is_leaf = array, None, False
                result._requires_grad = recorded and array.dtype.kind == "f"
                if array.dtype.kind != "f":
                    check_real(f"{type(self).__name__}: the result is", array)
                result.edge = edge = _new(Edge)
                edge.creator, edge.index = self if result._requires_grad else None, index
                edge.shape, edge.dtype = array.shape, array.dtype
                is_alone = array.base is None and known_as not in sources
                edge.version = [0] if is_alone else _version(array, arrays, edges)
                if type(given) is tuple:  # two results may share memory
                    edge.version = owned.setdefault(id(_owner(array)), edge.version)
                sources.setdefault(known_as, (index, edge.version, edge.version[0]))
                known.append((ref(edge), edge.shape, edge.dtype))
                array = result
            made.append(array)
        if recorded:
            self.results, self.scope, self.sources = known, scopes.get(), []
            for array in self.kept:
                if id(array) not in sources:
                    raise OperandError(
                        f"{type(self).__name__}.forward keeps {kind_of(array)} that is neither an "
                        "operand nor a result; compute it in backward, or set an attribute of self"
                    )
                self.sources.append(sources[id(array)])
        if (looking := observer.get()) is not None:
            looking.applied(self, arrays, made)
        return tuple(made) if type(given) is tuple else made[0]

    def _refused(self, arrays: list[Any], error: Exception) -> ScratchnetError:
        """Turn an error of the array library into one of ours."""
        cause, name = one_line(error), type(self).__name__
        if "negative integer power" in cause:
            return OperandError(f"{name}: {cause}; convert the operand with .astype('float32')")
        shapes = " and ".join(str(getattr(each, "shape", each)) for each in arrays)
        if isinstance(error, IndexError) and not isinstance(error, ValueError):  # AxisError is both
            return IndexingError(f"{name}: shape {shapes}: {cause}")
        if isinstance(error, (TypeError, OverflowError)):
            return OperandError(f"{name}: {cause}")
        several = f"shapes {shapes} do not fit" if len(arrays) > 1 else f"shape {shapes}"
        return ShapeError(f"{name}: {several}: {cause}")

    def _array_or_number(self, operand: Any, position: int, operands: tuple[Any, ...]) -> Any:
        """Return an operand as an array or a Python number.

        A number that is alone, and a NumPy number among numbers only, become arrays with their dtype.
        """
        number = plain(operand)
        if isinstance(number, active().array_type):
            return self._array(number, f"operand {position} is")
        alone = isinstance(operand, np.generic) or len(operands) == 1
        if alone and all(isinstance(each, (float, int, np.generic)) for each in operands):
            return xp.asarray(operand)
        if not isinstance(number, (float, int)):
            name = type(self).__name__
            if hasattr(number, "dtype"):
                check(name, f"operand {position}", number)
            raise OperandError(
                f"{name}: operand {position} is {kind_of(number)}, not a Variable, an array or a "
                "number; wrap it: Variable(...)"
            )
        return number

    def _array(self, given: Any, what: str) -> Array:
        """Return a scalar or an array of a subclass as an array of the active backend.

        Raises:
            WrongArrayError: it is of another kind; `what` begins the message.
        """
        try:
            return active().as_array(given)
        except WrongArrayError as error:
            raise WrongArrayError(f"{type(self).__name__}: {what} {error}") from error


def _text(number: Any) -> str:
    """Return a number as drawings and messages show it."""
    return f"{number:g}" if isinstance(number, float) else str(number)


def _version(result: Array, arrays: list[Any], edges: list[Edge | None]) -> list[int]:
    """Return the version of the operand whose memory the result shares; a new one if there is none."""
    owner = _owner(result)
    for array, edge in zip(arrays, edges, strict=True):
        if edge is not None and _owner(array) is owner:
            return edge.version
    return [0]


def _owner(array: Any) -> Any:
    """Return the object whose memory an array uses: the last of its bases."""
    while (base := getattr(array, "base", None)) is not None:
        array = base
    return array


def is_ours(thing: Any) -> bool:
    """Return whether a class or a function is the library's own."""
    package = (getattr(thing, "__module__", None) or "").partition(".")[0]
    return package in ("scratchnet", "backends")


def array_of(operand: Any) -> Any:
    """Return the array of a Variable, and anything else as `plain` returns it."""
    return operand._data if isinstance(operand, Operand) else plain(operand)


def plain(operand: Any) -> Any:
    """Return a NumPy scalar as a Python number, which does not change the dtype of a result."""
    return operand.item() if isinstance(operand, np.generic) else operand


def check_real(what: str, array: Array) -> None:
    """Raise `OperandError` unless the elements are booleans, integers or floating-point numbers."""
    if array.dtype.kind not in "biuf":
        raise OperandError(f"{what} of dtype {array.dtype}; it must hold real numbers")
