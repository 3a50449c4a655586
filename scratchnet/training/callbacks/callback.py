"""The base class of callbacks."""

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
    """`Learner.fit(epochs, callbacks=[...])` calls these methods. A subclass overrides some of them.

    The methods for batches are called in epochs that run step by step. A captured epoch is one launch,
    in which no Python runs: they are not called then, and a `CaptureWarning` says so once. A callback
    that must see every batch sets `needs_batches = True`. Epochs then run step by step.

    A callback may call `learner.stop()`, after which `fit` returns, and `learner.save(path)`. A callback
    that saves should be the last in the list, so that the others have counted the epoch. If a callback
    raises an error between epochs, training ends there. If a method for batches does, the next `fit`
    starts with a new epoch.

    Attributes:
        needs_batches: whether its methods for batches must be called for every batch. On a device,
            epochs take longer then. False by default.
        only_writes: whether all that it does is to print, draw or write, without a state. In
            data-parallel training, such a callback is called on rank 0 only, and no save warns of what
            it holds. False by default.
        until: the number of epochs that the learner will have trained at the end of `fit`.
    """

    needs_batches: bool = False
    only_writes: bool = False
    until: int
    _busy = False
    _learner: ReferenceType[Training] | None = None  # weak, because the learner holds its callbacks

    @property
    def learner(self) -> Training:
        """The learner that trains. It is set from the first `fit` on."""
        learner = self._learner() if self._learner else None
        if learner is None:
            raise SettingError(f"{type(self).__name__}: has no learner; give it to fit(callbacks=[...])")
        return learner

    def begin_with(self, learner: Training, until: int) -> None:
        """Prepare for a training run of this learner, and forget another learner.

        Raises:
            SettingError: the callback is in a running `fit`.
        """
        if self._busy:
            raise SettingError(f"fit: {self.name} is told of a training already; give each its own")
        is_new = self._learner is None or self._learner() is not learner
        self._learner, self.until = ref(learner), until
        if is_new:
            self.reset()
        self._busy = True

    def end(self) -> None:
        """Note the end of the training run."""
        self._busy = False

    @property
    def name(self) -> str:
        """The name under which a checkpoint keeps its state."""
        return type(self).__name__

    @property
    def settings(self) -> str:
        """Settings that distinguish callbacks of one name in a `fit`. Otherwise their order does."""
        return ""

    def sees(self, method: str) -> bool:
        """Whether `fit` is to call this method for batches: by default, if the class defines it."""
        return getattr(type(self), method) is not getattr(Callback, method)

    def files(self) -> tuple[str | Path, ...]:
        """The paths of the files that it writes. No two callbacks may write the same file."""
        return ()

    def check(self) -> None:
        """Raise an error if it cannot work, and change nothing. Called before any `on_train_begin`."""

    def reset(self) -> None:
        """Forget an earlier learner. Called before its first training run with a learner."""

    def on_train_begin(self) -> None:
        """`fit` begins. `learner.epochs` is the number of earlier epochs."""

    def on_epoch_begin(self, epoch: int) -> None:
        """An epoch begins, or the rest of one. Epochs count from 0."""

    def on_batch_begin(self, batch: int) -> None:
        """A training step begins. Batches count from 0 in each epoch."""

    def on_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """A training step has ended: the parameters are updated.

        Args:
            batch: the number of the batch in its epoch, from 0.
            logs: `loss`, the loss of this batch before the update. Reading it waits for the device, so
                it is read only if a callback defines this method.
        """

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """An epoch has ended and was measured.

        Args:
            epoch: its number, from 0.
            logs: the entries of `learner.history` for it, by name. If one is not finite, training ends
                with `NonFiniteLossError`, and this is not called.
        """

    def on_train_end(self) -> None:
        """`fit` has finished its epochs, or was stopped. Not called after an error."""

    def close(self) -> None:
        """Called last, also after an error or Ctrl-C: close files and restore the terminal."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state to go on from after a resume: host arrays, numbers and text by name.

        A callback without a state starts again after a resume.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set this state. Called between `reset` and `on_train_begin`."""
