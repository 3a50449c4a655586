"""Run a step of a copy of a network, and count its work."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from backends import Array, active, xp
from backends.errors import kind_of
from scratchnet.core.function import Edge, Function
from scratchnet.core.modes import Scope, observer, pauses, scopes
from scratchnet.core.sweep import functions_behind
from scratchnet.errors import OperandError
from scratchnet.inspect.summary.flops import Work, work
from scratchnet.inspect.summary.table import Row, Summary
from scratchnet.inspect.untouched import attributes_put_back, generators_in, generators_put_back
from scratchnet.inspect.walk import calls_of, paths_in
from scratchnet.layers import Module
from scratchnet.variable import Variable


def counted(
    net: Module, shape: tuple[int, ...], loss: Callable[..., Any] | None, dtype: np.dtype[Any]
) -> Summary:
    """Return what `scratchnet.summary` returns."""
    net, loss = _copied(net, loss)
    parameters = net.named_parameters()
    trainable = {id(each) for _, each in parameters if each.requires_grad}
    batch = Variable(xp.zeros(shape, dtype), name="input")
    with (
        generators_put_back(generators_in(net.modules())),
        attributes_put_back(net.modules()),  # a module in a class attribute is the original's too
        _all_needed([each for _, each in parameters]),
    ):
        net.train()
        run = _Run()
        results = copy_context().run(_forward, run, net, batch, loss)
    count = _Count(run, results, net, trainable, batch)
    rows = count.rows()
    return Summary(
        name=type(net).__name__,
        input_shape=shape,
        rows=tuple(rows),
        parameters=sum(each.size for _, each in parameters),
        trainable=sum(each.size for _, each in parameters if id(each) in trainable),
        unused=tuple(path for path, each in parameters if id(each) not in count.met),
        parameter_bytes=sum(each.data.nbytes for _, each in parameters),
        gradient_bytes=sum(each.data.nbytes for _, each in parameters if id(each) in trainable),
        input_bytes=sum(each.nbytes for each in (batch.data, *run.labels)),
    )


def _copied(net: Module, loss: Callable[..., Any] | None) -> tuple[Module, Callable[..., Any] | None]:
    """Return copies that share what the originals share."""
    try:
        return copy.deepcopy((net, loss))
    except (TypeError, RecursionError) as error:
        raise OperandError(
            f"summary: {type(net).__name__} cannot be copied, and so not be run without a trace: {error}"
        ) from error


@contextmanager
def _all_needed(parameters: Iterable[Variable]) -> Iterator[None]:
    """Within it, the graph is recorded for frozen parameters too."""
    frozen = [each for each in parameters if not each.requires_grad]
    for each in frozen:
        each.requires_grad = True
    try:
        yield
    finally:
        for each in frozen:
            each.requires_grad = False


class _Run:
    """A running step: its Functions and module calls in their order, and the results of the calls.

    Attributes:
        functions: the recorded Functions.
        labels: the labels that the loss got, if there is a loss.
        began: the position of each Function and call in the order, by identity.
        outputs: the shapes of the Variables that each call returned, by the call's identity.
    """

    def __init__(self) -> None:
        self.functions: list[Function] = []
        self.labels: list[Array] = []
        self.began: dict[int, int] = {}
        self.calls: list[Scope] = []
        self.outputs: dict[int, tuple[tuple[int, ...], ...]] = {}

    def applied(self, function: Function, arrays: Sequence[Any], results: Sequence[Any]) -> None:
        """Note a recorded Function and its position in the order."""
        if function.edges is not None:
            self.began[id(function)] = len(self.began)
            self.functions.append(function)

    def arriving(self, function: Function, grads: Sequence[Any]) -> None:
        """Do nothing: no gradient is computed."""

    passed = arriving

    def noting(self, module: Module) -> Callable[..., Any]:
        """Run its `forward`, and note each call."""
        forward = module.forward

        def noted(*inputs: Any, **options: Any) -> Any:
            call = scopes.get()
            assert call is not None
            self.began[id(call)] = len(self.began)
            self.calls.append(call)
            result = forward(*inputs, **options)
            shapes = (each.shape for each in variables_in(result))
            self.outputs[id(call)] = tuple(dict.fromkeys(shapes))
            return result

        return noted


def _forward(run: _Run, net: Module, batch: Variable, loss: Callable[..., Any] | None) -> list[Variable]:
    """Return the Variables that the network, or the loss, returns."""
    pauses.set(())
    observer.set(run)
    for module in net.modules():
        vars(module)["forward"] = run.noting(module)
    with np.errstate(all="ignore"):  # zeros have no logarithm
        try:
            result = net(batch)
        except OperandError as error:
            raise OperandError(
                f"{error}; summary ran the network on zeros of dtype {batch.dtype}, and its argument "
                "dtype gives others"
            ) from error
        if loss is not None:
            rows = result.shape[:-1] if isinstance(result, Variable) else ()
            run.labels.append(xp.zeros(rows or batch.shape[:1], xp.int64))
            result = loss(result, *run.labels)
    found = variables_in(result)
    if not found:
        raise OperandError(f"summary: {type(net).__name__} gave {kind_of(result)}, no Variable")
    return found


def variables_in(result: Any) -> list[Variable]:
    """The Variables that a result is or holds, however deep in tuples, lists and dicts; each once."""
    if isinstance(result, Variable):
        return [result]
    found: dict[int, Variable] = {}
    seen, ahead = set[int](), [result]
    while ahead:
        each = ahead.pop()
        if isinstance(each, Variable):
            found[id(each)] = each
        elif isinstance(each, (tuple, list, dict)) and id(each) not in seen:
            seen.add(id(each))
            ahead += reversed(each.values() if isinstance(each, dict) else each)
    return list(found.values())


@dataclass
class _Part:
    """One row of the table: a module's call, or a single Function."""

    path: str
    kind: str
    outputs: tuple[tuple[int, ...], ...]
    functions: list[Function] = field(default_factory=list)


class _Count:
    """The costs in the graph of a step, in which all operands are recorded, needed or not.

    Attributes:
        met: the parameters that the step uses, by identity.
    """

    def __init__(
        self, run: _Run, results: list[Variable], net: Module, trainable: set[int],
        batch: Variable,
    ) -> None:  # fmt: skip
        led = set(functions_behind([each.edge for each in results], all_that_is_there=True))
        self.functions = [each for each in run.functions if each in led]
        self.run, self.net, self.trainable, self.batch = run, net, trainable, batch.edge
        self.parameters = {id(each.edge): each for each in net.parameters()}
        self.met: set[int] = set()
        arrays = [*(each.data for each in net.parameters()), batch.data, *run.labels]
        self.counted = {id(_owner(array)) for array in arrays}
        self.needed: set[Function] = set()  # those whose results get a gradient
        for function in self.functions:
            if any(map(self._is_needed, function.edges or ())):
                self.needed.add(function)
        self.backward = self._backward()

    def rows(self) -> list[Row]:
        """Yield the rows in the order in which they ran."""
        return [self._row(part) for part in self._parts()]

    def _is_needed(self, edge: Edge) -> bool:
        """Whether a real step computes the gradient of an operand."""
        if edge.creator is not None:
            return edge.creator in self.needed
        if id(edge) in self.parameters:
            return id(self.parameters[id(edge)]) in self.trainable
        return edge.receiver is not None and edge is not self.batch and _wants_grad(edge)

    def _backward(self) -> dict[Function, int]:
        """Count the operations of each Function's backward, and of the sums at forks."""
        done: dict[Function, int] = {}
        arrived: set[Edge] = set()
        for function in reversed(self.functions):
            if function not in self.needed:
                continue
            cost = _work(function)
            total = cost.common if cost else 0
            for position, edge in enumerate(function.edges or ()):
                if self._is_needed(edge):
                    total += cost.backward[position] if cost else 0
                    total += prod(edge.shape) if edge in arrived else 0
                    arrived.add(edge)
            done[function] = total
        return done

    def _parts(self) -> Iterator[_Part]:
        paths, run = paths_in([self.net]), self.run
        calls = {id(call): call for call in (*run.calls, *calls_of(self.functions))}
        outer = {id(call.around) for call in calls.values()}
        parts: dict[int, _Part] = {}
        for key, call in calls.items():
            if key not in outer:
                kind = type(call.module).__name__
                part = _Part(paths.get(id(call.module), ""), kind, run.outputs.get(key, ()))
                part.functions = [each for each in self.functions if each.scope is call]
                firsts = [run.began[id(each)] for each in part.functions]
                parts[run.began.get(key, min(firsts, default=0))] = part
        for function in self.functions:
            if function.scope is None or id(function.scope) in outer:
                path = "" if function.scope is None else paths.get(id(function.scope.module), "")
                outputs = tuple(dict.fromkeys(shape for _, shape, _ in function.results))
                place = run.began[id(function)]
                parts[place] = _Part(path, type(function).__name__, outputs, [function])
        return (parts[place] for place in sorted(parts))

    def _row(self, part: _Part) -> Row:
        trainable = frozen = forward = backward = kept = 0
        unknown = []
        for function in part.functions:
            cost = _work(function)
            forward += cost.forward if cost else 0
            backward += self.backward.get(function, 0)
            if cost is None:
                unknown.append(type(function).__name__)
            for edge in function.edges or ():
                parameter = self.parameters.get(id(edge))
                if parameter is not None and id(parameter) not in self.met:
                    self.met.add(id(parameter))
                    if id(parameter) in self.trainable:
                        trainable += parameter.size
                    else:
                        frozen += parameter.size
            if function in self.needed:
                kept += sum(self._new_bytes(vars(function).values()))
        return Row(part.path, part.kind, part.outputs, trainable, frozen, forward, backward, kept,
                   tuple(dict.fromkeys(unknown)))  # fmt: skip

    def _new_bytes(self, kept: Iterable[Any]) -> Iterator[int]:
        """Count the bytes of arrays, also in tuples and lists, that were not counted yet."""
        for each in kept:
            if isinstance(each, active().array_type):
                owner = _owner(each)
                if id(owner) not in self.counted:
                    self.counted.add(id(owner))
                    yield owner.nbytes
            elif isinstance(each, (tuple, list)):
                yield from self._new_bytes(each)


def _wants_grad(edge: Edge) -> bool:
    leaf: Any = edge.variable
    return leaf is not None and leaf.requires_grad


def _work(function: Function) -> Work | None:
    needs = zip(function.edges or (), function.needs_grad, strict=True)
    sizes = [prod(edge.shape) if needed else None for edge, needed in needs]
    return work(function, function.results[0][1], sizes)


def _owner(array: Array) -> Array:
    """Return the array that owns the memory."""
    while isinstance(array.base, active().array_type):
        array = array.base
    return array
