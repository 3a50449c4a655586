"""`explain`: the backward pass in words and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.errors import kind_of
from scratchnet.errors import OperandError
from scratchnet.variable import Variable

if TYPE_CHECKING:
    from scratchnet.inspect.explain.explanation import Explanation


def explain(variable: Variable) -> Explanation:
    """What `variable.backward()` does, step by step in the order in which it runs.

    The backward pass really runs, and each Function is watched as it does its part. Then all is as it
    was: the gradients that leaves have, the graph, which is still there for `backward`, and random
    generators. Small gradients are told by their elements, large ones by norm, smallest and largest.
    Every gradient crosses to the host. Threads may explain the same graph at once, but while one does,
    none may call its `backward`.

        print(sn.explain(loss))

    Args:
        variable: the result, mostly a loss; of one of several elements, their sum is meant.

    Returns:
        An `Explanation`, with `steps` and `leaves`: printed, it is text, and in a notebook tables.

    Raises:
        OperandError: it is no Variable.
        GraphError: and all else that `variable.backward()` would raise.
    """
    if not isinstance(variable, Variable):
        raise OperandError(
            f"explain: {kind_of(variable)} is no Variable; give a result, such as the loss"
        )
    from scratchnet.inspect.explain.record import explained

    return explained(variable)
