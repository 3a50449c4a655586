"""A step of a copy of a network, run and counted."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backends import Array, active, xp
from backends.errors import kind_of
from scratchnet.core.function import Function, Operand
from scratchnet.core.modes import pauses
from scratchnet.errors import OperandError
from scratchnet.inspect.summary.flops import work
from scratchnet.inspect.summary.table import Row, Summary
from scratchnet.inspect.untouched import attributes_put_back, generators_put_back
from scratchnet.inspect.walk import Node, paths_in, walk
from scratchnet.layers import Module
from scratchnet.layers.module import variables_in
from scratchnet.variable import Variable


def counted(net: Module, shape: tuple[int, ...], loss: Callable[..., Any] | None) -> Summary:
    """What `scratchnet.summary` gives."""
    net, loss = _copied(net, loss)
    parameters = net.named_parameters()
    trainable = {id(each) for _, each in parameters if each.requires_grad}
    batch = Variable(xp.zeros(shape, xp.float32))
    labels = xp.zeros(shape[0], xp.int64) if loss is not None else None
    with (
        generators_put_back(net=net, loss=loss),
        attributes_put_back(net.modules()),  # a module in a class is the original's too
        _all_needed([each for _, each in parameters]),
    ):
        net.train()
        results = copy_context().run(_forward, net, batch, loss, labels)
    count = _Count(results, net, trainable, [batch.array, labels])
    rows = count.rows()
    return Summary(
        name=type(net).__name__,
        input_shape=shape,
        rows=tuple(rows),
        parameters=sum(each.size for _, each in parameters),
        trainable=sum(each.size for _, each in parameters if id(each) in trainable),
        unused=tuple(path for path, each in parameters if id(each) not in count.met),
        parameter_bytes=sum(each.array.nbytes for _, each in parameters),
        gradient_bytes=sum(each.array.nbytes for _, each in parameters if id(each) in trainable),
        input_bytes=sum(each.nbytes for each in (batch.array, labels) if each is not None),
    )


def _copied(net: Module, loss: Callable[..., Any] | None) -> tuple[Module, Callable[..., Any] | None]:
    """Copies, which share between them what the two share."""
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


class _Batch(Function):
    """Makes the batch a result, so that it remembers the modules that gave it back as it was."""

    def forward(self, x: Array) -> Array:
        return x


def _forward(
    net: Module, batch: Variable, loss: Callable[..., Any] | None, labels: Array
) -> list[Operand]:
    """The Variables that the network, or the loss, gives."""
    pauses.set(())
    with np.errstate(all="ignore"):  # zeros have no logarithm
        batch = _Batch()(batch)
        batch.name = "input"
        result = net(batch)
        if loss is not None:
            result = loss(result, labels)
    found: list[Operand] = [*variables_in(result)]
    if not found:
        raise OperandError(f"summary: {type(net).__name__} gave {kind_of(result)}, no Variable")
    return found


@dataclass
class _Part:
    """What becomes a row: a module's call, or a Function alone."""

    path: str
    kind: str
    outputs: list[Operand]
    nodes: list[Node] = field(default_factory=list)


class _Count:
    """Of the graph of a step, in which all operands are recorded, needed in truth or not.

    Attributes:
        met: the leaves met, by identity.
    """

    def __init__(
        self, results: list[Operand], net: Module, trainable: set[int], given: Sequence[Array | None]
    ) -> None:
        nodes, self.calls = walk(results)
        self.nodes = [node for node in nodes if not isinstance(node.function, _Batch)]
        self.net, self.trainable = net, trainable
        self.parameters = {id(each) for each in net.parameters()}
        self.met: set[int] = set()
        arrays = [each.array for each in net.parameters()] + [each for each in given if each is not None]
        self.counted = {id(_owner(array)) for array in arrays}
        self.inputs = {id(array) for array in given}
        self.needed: set[int] = set()  # results and leaves that get a gradient
        for function, made, _ in self.nodes:
            if any(each is not None and self._is_needed(each) for each in function.operands):
                self.needed.update(map(id, made))
        self.backward = self._backward()

    def rows(self) -> list[Row]:
        """In the order in which they ran."""
        return [self._row(part) for part in self._parts()]

    def _is_needed(self, operand: Operand) -> bool:
        """Whether a real step computes its gradient."""
        if not operand.is_leaf:
            return id(operand) in self.needed
        if id(operand) in self.parameters:
            return id(operand) in self.trainable
        return id(operand.array) not in self.inputs

    def _backward(self) -> dict[int, int]:
        """The operations of each Function's backward, and of adding up at forks, by identity."""
        done: dict[int, int] = {}
        arrived: set[int] = set()
        for function, (result, *_), _ in reversed(self.nodes):
            if id(result) not in self.needed:
                continue
            cost = self._work(function, result)
            total = cost.common if cost else 0
            for position, operand in enumerate(function.operands):
                if operand is not None and self._is_needed(operand):
                    total += cost.backward[position] if cost else 0
                    total += operand.array.size if id(operand) in arrived else 0
                    arrived.add(id(operand))
            done[id(function)] = total
        return done

    def _work(self, function: Function, result: Operand) -> Any:
        sizes = [None if each is None else each.array.size for each in function.operands]
        return work(function, result.array.shape, sizes)

    def _parts(self) -> Iterator[_Part]:
        paths = paths_in([self.net])
        outer = {call.around for call in self.calls}
        parts: dict[int, _Part] = {}
        for call in self.calls:
            if call not in outer:
                kind = type(call.module).__name__
                parts[call.begun] = _Part(paths.get(id(call.module), ""), kind, call.results)
        for node in self.nodes:
            if node.call is not None and node.call not in outer:
                parts[node.call.begun].nodes.append(node)
            else:
                path = "" if node.call is None else paths.get(id(node.call.module), "")
                kind = type(node.function).__name__
                parts[node.function.age] = _Part(path, kind, node.results, [node])
        return (parts[age] for age in sorted(parts))

    def _row(self, part: _Part) -> Row:
        trainable = frozen = forward = backward = kept = 0
        unknown = []
        for function, (result, *_), _ in part.nodes:
            cost = self._work(function, result)
            forward += cost.forward if cost else 0
            backward += self.backward.get(id(function), 0)
            if cost is None:
                unknown.append(type(function).__name__)
            for operand in function.operands:
                if (
                    operand is not None
                    and id(operand) in self.parameters
                    and id(operand) not in self.met
                ):
                    self.met.add(id(operand))
                    size, is_trained = operand.array.size, id(operand) in self.trainable
                    trainable, frozen = trainable + size * is_trained, frozen + size * (not is_trained)
            if id(result) in self.needed:
                kept += sum(self._new_bytes([result.array, *vars(function).values()]))
        outputs = tuple(dict.fromkeys(each.array.shape for each in part.outputs))
        return Row(part.path, part.kind, outputs, trainable, frozen, forward, backward, kept,
                   tuple(dict.fromkeys(unknown)))  # fmt: skip

    def _new_bytes(self, kept: Iterable[Any]) -> Iterator[int]:
        """Of the arrays among these, and in tuples and lists, that were not counted yet."""
        for each in kept:
            if isinstance(each, active().array_type):
                owner = _owner(each)
                if id(owner) not in self.counted:
                    self.counted.add(id(owner))
                    yield owner.nbytes
            elif isinstance(each, (tuple, list)):
                yield from self._new_bytes(each)


def _owner(array: Array) -> Array:
    """The array whose memory it lies in."""
    while isinstance(array.base, active().array_type):
        array = array.base
    return array
