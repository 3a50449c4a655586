"""The callbacks of a learner, told one after the other; and what its checkpoints keep of them."""

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
    """Those of the running `fit`, or of the last one, by name."""

    def __init__(self) -> None:
        """See the class."""
        self._named: dict[str, Callback] = {}
        self._running = False
        self._kept: dict[str, dict[str, Any]] = {}  # out of a checkpoint, until its owner comes

    @contextmanager
    def told_of(
        self,
        given: Iterable[Callback] | None,
        learner: Training,
        until: int,
        checkpoint: str | Path | None = None,
    ) -> Iterator[None]:
        """Within it a training runs: its beginning and end are told, and each is closed afterwards.

        No file is touched before all of them have been found able to do their work.

        Warns:
            LostStateWarning: the checkpoint that the training goes on from keeps the state of another.

        Raises:
            OperandError: one is no Callback, or has a method for batches.
            SettingError: the learner or one of them is in `fit` already, two write the same file, or one
                cannot do its work.
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
        """Tell all."""
        for each in self._named.values():
            each.on_epoch_begin(epoch)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Tell all, each of a dict of its own."""
        for each in self._named.values():
            each.on_epoch_end(epoch, dict(logs))

    def state_dict(self) -> dict[str, Any]:
        """What all of them keep."""
        states = self._kept | {name: each.state_dict() for name, each in self._named.items()}
        return {f"{name}/{key}": value for name, state in states.items() for key, value in state.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Keep it until the next training, whose callbacks go on from it."""
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
    """Each under its name; those of the same name with their settings, and if need be a number."""
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
