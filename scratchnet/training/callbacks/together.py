"""All callbacks of a learner: `fit` calls them in turn, and checkpoints keep their states."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from scratchnet.core.stateful import Stateful
from scratchnet.errors import LostStateWarning, OperandError, SettingError
from scratchnet.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from pathlib import Path

    from scratchnet.training.training import Training


class Callbacks(Stateful):
    """The callbacks of the running `fit`, or of the last one, by name."""

    def __init__(self) -> None:
        self._named: dict[str, Callback] = {}
        self._running = False
        self._kept: dict[str, dict[str, Any]] = {}  # from a checkpoint, for the next `fit`

    @contextmanager
    def told_of(
        self,
        given: Iterable[Callback] | None,
        learner: Training,
        until: int,
        checkpoint: str | Path | None = None,
    ) -> Iterator[None]:
        """Call the callbacks at the start and the end of the run within it, and then close each.

        No file is changed before all of them have checked that they can work.

        Warns:
            LostStateWarning: the checkpoint has the state of a callback that is not here.

        Raises:
            OperandError: an element is not a Callback, or has a method for batches.
            SettingError: the learner or a callback is in a running `fit`, two callbacks write the same
                file, or one cannot work.
        """
        if self._running:
            raise SettingError(
                "fit: is called within this learner's fit; ask for all epochs at once, or train another "
                "learner there"
            )
        named = _by_name(() if given is None else given)
        _check_files(named, checkpoint)
        with ExitStack() as closing:
            closing.callback(setattr, self, "_running", False)
            self._running = True
            for each in named.values():
                each.begin_with(learner, until)
                closing.callback(each.end)
            for each in named.values():
                each.check()
            self._named = named
            for name, each in named.items():
                if name in self._kept:
                    each.load_state_dict(self._kept.pop(name))
            self._warn_of_lost_ones()
            for each in self._named.values():
                closing.callback(each.close)
                each.on_train_begin()
            yield
            for each in self._named.values():
                each.on_train_end()

    def on_epoch_begin(self, epoch: int) -> None:
        """Call all of them."""
        for each in self._named.values():
            each.on_epoch_begin(epoch)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Call all of them, each with its own dict."""
        for each in self._named.values():
            each.on_epoch_end(epoch, dict(logs))

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all callbacks."""
        states = self._kept | {name: each.state_dict() for name, each in self._named.items()}
        return {f"{name}/{key}": value for name, state in states.items() for key, value in state.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Keep the states until the next training run, whose callbacks go on from them."""
        self._named, self._kept = {}, {}
        for path, value in state.items():
            name, _, key = path.partition("/")
            self._kept.setdefault(name, {})[key] = value

    def _warn_of_lost_ones(self) -> None:
        for name in self._kept:
            warnings.warn(
                f"the checkpoint keeps how far {name} has counted, and it is not among the callbacks: "
                "the training will differ from one that never stopped",
                LostStateWarning,
                stacklevel=5,
            )
        self._kept = {}


def _check_files(named: Mapping[str, Callback], checkpoint: str | Path | None) -> None:
    writers = {os.path.realpath(checkpoint): "fit(checkpoint=...)"} if checkpoint else {}
    for name, each in named.items():
        for file in each.files():
            other = writers.setdefault(os.path.realpath(file), name)
            if other is not name:
                raise SettingError(f"fit: {other} and {name} both write {file}; name another file")


def _by_name(given: Iterable[Callback]) -> dict[str, Callback]:
    """Give each callback a name: its own, with its settings if two are equal, and a number if needed."""
    if isinstance(given, Callback) or not isinstance(given, Iterable):
        raise OperandError(
            f"fit: callbacks: {type(given).__name__} given, a list expected, such as [EarlyStopping()]"
        )
    given = list(given)
    for each in given:
        if not isinstance(each, Callback):
            kind = f"the class {each.__name__}" if isinstance(each, type) else type(each).__name__
            raise OperandError(
                f"fit: callbacks: {kind} given, a Callback expected, such as EarlyStopping()"
            )
        for hook in dir(type(each)):
            if hook.startswith("on_") and hook.endswith(("batch_begin", "batch_end")):
                raise OperandError(
                    f"fit: {type(each).__name__}.{hook} would never be called: callbacks are told "
                    "between epochs alone, for nothing waits in a step"
                )
    names = Counter(each.name for each in given)
    told = Counter[str]()
    named: dict[str, Callback] = {}
    for each in given:
        name = each.name
        if names[name] > 1 and each.settings:
            name = f"{name} {each.settings}"
        told[name] += 1
        named[f"{name} {told[name]}" if told[name] > 1 else name] = each
    return named
