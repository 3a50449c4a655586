"""What modules keep beside their parameters and generators, and whether it changes in training."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any

import numpy as np

from backends import to_host
from scratchnet.files import digest_of
from scratchnet.layers import Module
from scratchnet.training.capture.host_state import HostState
from scratchnet.variable import Variable

_CODE = types.FunctionType, types.MethodType, type, property, staticmethod, classmethod


class Attributes(HostState):
    """The attributes of a network, as they are now: arrays by content, and of Variables the switch.

    Code, and what it closes over, is not looked into.
    """

    def __init__(self, net: Module) -> None:
        """Look at all of them."""
        self._told: set[str] = set()
        self._kept = {id(each) for each in net.generators().values()}
        super().__init__(net=net)

    def newly_changed(self, net: Module) -> list[str]:
        """The paths of what is not now as it was then, each told once."""
        now, then = Attributes(net).values, self.values
        paths = {path for path in then.keys() & now.keys() if then[path] != now[path]}
        inner = {path for path in paths if not any(other.startswith(f"{path}.") for other in paths)}
        new, self._told = inner - self._told, self._told | inner
        return sorted(path.removeprefix("net.") for path in new)

    def _look(self, path: str, thing: Any) -> None:
        if id(thing) in self._kept or path.endswith(".training"):
            return
        if isinstance(thing, Variable):
            self.values[path] = thing.requires_grad
        elif isinstance(thing, (np.ndarray, self._array_type)):
            self.values[path] = digest_of({path: to_host(thing)})
        else:
            super()._look(path, thing)

    def _parts(self, thing: Any) -> Iterable[tuple[object, Any]]:
        return () if isinstance(thing, _CODE) else super()._parts(thing)
