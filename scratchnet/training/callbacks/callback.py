"""What a callback is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

from scratchnet.core.stateful import Stateful
from scratchnet.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path

    from scratchnet.training.training import Training


class Callback(Stateful):
    """Told what happens in `Learner.fit(epochs, callbacks=[...])`; a subclass says what it does.

    It is told between epochs alone. There is no hook for a batch: within an epoch nothing waits for the
    device, and an epoch may be one launch, in which no Python runs.

    It may call `learner.stop()`, after which `fit` returns, and `learner.save(path)`; one that saves
    comes last, when the others have counted the epoch. An error that it raises ends the training,
    between two epochs.

    Attributes:
        until: the number of epochs that the learner will have trained when `fit` is done.
    """

    until: int
    _busy = False
    _learner: ReferenceType[Training] | None = None  # weak, for the learner has its callbacks

    @property
    def learner(self) -> Training:
        """Whose training it is; there from the first `fit` on."""
        learner = self._learner() if self._learner else None
        if learner is None:
            raise SettingError(f"{type(self).__name__}: has no learner; give it to fit(callbacks=[...])")
        return learner

    def begin_with(self, learner: Training, until: int) -> None:
        """A training of this one will be told; another's is forgotten.

        Raises:
            SettingError: it is told of one already.
        """
        if self._busy:
            raise SettingError(f"fit: {self.name} is told of a training already; give each its own")
        if self._learner is None or self._learner() is not learner:
            self.reset()
        self._learner, self.until = ref(learner), until
        self._busy = True

    def end(self) -> None:
        """The training is over."""
        self._busy = False

    @property
    def name(self) -> str:
        """Under which a checkpoint keeps its state."""
        return type(self).__name__

    @property
    def settings(self) -> str:
        """What tells it from another of its name in the same `fit`; else their order does."""
        return ""

    def files(self) -> tuple[str | Path, ...]:
        """The paths that it writes to: no two may write the same file."""
        return ()

    def check(self) -> None:
        """Called before any `on_train_begin`: raise where it cannot do its work, and change nothing."""

    def reset(self) -> None:
        """Called before its first training with a learner: to forget another's."""

    def on_train_begin(self) -> None:
        """`fit` begins; `learner.epochs` have been trained before."""

    def on_epoch_begin(self, epoch: int) -> None:
        """An epoch begins, or what is left of one; they count from 0."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """An epoch has ended, and was measured.

        Args:
            epoch: which, from 0.
            logs: the entries of `learner.history` for it, by name. Where one is no finite number the
                training ends with `NonFiniteLossError`, and this is not called.
        """

    def on_train_end(self) -> None:
        """`fit` has done its epochs, or was stopped; where an error has ended it, this is not called."""

    def close(self) -> None:
        """Called last, whatever has ended `fit`, Ctrl-C too: to let go of files and of the terminal."""

    def state_dict(self) -> dict[str, Any]:
        """What it goes on from after a resume: host arrays, numbers and text by name; here nothing.

        One that counts says its counts, or begins anew where a training is resumed.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; called between `reset` and `on_train_begin`."""
