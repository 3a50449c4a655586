"""Work that is done again and again: step by step at first, then captured as one launch.

A captured step is frozen: what Python computed while it was recorded is not computed again. So only
what has been seen to leave Python's side alone is captured, and as long as that side stays as it was.
"""

from __future__ import annotations

import random
import types
import warnings
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np

from backends import CaptureError, Setting, active, transfers
from scratchnet.errors import CaptureWarning, SettingError
from scratchnet.graph import Variable

T = TypeVar("T")

_VALUES = (int, float, complex, str, bytes, bool, type(None))
_OPAQUE = (type, types.FunctionType, types.MethodType, types.BuiltinFunctionType, types.ModuleType)
_SMALL = 4096


class Replay(Generic[T]):
    """Does some work; from the third time or so on as one launch, where the backend can.

    Args:
        name: of the work, for messages.
        mode: "auto" captures what can be captured, and warns once, with the reason, where nothing can;
            True raises `CaptureError` there; False never captures.
        things: gives what the work depends on, by name: networks, optimisers, functions, arrays. Where
            they have changed, the work is done step by step, with a warning, and then captured anew.
        steps: the work, step by step.
        whole: asked after `steps` has been seen to work: the same by other means, or None.

    Raises:
        SettingError: another mode.
    """

    def __init__(
        self,
        name: str,
        mode: bool | str,
        things: Callable[[], dict[str, Any]],
        steps: Callable[[], T],
        whole: Callable[[], Callable[[], T] | None],
    ) -> None:
        """See the class."""
        check_mode(mode)
        self.name, self.mode, self.things = name, mode, things
        self.steps, self.whole = steps, whole
        self.refused = ""
        self._state: dict[str, Any] = {}
        self._work, self._tried = steps, False
        self._fault = ""
        self._recorded: Callable[[], T] | None = None

    @property
    def wanted(self) -> bool:
        """Whether it is worth preparing for: arrays at fixed addresses, and so on."""
        return self.mode is not False and not self.refused and active().captures

    @property
    def how(self) -> str:
        """In words, how the work is done now."""
        if self._recorded is None:
            return "step by step"
        return "one launch" + ("" if self._work == self.steps else " of fused kernels")

    def __call__(self) -> T:
        """The work, and its result. Where it was captured, the next call overwrites the result.

        Raises:
            CaptureError: the mode is True and the work cannot be captured.
        """
        if not self.wanted:
            return self.steps()
        state = self._look()
        if state != self._state:
            return self._begin(state)
        if not self._tried:
            self._tried = True  # its kernels are compiled and loaded, which no capture permits
            return self._work()
        if self._recorded is None:
            try:
                self._recorded = active().capture(self._work)
            except CaptureError as error:
                self.refuse(str(error))
                return self.steps()
        return self._recorded()

    def refuse(self, reason: str) -> None:
        """From now on step by step; said once, or raised where the mode is True."""
        self.refused, self._recorded = reason, None
        line = f"{self.name} runs step by step, not as one launch: {reason}"
        if self.mode is True:
            raise CaptureError(f"{line}; mend that, or give capture=False")
        warnings.warn(line, CaptureWarning, stacklevel=2)

    def _begin(self, state: dict[str, Any]) -> T:
        """Step by step, with an eye on what changes on the host."""
        if self._state:
            changed = _difference(self._state, state)
            line = f"{self.name} begins anew, step by step: {changed} is not what it was"
            warnings.warn(line, CaptureWarning, stacklevel=3)
        self._recorded, self._state, self._work = None, {}, self.steps
        crossings, chance = transfers(), _global_chance()
        result = self.steps()
        fault = ""
        if transfers() != crossings:
            fault = "a step copies between host and device"
        elif _global_chance() != chance:
            fault = "a step draws from a global random generator on the host"
        elif (after := self._look()) != state:
            fault = f"{_difference(state, after)} changes during a step, on the host"
        if not fault:
            self._state, other = state, self.whole()
            self._work, self._tried = other or self.steps, other is None
        elif self._fault:
            self.refuse(fault)
        self._fault = fault  # once is forgiven: many things are made at the first step
        return result

    def _look(self) -> dict[str, Any]:
        return host_state(backend=active().name, **self.things())


def check_mode(mode: bool | str) -> None:
    """Raise `SettingError` for what is no mode of capture."""
    if mode not in (True, False, "auto"):
        raise SettingError(f'capture is {mode!r}; it must be True, False or "auto"')


def host_state(**things: Any) -> dict[str, Any]:
    """What Python holds in these things, by path: values as they are, arrays by their identity."""
    found: dict[str, Any] = {}
    for name, thing in things.items():
        _look(name, thing, found, set())
    return found


class _Same:
    """Equal to what holds the very same object; it holds it, so that no other takes its place."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.thing is other.thing

    __hash__ = None  # type: ignore[assignment]


def _look(path: str, thing: Any, found: dict[str, Any], seen: set[int]) -> None:
    if isinstance(thing, _VALUES):
        found[path] = thing
    elif isinstance(thing, Variable):
        found[path] = thing.requires_grad, _Same(thing), _Same(thing.data)
    elif isinstance(thing, Setting) or id(thing) in seen:
        pass
    elif isinstance(thing, (np.random.Generator, np.random.BitGenerator)):
        bits: Any = getattr(thing, "bit_generator", thing)
        found[path] = repr(bits.state)
    elif isinstance(thing, random.Random):
        found[path] = thing.getstate()
    elif isinstance(thing, np.generic) or (isinstance(thing, np.ndarray) and thing.size <= _SMALL):
        found[path] = thing.tobytes(), _Same(thing)
    elif isinstance(thing, (dict, list, tuple)) or (
        hasattr(thing, "__dict__") and not isinstance(thing, _OPAQUE)
    ):
        seen.add(id(thing))
        found[path] = _Same(thing)
        items = thing if isinstance(thing, dict) else vars(thing) if hasattr(thing, "__dict__") else (
            dict(enumerate(thing))
        )  # fmt: skip
        for name, each in list(items.items()):
            _look(f"{path}.{name}", each, found, seen)
    else:
        found[path] = _Same(thing)


def _difference(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The first path at which the two differ; one that has more beneath it only if none else does."""
    paths = [path for path in {**before, **after} if before.get(path) != after.get(path)]
    return max(paths, key=lambda path: path.count("."))


def _global_chance() -> tuple[Any, ...]:
    """The state of the global random generators."""
    state: Any = np.random.get_state(legacy=False)["state"]
    return random.getstate(), state["key"].tobytes(), state["pos"]
