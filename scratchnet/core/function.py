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

from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from backends import Array, BackendError, DeferredProduct, WrongArrayError, active, check, computed
from backends.errors import kind_of, one_line
from scratchnet.core.modes import pauses
from scratchnet.core.watch import Watch, is_needed
from scratchnet.errors import OperandError, ScratchnetError, ShapeError

T = TypeVar("T")


class Operand:
    """A Variable, as Functions and the sweep see it from below.

    It makes the Variable of what a Function computed from it. The attributes that are not here are
    explained in `graph.Variable`.

    Attributes:
        array: `data`, for those who do not change it, or who tell the watch when they have.
        watch: of a leaf, whether it is changed while a graph needs it as it is.
    """

    __slots__ = ("array", "creator", "is_leaf", "keeps_grad", "raw_grad", "requires_grad", "watch")
    array: Array
    raw_grad: Array | DeferredProduct | None
    creator: Function | None
    requires_grad: bool
    is_leaf: bool
    keeps_grad: bool
    watch: Watch

    @property
    def data(self) -> Array:
        """The array."""
        if self.is_leaf and is_needed(self):
            self.watch.taken_out(self.array)
        return self.array

    @data.setter
    def data(self, array: Array) -> None:
        self.array = array
        if self.is_leaf:
            self.watch.touch()

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which have the array, or one like it, and a watch of their own."""
        slots = [name for owner in type(self).__mro__ for name in getattr(owner, "__slots__", ())]
        kept = {name for name in slots if name not in ("watch", "__weakref__") and hasattr(self, name)}
        return {name: getattr(self, name) for name in kept} | {"array": self.data}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As `__getstate__` gave it."""
        for name, value in state.items():
            setattr(self, name, value)
        self.watch = Watch(self)

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

    The names below are the graph's: what a subclass keeps of its own has other ones.

    Attributes:
        rule: `backward` as formulas for a reader, one for each operand in `forward`'s name for it, with
            "; " between: "∂L/∂a = grad · b; ∂L/∂b = grad · a". grad is ∂L/∂y, and y the result. After
            a comma, and in a part that is no formula, there is more to say. Empty where it is not said.
        gives_new: whether all that `backward` gives are arrays that nothing else holds, so that a leaf
            may keep them; where this is not said, it is looked into.
        may_overwrite: set before `backward`: whether the gradient it is given is nobody else's, and so
            may be changed in place.
        takes_none: whether `backward(None)` is understood: a gradient of ones, which then need not be
            made and multiplied by.
        needs_grad: for each operand, whether anything needs its gradient. `forward` and `backward`
            may look at it to spare work; a gradient that nothing needs is dropped.
        operands: in a graph, the Variables it was applied to, None where one needs no gradient.
        watches: in a graph, those of its operands that are leaves.
        age: in a graph, its place in the order in which Functions were applied.
        module_calls: in a graph, the modules whose results this one made, the innermost first, each with
            the age at which it was called: what is younger and led here was made within it.
    """

    rule: ClassVar[str] = ""
    gives_new: ClassVar[bool] = False
    takes_none: ClassVar[bool] = False
    may_overwrite: bool = False
    needs_grad: tuple[bool, ...] = ()
    operands: Sequence[Operand | None] = ()
    watches: Sequence[Watch] = ()
    age: int = 0
    module_calls: tuple[tuple[Any, int], ...] = ()

    def __init_subclass__(cls) -> None:
        """What a class promises of its `backward`, a subclass must promise anew."""
        for promise in ("rule", "gives_new", "takes_none"):
            if promise not in vars(cls):
                setattr(cls, promise, getattr(Function, promise))

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
        watches: list[Watch] = []
        for operand in operands:
            needed = False
            if isinstance(operand, Operand):
                variable, needed = operand, recorded and operand.requires_grad
                if recorded and operand.is_leaf:
                    if operand.watch.snapshot is not None:
                        operand.watch.look(is_needed(operand))
                    watches.append(operand.watch)
                operand = operand.array
            sources.append(variable if needed else None)
            needs_grad.append(needed)
            if not isinstance(operand, array_type):
                operand = self._number(operand, position=len(arrays))
            arrays.append(operand)
        self.needs_grad, self.watches = tuple(needs_grad), watches
        try:
            result = self.forward(*arrays)
        except (ScratchnetError, BackendError):
            raise
        except ValueError as error:
            shapes = " and ".join(str(getattr(each, "shape", each)) for each in arrays)
            cause, name = one_line(error), type(self).__name__
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
                f"{name}: operand {position} is {kind_of(number)}, neither Variable, array "
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
