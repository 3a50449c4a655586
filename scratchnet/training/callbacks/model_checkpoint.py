"""The network kept in a file: of every epoch, or of the best."""

from __future__ import annotations

import os
from collections.abc import Mapping
from string import Formatter
from typing import TYPE_CHECKING

import numpy as np

from scratchnet.errors import CheckpointError, SettingError
from scratchnet.files import check_place, name_of
from scratchnet.training.callbacks.monitor import Monitor
from scratchnet.training.checkpoint import load_metadata, save

if TYPE_CHECKING:
    from pathlib import Path

KIND = "scratchnet network"


class ModelCheckpoint(Monitor):
    """Saves the network's parameters after each epoch, or where what it watches has become better.

    `net.load_state_dict(sn.load(path))` has them back. (`fit(checkpoint=path)` keeps the whole training,
    to go on with.) A file is safetensors, written whole or not at all; its description has the epoch and
    its figures: `sn.load_metadata(path)`.

    Args:
        path: the file. `{epoch}` in it, and the names of `learner.history`, are replaced by the epoch,
            from 0, and its figures, with a format if one is given: "net-{epoch:02d}.safetensors".
        monitor: one of `learner.history`: an accuracy is to grow, all else to shrink.
        save_best_only: whether only what is better than all before is saved.

    Attributes:
        best, best_epoch: as `Monitor`'s.

    Raises:
        CheckpointError: in `fit`: the file cannot be written; one that was there still is.
        SettingError: an argument is of another kind. In `fit`, before the training: what it watches, or
            the path names, is not measured; the folder is not there or cannot be written to; or the file
            is there and is no network that was saved so, such as a checkpoint of `fit`.
    """

    def __init__(
        self, path: str | Path, monitor: str = "valid_loss", save_best_only: bool = False
    ) -> None:
        """See the class."""
        if not isinstance(save_best_only, (bool, np.bool_)):
            raise SettingError(
                f"ModelCheckpoint: save_best_only is {save_best_only!r}; it must be True or False"
            )
        name_of(path, "ModelCheckpoint")
        self.path, self.save_best_only = path, save_best_only
        super().__init__(monitor, 0.0)

    @property
    def settings(self) -> str:
        """The name of its file, whatever the folder."""
        return os.path.basename(self.path)

    def files(self) -> tuple[str | Path, ...]:
        """Its own."""
        return (self.path,)

    def check(self) -> None:
        """See that what it watches is measured, and that the path can be one.

        Raises:
            SettingError: it is not, or a file that is no saved network is there.
        """
        from pathlib import Path

        super().check()
        file = Path(self._file(self.learner.epochs, dict.fromkeys(self.learner.history, 0.0)))
        try:
            if not file.parent.is_dir():
                raise SettingError(f"{file}: there is no folder {file.parent}; make it first")
            if file.is_dir():
                raise SettingError(f"{file}: is a folder; name a file in it")
            check_place(Path(os.path.realpath(file)))
        except OSError as error:
            raise SettingError(
                f"ModelCheckpoint: {file}: cannot be written: {error.strerror}"
            ) from error
        _check_replaceable(file)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Save, if it is to be saved.

        Raises:
            CheckpointError: the file cannot be written; one that was there still is.
            SettingError: what is there is no saved network.
        """
        if self.is_better(epoch, logs) or not self.save_best_only:
            told = {
                "kind": KIND,
                "epoch": str(epoch),
                **{name: repr(value) for name, value in logs.items()},
            }
            file = self._file(epoch, logs)
            _check_replaceable(file)
            save(file, self.learner.net.state_dict(), told)

    def _file(self, epoch: int, logs: Mapping[str, float]) -> str:
        figures = {"epoch": epoch, **logs}
        path = os.fspath(self.path)
        try:
            for _, name, _, _ in Formatter().parse(path):
                if name is not None and name not in figures:  # of an object it would name the inside
                    raise ValueError(f"{name!r} is none of them")
            return path.format(**figures)
        except (KeyError, IndexError, ValueError) as error:
            raise SettingError(
                f"ModelCheckpoint: {self.path}: in braces there may be epoch, {', '.join(logs)}, each "
                f"with a format for a number: {error}"
            ) from error


def _check_replaceable(file: str | Path) -> None:
    """A network saved before may be replaced, and nothing else: a whole training would be lost."""
    if not os.path.exists(file):
        return
    try:
        kind = load_metadata(file).get("kind", "file of arrays")
    except CheckpointError:
        kind = "file of another kind"
    if kind != KIND:
        raise SettingError(
            f"ModelCheckpoint: {file}: is there already, a {kind}; name another file, or remove it"
        )
