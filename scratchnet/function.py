"""Function: one step of a computation, as two rules on arrays.

A subclass says `forward(*arrays)` and `backward(grad)` and nothing else: broadcasting, adding up at
forks and devices are the business of `sweep`.

    class Square(Function):
        def forward(self, x):
            self.x = x
            return x * x

        def backward(self, grad):
            return 2 * self.x * grad

Applied to Variables it gives a Variable and becomes part of the graph; applied to arrays it gives
an array.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from backends import Array, BackendError, DeferredProduct, WrongArrayError, active, check, computed, xp
from scratchnet.errors import OperandError, ScratchnetError, ShapeError, StaleGraphError
from scratchnet.recording import pauses

T = TypeVar("T")

ages = itertools.count()
"""What happens in a graph, in its order: a Function is applied, a leaf is changed."""


class Operand:
    """A Variable, as Functions and the sweep see it from below.

    It makes the Variable of what a Function computed from it. The attributes that are not here are
    explained in `graph.Variable`.

    Attributes:
        array: `data`, for those who do not change it, or who `touch` the Variable when they have.
        uses: of a leaf, how many Functions in graphs were applied to it and not yet swept.
        changed: of a leaf, the age of its last change; infinite where that must be looked into.
        snapshot: of a leaf that may have been changed: what it was, and the age of the change before.
    """

    __slots__ = (
        "array", "changed", "creator", "is_leaf", "keeps_grad", "raw_grad", "requires_grad", "snapshot",
        "uses",
    )  # fmt: skip
    array: Array
    raw_grad: Array | DeferredProduct | None
    creator: Function | None
    requires_grad: bool
    is_leaf: bool
    keeps_grad: bool
    uses: int
    changed: float
    snapshot: tuple[Array, float] | None

    @property
    def data(self) -> Array:
        """The array. Who takes a leaf's while a graph needs it may change it: a copy is kept."""
        if self.is_leaf and self.uses and self.snapshot is None:
            self.snapshot, self.changed = (self.array.copy(order="K"), self.changed), math.inf
        return self.array

    @data.setter
    def data(self, array: Array) -> None:
        self.array = array
        self.touch()

    def touch(self) -> None:
        """Note that the array was changed: the graphs that have used it are no longer right."""
        self.changed, self.snapshot = next(ages), None

    def look(self) -> None:
        """Find out whether the array was changed since somebody took it out."""
        if self.snapshot is not None:
            former, self.changed = self.snapshot
            self.snapshot = None
            if not xp.array_equal(former, self.array, equal_nan=True):
                self.touch()

    def check_unchanged(self, function: Function) -> None:
        """Raise `StaleGraphError` if it was changed since the function was applied to it."""
        self.look()
        if self.changed > function.age:
            raise StaleGraphError(
                f"backward: {self.label()} was changed after {type(function).__name__} used it; "
                "its gradient would be wrong; run forward again, or change it after backward"
            )

    @property
    def grad(self) -> Array | None:
        """The gradient. Where the sweep has left a product in its place, it is computed now."""
        self.compute_grad()
        return self.raw_grad

    @grad.setter
    def grad(self, grad: Array | None) -> None:
        self.raw_grad = grad

    def compute_grad(self) -> None:
        """Let the gradient be an array, if there is one."""
        self.raw_grad = computed(self.raw_grad)

    def made(self, function: Function, sources: list[Operand | None], data: Array) -> Any:
        """The function's result as a Variable. The sources are as `Function.operands`."""
        raise NotImplementedError

    def label(self) -> str:
        """What messages call it."""
        raise NotImplementedError


class Function:
    """One step of a computation.

    Attributes:
        gives_new: whether all that `backward` gives are arrays that nothing else holds, so that a leaf
            may keep them; where this is not said, it is looked into.
        may_overwrite: set before `backward`: whether the gradient it is given is nobody else's, and so
            may be changed in place.
        takes_none: whether `backward(None)` is understood: a gradient of ones, which then need not be
            made and multiplied by.
        needs_grad: for each operand, whether anything needs its gradient. `forward` and `backward`
            may look at it to spare work; a gradient that nothing needs is dropped.
        operands: in a graph, the Variables it was applied to, None where one needs no gradient.
        age: in a graph, its place in the order in which Functions were applied.
    """

    gives_new: ClassVar[bool] = False
    takes_none: ClassVar[bool] = False
    may_overwrite: bool = False
    needs_grad: tuple[bool, ...] = ()
    operands: Sequence[Operand | None] = ()
    age: int = 0

    def __init_subclass__(cls) -> None:
        """What a class promises of its `backward`, a subclass must promise anew."""
        for promise in ("gives_new", "takes_none"):
            if promise not in vars(cls):
                setattr(cls, promise, False)

    def forward(self, *arrays: Array) -> Array:
        """The result. What `backward` will need is kept in attributes of `self`.

        Operands are arrays of the active backend, or Python numbers.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say forward(*arrays)")

    def backward(self, grad: Array) -> Array | tuple[Array | None, ...]:
        """The gradient at each operand, given the one at the result: an array, or a tuple.

        Each has the shape that the operand was broadcast to; None stands for zero. Return new
        arrays, `grad` itself, or what `forward` kept in attributes; change none of these in place,
        for others may hold them too (but for `grad`, if `may_overwrite`).
        """
        raise NotImplementedError(f"{type(self).__name__} does not say backward(grad)")

    def __call__(self, *operands: Any) -> Any:
        """Apply to Variables, arrays or numbers. The object stays as it is: a copy does the work.

        Raises:
            ShapeError: the operands' shapes do not fit.
            OperandError: an operand is neither Variable, array nor number.
            WrongArrayError: an array is of another library than the active backend's.
        """
        return self.copy().on(*operands)

    def on(self, *operands: T) -> T:
        """As calling it, but this very object becomes the node: for one that nobody else holds.

        Its type says: Variables give a Variable, and arrays an array.
        """
        array_type, variable, recorded = active().array_type, None, not pauses.get()
        arrays: list[Any] = []
        sources: list[Operand | None] = []
        needs_grad: list[bool] = []
        for operand in operands:
            needed = False
            if isinstance(operand, Operand):
                variable, needed = operand, recorded and operand.requires_grad
                if needed and operand.is_leaf:
                    operand.uses += 1
                    if operand.snapshot is not None:
                        operand.look()
                operand = operand.array
            sources.append(variable if needed else None)
            needs_grad.append(needed)
            if not isinstance(operand, array_type):
                operand = self._number(operand, position=len(arrays))
            arrays.append(operand)
        self.needs_grad = tuple(needs_grad)
        try:
            result = self.forward(*arrays)
        except (ScratchnetError, BackendError):
            raise
        except ValueError as error:
            shapes = " and ".join(str(getattr(each, "shape", each)) for each in arrays)
            cause, name = " ".join(str(error).split()), type(self).__name__
            raise ShapeError(f"{name}: operands {shapes} do not fit: {cause}") from error
        if not isinstance(result, array_type):
            result = self._array(result)
        made: T = result if variable is None else variable.made(self, sources, result)
        return made

    def copy(self) -> Self:
        """A Function with the same settings, to become a node of one graph."""
        node = object.__new__(type(self))
        node.__dict__.update(self.__dict__)
        return node

    def _number(self, operand: Any, position: int) -> Any:
        """An operand that is no array of the active backend, if it is a number."""
        number = plain(operand)
        if not isinstance(number, (float, int)):
            name = type(self).__name__
            if hasattr(number, "dtype"):
                check(name, f"operand {position}", number)
            raise OperandError(
                f"{name}: operand {position} is a {type(number).__name__}, neither Variable, array "
                "nor number; wrap it: Variable(...)"
            )
        return number

    def _array(self, result: Any) -> Array:
        """A result that is no array yet: a scalar of the array library, or a fault."""
        try:
            return active().as_array(result)
        except WrongArrayError as error:
            raise WrongArrayError(f"{type(self).__name__}.forward gave {error}") from error


def array_of(operand: Any) -> Any:
    """A Variable's array; anything else as `plain` gives it."""
    return operand.array if isinstance(operand, Operand) else plain(operand)


def plain(operand: Any) -> Any:
    """NumPy's scalars as Python's, which take the dtype of the array they meet."""
    return operand.item() if isinstance(operand, np.generic) else operand


def check_real(what: str, array: Array) -> None:
    """Raise `OperandError` unless the elements are booleans, integers or floating."""
    if array.dtype.kind not in "biuf":
        raise OperandError(f"{what} of {array.dtype}; it must be of real numbers")
