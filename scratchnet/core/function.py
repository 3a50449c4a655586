"""Function: one step of a computation, as two rules on arrays.

A subclass says `forward(*arrays)` and `backward(grad, *kept)` and nothing else: broadcasting, adding up
at forks and devices are the business of `sweep`.

    class Mul(Function):
        def forward(self, a, b):
            self.keep(a, b)
            return a * b

        def backward(self, grad, a, b):
            return grad * b, grad * a

Applied to Variables it gives a Variable and becomes part of the graph; applied to arrays it gives an
array. `backward` is written in operators and the library's own functions, which take arrays and
Variables alike. So the same rule serves `backward(create_graph=True)`, which hands it Variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, ClassVar, TypeAlias
from weakref import ref

import numpy as np

from backends import Array, BackendError, WrongArrayError, active, check, xp
from backends.errors import kind_of, one_line
from scratchnet.core.modes import observer, pauses, scopes
from scratchnet.errors import OperandError, ScratchnetError, ShapeError

_new = object.__new__


class Edge:
    """A Variable as the graph knows it, without its array.

    Every Variable has one. The Functions that used it hold the edge, so that its array can be freed
    while the graph lives.

    Attributes:
        creator: the Function that made it; None for a leaf and for a constant.
        index: which of the creator's results it is.
        receiver: a weak reference to the Variable, where gradients are left there: at a leaf, and at a
            result that retains its gradient.
        shape, dtype, name: those of the Variable. For a number, the dtype is None and the name its text.
        version: how often the Variable's data were changed through the library.
    """

    creator: Function | None = None
    index: int = 0
    receiver: ref[Operand] | None = None
    name: str | None = None
    version: int = 0
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None

    def __init__(self, array: Any, name: str | None = None, leaf: Operand | None = None) -> None:
        """The edge of a leaf, of an array or of a number."""
        self.shape, self.dtype = getattr(array, "shape", ()), getattr(array, "dtype", None)
        self.name = f"{array:g}" if self.dtype is None else name
        self.receiver = None if leaf is None else ref(leaf)

    @property
    def variable(self) -> Any:
        """The Variable that gradients are left at, if it is still there."""
        return None if self.receiver is None else self.receiver()

    def as_variable(self, array: Array) -> Any:
        """The Variable whose array this is, or another at its place; a constant as it is."""
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
        """What messages call the Variable."""
        return f"Variable{self.shape}" + (f" {self.name!r}" if self.name else "")


Result: TypeAlias = tuple[ref[Edge], tuple[int, ...], "np.dtype[Any]"]
Source: TypeAlias = tuple[Edge, int] | int | None
Sample: TypeAlias = tuple[Sequence[tuple[int, ...] | list[Any]], dict[str, Any]]


class Operand:
    """A Variable, as Functions and the sweep see it from below; `variable.Variable` explains it.

    Attributes:
        result_type: the class of what Functions make of Variables.
    """

    __slots__ = ("_data", "_grad", "_requires_grad", "edge", "is_leaf")
    result_type: ClassVar[type[Operand]]
    _data: Array
    _grad: Any
    _requires_grad: bool
    edge: Edge
    is_leaf: bool
    sum: Any


class Function:
    """One step of a computation.

    The names below are the graph's: what a subclass keeps of its own has other ones.

    Attributes:
        rule: `backward` as formulas for a reader, one for each operand in `forward`'s name for it, with
            "; " between: "∂L/∂a = grad · b; ∂L/∂b = grad · a". grad is ∂L/∂y, and y the result. After
            a comma, and in a part that is no formula, there is more to say. Empty where it is not said.
        operations: for each element of the largest array, how many floating-point operations `forward`
            does, and `backward` for each operand. None where it is not said.
        samples: operands and settings to try it on: of each operand the shape, or a list of numbers.
        constants: the attributes whose arrays count as constants when `backward` is differentiated. A
            Function that holds arrays of numbers in other attributes cannot be differentiated twice.
        needs_grad: for each operand, whether anything needs its gradient. `forward` and `backward` may
            look at it to spare work; a gradient that nothing needs is dropped.
        kept: what `keep` was given.
        edges: in a graph, those of its operands; None before it is applied and once it is freed.
        results: in a graph, of each result the edge, by a weak reference, its shape and its dtype.
        sources: for each kept array, the operand's edge and its version at that time, or the index of
            the result that it is; for None, None.
        scope: the innermost module call within which it was applied.
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
    scope: Any = None

    def __init_subclass__(cls) -> None:
        """A rule is that of the `backward` beside it: a subclass states its own."""
        if "rule" not in vars(cls):
            cls.rule = ""

    def forward(self, *arrays: Array) -> Array | tuple[Array, ...]:
        """The result, or a tuple of results. What `backward` needs of operands and results, it keeps.

        Operands are arrays of the active backend, or Python numbers.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say forward(*arrays)")

    def backward(self, grad: Any, *kept: Any) -> Any:
        """The gradient at each operand, given the one at the result and what `forward` kept.

        Each has the shape that the operand was broadcast to; None stands for zero. Where `forward`
        gives a tuple, `grad` is one too. What is given is not to be changed in place.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say backward(grad, *kept)")

    def keep(self, *arrays: Any) -> None:
        """Hand these operands and results of `forward` to `backward`. None may be among them."""
        self.kept = arrays

    def __call__(self, *operands: Any) -> Any:
        """Apply to Variables, arrays or numbers. The object stays as it is: a copy does the work.

        Raises:
            ShapeError: the operands' shapes do not fit.
            OperandError: an operand is neither Variable, array nor number.
            WrongArrayError: an array is of another library than the active backend's.
        """
        return copy(self).on(*operands)

    def on(self, *operands: Any) -> Any:
        """As calling it, but this very object becomes the node: for one that nothing else holds.

        Variables give Variables, and arrays give arrays.
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
                operand = self._array_or_number(operand, len(arrays), len(operands))
            arrays.append(operand)
            edges.append(edge)
            needs_grad.append(needed)
        recorded = True in needs_grad and not pauses.get()
        self.needs_grad = tuple(needs_grad) if recorded else (False,) * len(arrays)
        sources: dict[int, Source] = {id(None): None}
        if recorded:
            self.edges = edges
            for position, array in enumerate(arrays):
                edge = edges[position]
                if edge is None:
                    edges[position] = edge = Edge(array)
                if id(array) in sources and isinstance(array, array_type):
                    arrays[position] = array = array[...]  # a view, to tell the two operands apart
                sources[id(array)] = edge, edge.version
        try:
            given = self.forward(*arrays)
        except (ScratchnetError, BackendError):
            raise
        except ValueError as error:
            raise self._refused(arrays, error) from error
        made: list[Any] = []
        known: list[Result] = []
        for index, array in enumerate(given if type(given) is tuple else (given,)):
            sources.setdefault(id(array), index)
            if type(array) is not array_type:
                array = self._array(array, "forward gave")
            if of_variables:
                result = _new(Operand.result_type)
                result._data, result._grad, result.is_leaf = array, None, False
                result._requires_grad = recorded and array.dtype.kind == "f"
                if array.dtype.kind != "f":
                    check_real(f"{type(self).__name__}: the result is", array)
                result.edge = edge = _new(Edge)
                edge.creator, edge.index = self if result._requires_grad else None, index
                edge.shape, edge.dtype = array.shape, array.dtype
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

    def _refused(self, arrays: list[Any], error: ValueError) -> ScratchnetError:
        """The array library's error as ours: shapes do not fit, or operands are of a wrong kind."""
        cause, name = one_line(error), type(self).__name__
        if "negative integer power" in cause:
            return OperandError(f"{name}: {cause}; convert the operand with .astype('float32')")
        shapes = " and ".join(str(getattr(each, "shape", each)) for each in arrays)
        return ShapeError(f"{name}: operands {shapes} do not fit: {cause}")

    def _array_or_number(self, operand: Any, position: int, operands: int) -> Any:
        """An operand that is a number, or of a subclass of arrays. A lone number becomes an array."""
        number = plain(operand)
        if isinstance(number, active().array_type):
            return self._array(number, f"operand {position} is")
        if operands == 1 and isinstance(number, (float, int)):
            return xp.asarray(operand)
        if not isinstance(number, (float, int)):
            name = type(self).__name__
            if hasattr(number, "dtype"):
                check(name, f"operand {position}", number)
            raise OperandError(
                f"{name}: operand {position} is {kind_of(number)}, neither Variable, array "
                "nor number; wrap it: Variable(...)"
            )
        return number

    def _array(self, given: Any, what: str) -> Array:
        """The array library's own array of what is none yet: a scalar, a subclass's, or a fault."""
        try:
            return active().as_array(given)
        except WrongArrayError as error:
            raise WrongArrayError(f"{type(self).__name__}: {what} {error}") from error


def array_of(operand: Any) -> Any:
    """A Variable's array; anything else as `plain` gives it."""
    return operand._data if isinstance(operand, Operand) else plain(operand)


def plain(operand: Any) -> Any:
    """NumPy's scalars as Python's, which take the dtype of the array they meet."""
    return operand.item() if isinstance(operand, np.generic) else operand


def check_real(what: str, array: Array) -> None:
    """Raise `OperandError` unless the elements are booleans, integers or floating."""
    if array.dtype.kind not in "biuf":
        raise OperandError(f"{what} of {array.dtype}; it must be of real numbers")
