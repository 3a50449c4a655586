"""All callbacks of a learner: `fit` calls them in turn, and checkpoints keep their states."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from scratchnet.core.stateful import Stateful
from scratchnet.errors import (
    CaptureWarning,
    LostStateWarning,
    OperandError,
    SettingError,
    warn_the_user,
)
from scratchnet.files import writes_here
from scratchnet.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from pathlib import Path

    from scratchnet.training.training import Training


class Callbacks(Stateful):
    """The callbacks of the running `fit`, or of the last one, by name.

    Attributes:
        running: whether `fit` is running.
        at_batch_begin, at_batch_end: those of the running `fit` whose methods for batches are called.
    """

    def __init__(self) -> None:
        self._named: dict[str, Callback] = {}
        self.at_batch_begin: list[Callback] = []
        self.at_batch_end: list[Callback] = []
        self._said: set[str] = set()
        self.running = False
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
            OperandError: an element is not a Callback, or has a method that is never called.
            SettingError: the learner or a callback is in a running `fit`, two callbacks write the same
                file, or one cannot work.
        """
        if self.running:
            raise SettingError(
                "fit: is called within this learner's fit; ask for all epochs at once, or train another "
                "learner there"
            )
        named = _by_name(() if given is None else given)
        _check_files(named, checkpoint)
        with ExitStack() as closing:
            closing.callback(self._end)
            self.running = True
            for each in named.values():
                each.begin_with(learner, until)
                closing.callback(each.end)
            for each in filter(_is_told, named.values()):
                each.check()
            self._named = named
            self.at_batch_begin = [each for each in named.values() if each.sees("on_batch_begin")]
            self.at_batch_end = [each for each in named.values() if each.sees("on_batch_end")]
            for name, each in named.items():
                if name in self._kept:
                    each.load_state_dict(self._kept.pop(name))
            self._warn_of_lost_ones()
            for each in self._told():
                closing.callback(each.close)
                each.on_train_begin()
            yield
            for each in self._told():
                each.on_train_end()

    def on_epoch_begin(self, epoch: int) -> None:
        """Call all of them."""
        for each in self._told():
            each.on_epoch_begin(epoch)

    @property
    def needing_batches(self) -> str:
        """The name of a callback that must see every batch; empty if there is none."""
        seeing = self.at_batch_begin + self.at_batch_end
        return next((each.name for each in seeing if each.needs_batches), "")

    def on_batch_begin(self, batch: int) -> None:
        """Call those that have a method for it."""
        for each in filter(_is_told, self.at_batch_begin):
            each.on_batch_begin(batch)

    def on_batch_end(self, batch: int, loss: float) -> None:
        """Call those that have a method for it, each with its own dict."""
        for each in filter(_is_told, self.at_batch_end):
            each.on_batch_end(batch, {"loss": loss})

    def warn_of_a_launch(self) -> None:
        """Say once of each callback that a launched epoch does not call its methods for batches."""
        for method, seeing in (
            ("on_batch_begin", self.at_batch_begin), ("on_batch_end", self.at_batch_end)
        ):  # fmt: skip
            for each in seeing:
                what = f"{type(each).__name__}.{method}"
                if what not in self._said:
                    self._said.add(what)
                    warn_the_user(
                        f"{what} is not called: the epoch was captured, and a launch runs no Python; "
                        "give capture=False, or set needs_batches = True",
                        CaptureWarning,
                    )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Call all of them, each with its own dict."""
        for each in self._told():
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

    @property
    def stateless(self) -> dict[str, Callback]:
        """Those that do more than write, by name; what they hold is kept only if their class says so."""
        return {f"callbacks.{name}": each for name, each in self._named.items() if not each.only_writes}

    def _told(self) -> list[Callback]:
        return list(filter(_is_told, self._named.values()))

    def _end(self) -> None:
        self.running, self.at_batch_begin, self.at_batch_end = False, [], []

    def _warn_of_lost_ones(self) -> None:
        for name in self._kept:
            warnings.warn(
                f"the checkpoint keeps how far {name} has counted, and it is not among the callbacks: "
                "the training will differ from one that never stopped",
                LostStateWarning,
                stacklevel=5,
            )
        self._kept = {}


def _is_told(callback: Callback) -> bool:
    """Whether a callback is called in this process. Another may write for all of them."""
    return writes_here() or not callback.only_writes


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
            if hook.startswith("on_") and hook.endswith(("_batch_begin", "_batch_end")):
                known = f"on_batch_{hook.rpartition('_')[2]}"
                if hook != known:
                    raise OperandError(
                        f"fit: {type(each).__name__}.{hook} would never be called; the method for a "
                        f"batch of training is {known}"
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
