"""`summary`: the layers of a network, and the cost of a training step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.errors import kind_of
from scratchnet.errors import OperandError, SettingError
from scratchnet.layers import Module
from scratchnet.variable import Variable

if TYPE_CHECKING:
    from scratchnet.inspect.summary.table import Summary


def summary(
    net: Module,
    input_shape: Sequence[int] | np.ndarray,
    loss: Callable[[Any, Any], Variable] | None = None,
    *,
    dtype: Any = np.float32,
) -> Summary:
    """Count layers, output shapes, parameters, FLOPs and bytes of one training step.

    A copy of the network runs forward on zeros in training mode, and its graph is counted. The network
    and random generators stay as they are. Each module that calls no other module is a row, and so is
    each Function between modules, in the order in which they ran. Work under `no_grad` or on plain
    arrays is not counted. Parameters that the step did not use are listed.

        print(sn.summary(net, (256, 784), sn.softmax_loss))

    FLOPs are floating-point operations of forward and backward, without the optimizer's update. A
    multiplication and an addition are two: a product of (n, k) and (k, m) is 2nkm forward, and the same
    backward for each operand that needs a gradient. The network's input needs none. Per element, each
    operation is one, also a comparison, an exponential or a logarithm. Sums over broadcast axes and at
    forks count; moving elements does not. Your own Function is shown as "?" and not counted.

    Bytes are those of the parameters, of their gradients, of the input (and labels), and of what the
    graph keeps from forward to backward, each array once. A step needs no more at one time, except for
    temporary arrays within a Function.

    Args:
        net: the network.
        input_shape: the shape of a whole batch, such as (256, 784).
        loss: a function of the output and the labels, which is counted too. The labels are zeros: (n,)
            for an output of shape (n, classes), and (n, length) for one of (n, length, classes).
        dtype: that of the batch. A network that begins with `Embedding` needs "int64".

    Returns:
        A `Summary`, with `rows`, `parameters`, `flops` and `bytes`. Printed, in a notebook and in rich,
            it is a table.

    Raises:
        OperandError: net is not a Module, cannot be copied, does not take a batch of this dtype, or
            returns no Variable.
        SettingError: the shape has a size that is not a positive integer, or dtype is not one of real
            numbers.
        ShapeError: a layer does not take an input of this shape.
    """
    if not isinstance(net, Module):
        raise OperandError(f"summary: {kind_of(net)} is no module; give the network")
    given = input_shape.tolist() if isinstance(input_shape, np.ndarray) else input_shape
    sizes = tuple(given) if isinstance(given, Sequence) else ()
    if not sizes or not all(map(_is_size, sizes)):
        raise SettingError(
            f"summary: input_shape is {input_shape!r}; it must be of positive integers, the batch "
            "first, such as (256, 784)"
        )
    try:
        kind: np.dtype[Any] = np.dtype(dtype)
    except TypeError as error:
        raise SettingError(f'summary: dtype is {dtype!r}; give one such as "int64"') from error
    if kind.kind not in "biuf":
        raise SettingError(
            f'summary: dtype is {dtype!r}; it must be one of real numbers, such as "int64"'
        )
    from scratchnet.inspect.summary.count import counted

    return counted(net, tuple(int(size) for size in sizes), loss, kind)


def _is_size(size: Any) -> bool:
    return isinstance(size, (int, np.integer)) and not isinstance(size, bool) and int(size) > 0
