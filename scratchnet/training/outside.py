"""What a training run depends on outside its state: attributes, and the global random generators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from backends import active, to_host
from scratchnet.core.function import is_ours
from scratchnet.core.stateful import Stateful
from scratchnet.files import digest_of
from scratchnet.layers import Module


def attributes(net: Module, loss: Any, **parts: Any) -> dict[str, str]:
    """Return what these hold in attributes that their state does not have, in a comparable form.

    These are arrays, numbers and generators in attributes of the network's modules, the loss and the
    other parts, such as the optimizer, and in lists and dicts there.
    """
    held: dict[str, str] = {}
    for path, module in net.named_modules():
        held |= _held(f"net.{path}".removesuffix("."), module, {"training"}, generators=False)
    for name, part in parts.items():
        if _inherits_its_state(type(part)):
            held |= _held(name, part, part.state_dict())
    loss = getattr(loss, "__self__", loss)  # a method belongs to an object
    if not isinstance(loss, Module):
        held |= _held("loss", loss, ())
    return held


def _inherits_its_state(kind: type) -> bool:
    """Whether a class of the user's leaves `state_dict` to the library's class that it extends."""
    says = getattr(kind, "state_dict", Stateful.state_dict)
    return not is_ours(kind) and is_ours(says) and says is not Stateful.state_dict


def _held(owner: str, part: Any, kept: Any, generators: bool = True) -> Iterator[tuple[str, str]]:
    """Yield the attributes by path; `generators` says whether those that stand alone count."""
    import random

    for name, thing in getattr(part, "__dict__", {}).items():
        if name in kept or name.removeprefix("_") in kept:
            continue
        several = list(enumerate(thing)) if isinstance(thing, list) else None
        several = list(thing.items()) if isinstance(thing, dict) else several
        for place, each in [("", thing)] if several is None else several:
            where = f"{owner}.{name}" + ("" if several is None else f".{place}")
            if isinstance(each, (int, float, np.number)):
                yield where, repr(each)
            elif isinstance(each, (np.ndarray, active().array_type)):
                yield where, digest_of({where: to_host(each)})
            elif isinstance(each, random.Random):
                yield where, repr(each.getstate())
            elif isinstance(each, np.random.Generator) and (generators or several is not None):
                yield where, repr(each.bit_generator.state)


def chance() -> tuple[Any, ...]:
    """Return the state of Python's and NumPy's global random generators, to be compared."""
    import random

    state: Any = np.random.get_state(legacy=False)
    bits = state["state"]
    return random.getstate(), bits["key"].tobytes(), bits["pos"], state["has_gauss"], state["gauss"]
