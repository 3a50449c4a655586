"""What a Function of a graph was applied to, as far as that is known.

The graph keeps no operand that needs no gradient. A leaf among them is found by its watch, whose place
is between those of its neighbours; anything else only where `forward` has kept it under the name of its
argument.
"""

from __future__ import annotations

from typing import Any

from scratchnet.core.function import Function, Operand, plain
from scratchnet.inspect.words import operand_names


def operands_of(function: Function) -> list[tuple[str, Any]]:
    """What `forward` calls each operand, and the Variable, number or array that it was, or None."""
    kept = vars(function)
    return [
        (name, _value(kept.get(name)) if operand is None else operand)
        for name, operand in zip(operand_names(function), _leaves_found(function), strict=False)
    ]


def _leaves_found(function: Function) -> list[Operand | None]:
    found = list(function.operands)
    leaves = [watch.leaf() for watch in function.watches]
    waiting: list[int] = []

    def settle(between: list[Operand | None]) -> None:
        if len(between) == len(waiting):
            for position, leaf in zip(waiting, between, strict=True):
                found[position] = leaf
        waiting.clear()

    for position, operand in enumerate(function.operands):
        if operand is None:
            waiting.append(position)
        elif operand.is_leaf:
            place = next((i for i, leaf in enumerate(leaves) if leaf is operand), 0)  # a copy's: nowhere
            settle(leaves[:place])
            del leaves[: place + 1]
    settle(leaves)
    return found


def _value(kept: Any) -> Any:
    """A number or an array; None for anything else that a Function keeps."""
    kept = plain(kept)
    is_number = isinstance(kept, (int, float))
    is_array = hasattr(kept, "shape") and hasattr(kept, "dtype") and not isinstance(kept, Operand)
    return kept if is_number or is_array else None
