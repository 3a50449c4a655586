"""`summary`: the layers of a network, and what a training step costs."""

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
) -> Summary:
    """Layers, output shapes, parameters, FLOPs and bytes of one training step.

    A copy of the network runs forward on zeros in training mode, and its graph is counted; the network
    and random generators stay as they are. Each module that calls no other is a row, and so is each
    Function between them, in the order in which they ran. What runs under `no_grad` or on plain arrays
    is not seen; parameters that were not met are named.

        print(sn.summary(net, (256, 784), sn.softmax_loss))

    FLOPs are those of forward and backward, without the optimizer's update. A multiplication and an
    addition are two: a product of (n, k) and (k, m) is 2nkm forward, and as much backward for each
    operand that needs a gradient, which the input does not. Of an element alone each operation is one,
    also a comparison, an exponential or a logarithm. Sums over what was broadcast and at forks count;
    moving elements does not. A Function of your own is shown as "?" and not counted.

    Bytes are those of the parameters, of their gradients, of the input (and labels), and of what the
    graph keeps from forward to backward: results, and what Functions keep, each array once. A step needs
    no more at a time, but for what a Function needs in passing.

    Args:
        net: the network.
        input_shape: that of a whole batch, such as (256, 784).
        loss: of the output and the labels, which are zeros, (n,) for a batch of n; counted too.

    Returns:
        A `Summary`, with `rows`, `parameters`, `flops` and `bytes`. Printed, it is a table as wide as
            the terminal; a notebook and rich show one too.

    Raises:
        OperandError: net is no module, cannot be copied, or gives no Variable.
        SettingError: the shape is not of positive integers.
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
    from scratchnet.inspect.summary.count import counted

    return counted(net, tuple(int(size) for size in sizes), loss)


def _is_size(size: Any) -> bool:
    return isinstance(size, (int, np.integer)) and not isinstance(size, bool) and int(size) > 0
