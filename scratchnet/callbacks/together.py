"""The callbacks of a learner, told one after the other; and what its checkpoints keep of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from scratchnet.callbacks.callback import Callback
from scratchnet.errors import LostStateWarning, OperandError
from scratchnet.stateful import Stateful

if TYPE_CHECKING:
    from scratchnet.learner import Learner


class Callbacks(Stateful):
    """Those of the running `fit`, or of the last one, by name."""

    def __init__(self) -> None:
        """See the class."""
        self._named: dict[str, Callback] = {}
        self._kept: dict[str, dict[str, Any]] = {}  # out of a checkpoint, until its owner comes

    @contextmanager
    def told_of(self, given: Iterable[Callback], learner: Learner, until: int) -> Iterator[None]:
        """Within it a training runs: its beginning and end are told, and each is closed afterwards.

        Warns:
            LostStateWarning: the checkpoint that the training goes on from keeps the state of another.

        Raises:
            OperandError: one is no Callback.
        """
        self._named = _by_name(given)
        with ExitStack() as closing:
            for name, each in self._named.items():
                each.begin_with(learner, until)
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


def _by_name(given: Iterable[Callback]) -> dict[str, Callback]:
    """Each under its name; the second of a name, and so on, with its number."""
    named: dict[str, Callback] = {}
    for each in given:
        if not isinstance(each, Callback):
            kind = f"the class {each.__name__}" if isinstance(each, type) else type(each).__name__
            raise OperandError(
                f"fit: callbacks: {kind} given, a Callback expected, such as EarlyStopping()"
            )
        same = [name for name in named if name.partition(" ")[0] == each.name]
        named[f"{each.name} {len(same) + 1}" if same else each.name] = each
    return named
