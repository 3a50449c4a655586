"""Repeated work: first step by step, then captured and launched as one.

A launch runs no Python: it repeats what was recorded. So work is captured only if all its parts keep the
contract (`contract.py`), and if the launch gives the same bits as the steps on the same arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np

from backends import Array, CaptureError, DeviceMemoryError, Setting, active, to_host, transfers, xp
from scratchnet.core.function import Function
from scratchnet.core.sweep import functions_behind
from scratchnet.errors import CaptureWarning, SettingError, warn_the_user
from scratchnet.training.capture.contract import Held, undeclared
from scratchnet.training.outside import chance
from scratchnet.training.running import agreed
from scratchnet.variable import Variable

T = TypeVar("T", bound="Array | list[Array]")

UNSTEADY = "its loader may hand out new arrays; take an ArrayDataLoader as it is"
_MOST_DIFFERENCE = 1e-4


class Whole:
    """The same work in another way: `run(parameters)` returns its result, and may change them."""

    def __init__(self, run: Callable[[tuple[Array, ...]], Array], parameters: tuple[Array, ...]) -> None:
        self.run, self.parameters = run, parameters


class Replay(Generic[T]):
    """Runs some work: the first time step by step, later as one launch if possible.

    Args:
        name: the name of the work, for messages.
        mode: "auto" captures if possible, and otherwise warns once with the reason. True raises
            `CaptureError` instead. False never captures.

    Attributes:
        recording: whether the work runs only to be recorded.
        copies_between: the number of copies to the host that callbacks have needed between two steps.
            They are no part of the work.

    Raises:
        SettingError: another mode.
    """

    def __init__(self, name: str, mode: bool | str) -> None:
        if not (isinstance(mode, bool) or (isinstance(mode, str) and mode == "auto")):
            raise SettingError(f'capture is {mode!r}; it must be True, False or "auto"')
        self.name, self.mode = name, mode
        self.refused = ""
        self.recording, self.copies_between = False, 0
        self._functions: list[Function] = []
        self._state: Held | None = None
        self._whole: Whole | None = None
        self._recorded: Callable[[], T] | None = None
        self._faults = self._unsteady = 0

    @property
    def wanted(self) -> bool:
        """Whether to prepare for capture, for example with arrays at fixed addresses.

        Raises:
            CaptureError: the mode is True, and the work cannot be captured.
        """
        if self.mode is False or not active().captures:
            return False
        if self.refused and self.mode is True:
            raise CaptureError(self._line())
        return not self.refused

    @property
    def launched_on(self) -> Sequence[Variable]:
        """The Variables that the work depends on, if it is one launch; otherwise none."""
        return () if self._recorded is None or self._state is None else self._state.variables

    @property
    def how(self) -> str:
        """How the work runs now, in words."""
        if self._recorded is None:
            return "step by step"
        return "one launch" + ("" if self._whole is None else " of fused kernels")

    def __call__(
        self,
        steps: Callable[[], T],
        whole: Callable[[], Whole | None],
        things: dict[str, Any],
    ) -> T:
        """Run the work and return its result. After a launch, the next launch overwrites the result.

        Args:
            steps: the work, step by step.
            whole: called after the steps; returns the same work in another way, or None.
            things: what the work depends on, by name: networks, optimizers, functions. If they have
                changed, the work runs step by step, with a warning, and is then captured again.

        Raises:
            CaptureError: the mode is True and the work cannot be captured.
        """
        if not self.wanted:
            return steps()
        if self._state is None and (part := self._undeclared(things)):
            self.refuse(part)
            return steps()
        state = Held(**things)
        if self._state is None or (changed := self._state.difference(state)):
            if self._state is not None:
                self._unsteady += 1
                if self._unsteady > 2:
                    self.refuse(f"{changed} changes from pass to pass")
                    return steps()
                warn_the_user(
                    f"{self.name} begins anew, step by step: {changed} is not what it was",
                    CaptureWarning,
                )
            return self._begin(steps, whole, things, state)
        if self._recorded is None:
            return self._record(steps, state)
        self._unsteady = 0
        return self._recorded()

    def see(self, loss: Variable) -> None:
        """Look at the graph of a step before `backward` frees it, to see which Functions it has."""
        if self.wanted and self._state is None and loss.creator is not None:
            self._functions = functions_behind([loss.edge])

    def refuse(self, reason: str) -> None:
        """Run step by step from now on. Say so once; raise an error if the mode is True."""
        self.refused, self._recorded, self._state, self._whole = reason, None, None, None
        if self.mode is True:
            raise CaptureError(self._line())
        warn_the_user(self._line(), CaptureWarning)

    def _begin(
        self,
        steps: Callable[[], T],
        whole: Callable[[], Whole | None],
        things: dict[str, Any],
        state: Held,
    ) -> T:
        """Run step by step, and check what changes on the host, and whether `whole` does the same."""
        self._state = self._whole = self._recorded = None
        before = {path: array.copy() for path, array in state.arrays.items()}
        uses = self._copies(), chance(), Setting.uses.count
        result = steps()
        if part := self._undeclared(things):
            self.refuse(part)
            return result
        fault = ""
        if self._copies() != uses[0]:
            fault = "a step copies between host and device"
        elif chance() != uses[1]:
            fault = "a step draws from a global random generator on the host"
        elif Setting.uses.count != uses[2]:
            fault = "a step reads or sets a setting, such as the learning rate, in Python"
        elif changed := state.difference(Held(**things)):
            fault = f"{changed} changes during a step, on the host"
        if fault := agreed(fault):
            self._faults += 1
            if self._faults > 1:  # the first time is allowed: many things are created in the first step
                self.refuse(fault)
            return result
        self._state = state
        found = whole()
        if found is not None and _same_effect(found, state, before, result):
            self._whole = found
        return result

    def _record(self, steps: Callable[[], T], state: Held) -> T:
        """Capture the work and launch it."""
        if self._whole is None:
            return self._record_steps(steps, state)
        try:
            with active().explained():
                self._recorded = active().capture(partial(self._whole.run, self._whole.parameters))
                return self._recorded()
        except (CaptureError, DeviceMemoryError) as error:
            self.refuse(str(error))
            return steps()

    def _record_steps(self, steps: Callable[[], T], state: Held) -> T:
        """Run the steps, capture them, launch, and compare the results."""
        arrays = list(state.arrays.values())
        before = [array.copy() for array in arrays]
        result = steps()
        after, expected = [array.copy() for array in arrays], _bits([*arrays, *result])
        gradients = [each.grad for each in state.variables]
        self.recording = True
        try:
            with active().explained():
                recorded = active().capture(steps)
                _restore(arrays, before)
                found = _bits([*arrays, *recorded()])
        except (CaptureError, DeviceMemoryError) as error:
            why = str(error)
        else:
            other = "launched again it gives other numbers: a step depends on something that changes"
            why = "" if found == expected else other
        finally:
            self.recording = False
        if not (why := agreed(why)):
            self._recorded = recorded
            return result
        _restore(arrays, after)
        for variable, gradient in zip(state.variables, gradients, strict=True):
            variable.grad = gradient
        self.refuse(why)
        return result

    def _copies(self) -> tuple[int, int]:
        """Return the number of copies that steps have made to the host and to the device."""
        copies = transfers()
        return copies.to_host - self.copies_between, copies.to_device

    def _undeclared(self, things: dict[str, Any]) -> str:
        functions, self._functions = self._functions, []
        return undeclared(
            things["net"],
            things["loss"],
            things.get("optimizer"),
            functions,
            things.get("metrics", {}).values(),
        )

    def _line(self) -> str:
        line = f"{self.name} runs step by step, not as one launch: {self.refused}"
        return f"{line}; fix that, or give capture=False" if self.mode is True else line


def _bits(arrays: Sequence[Array]) -> list[bytes]:
    return [to_host(array).tobytes() for array in arrays]


def _restore(arrays: Sequence[Array], values: Sequence[Array]) -> None:
    for array, value in zip(arrays, values, strict=True):
        array[...] = value


def _same_effect(
    whole: Whole, state: Held, before: dict[str, Array], result: Array | list[Array]
) -> bool:
    """Whether `whole` changes the earlier arrays as the steps did, within rounding."""
    paths = {id(array): path for path, array in state.arrays.items()}
    parameters = [paths.pop(id(each), None) for each in whole.parameters]
    if None in parameters:
        return False
    for path in paths.values():  # all other arrays must be unchanged
        if _bits([state.arrays[path]]) != _bits([before[path]]):
            return False
    former = [before[path].copy() for path in parameters if path]
    copies = tuple(each.copy() for each in former)
    found = to_host(whole.run(copies))
    expected = to_host(xp.stack(result) if isinstance(result, list) else result)
    pairs = [(found, expected, np.zeros_like(expected))]
    pairs += [
        (to_host(a), to_host(b), to_host(c))
        for a, b, c in zip(copies, whole.parameters, former, strict=True)
    ]
    return all(_close(*each) for each in pairs)


def _close(found: np.ndarray, expected: np.ndarray, former: np.ndarray) -> bool:
    """Whether the difference is rounding, compared with the size of the change."""
    if found.shape != expected.shape:
        return False
    moved, size = np.linalg.norm(expected - former), np.linalg.norm(expected)
    return bool(np.linalg.norm(found - expected) <= _MOST_DIFFERENCE * moved + 1e-6 * size)
