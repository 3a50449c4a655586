"""`explain`: the backward pass in words and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backends.errors import kind_of
from scratchnet.errors import OperandError
from scratchnet.variable import Variable

if TYPE_CHECKING:
    from scratchnet.inspect.explain.explanation import Explanation


def explain(variable: Variable) -> Explanation:
    """Show what `variable.backward()` does, step by step in the order in which it runs.

    The backward pass really runs, and each Function is observed. Then everything is as before: the
    gradients of leaves, the graph, which `backward` can still use, and the random generators. Small
    gradients are shown with all elements, large ones with norm, smallest and largest element. Every
    gradient is copied to the host. Several threads may explain the same graph at once, but none may call
    its `backward` at the same time.

        print(sn.explain(loss))

    Args:
        variable: the result, usually a loss. If it has several elements, the pass starts from their sum.

    Returns:
        An `Explanation`, with `steps` and `leaves`. Printed, it is text; in a notebook, it is a table.

    Raises:
        OperandError: it is not a Variable.
        GraphError: also everything else that `variable.backward()` would raise.
    """
    if not isinstance(variable, Variable):
        raise OperandError(
            f"explain: {kind_of(variable)} is not a Variable; give a result, such as the loss"
        )
    from scratchnet.inspect.explain.record import explained

    return explained(variable)
