"""What the outputs of a network mean under each loss: classes, numbers, or yes and no."""

from __future__ import annotations

from functools import partial
from typing import Any

OF_CLASSES: set[Any] = set()
"""The losses for classes. A module of losses adds its own."""
OF_NUMBERS: set[Any] = set()
"""The losses for numbers."""
OF_TWO: dict[Any, str] = {}
"""The losses for yes and no, each with what its outputs are: "logits", "probabilities" or "scores"."""


def opened(function: Any) -> tuple[Any, dict[str, Any]]:
    """Return the function within any partials, if it can be looked up, and the options they give."""
    given: dict[str, Any] = {}
    while isinstance(function, partial):
        given = {**function.keywords, **given}
        function = function.func
    return (function if getattr(function, "__hash__", None) else None), given
