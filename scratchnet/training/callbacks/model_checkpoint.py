"""Save the network of every epoch, or of the best one."""

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
    """Saves the network's state after each epoch, or only when the monitored figure improves.

    `net.load_state_dict(sn.load(path))` loads them. (To save the whole training run and resume it, use
    `fit(checkpoint=path)`.) A file is in the safetensors format, and is written completely or not at
    all. `sn.load_metadata(path)` returns the epoch and its figures.

    Args:
        path: the file. `{epoch}` and the names of `learner.history` in it are replaced by the epoch,
            from 0, and its figures. A format is possible: "net-{epoch:02d}.safetensors".
        monitor: a name in `learner.history`. An accuracy should grow, every other figure should shrink.
        save_best_only: whether to save only after an improvement.

    Attributes:
        best, best_epoch: see `Monitor`.

    Raises:
        CheckpointError: in `fit`: the file cannot be written. An earlier file is still there.
        SettingError: an argument is of a wrong type. In `fit`, before training: the monitored figure, or
            a name in the path, is not measured; the folder does not exist or is read-only; or the file
            exists and this callback did not write it, for example a checkpoint of `fit`.
    """

    def __init__(
        self, path: str | Path, monitor: str = "valid_loss", save_best_only: bool = False
    ) -> None:
        if not isinstance(save_best_only, (bool, np.bool_)):
            raise SettingError(
                f"ModelCheckpoint: save_best_only is {save_best_only!r}; it must be True or False"
            )
        name_of(path, "ModelCheckpoint")
        self.path, self.save_best_only = path, save_best_only
        super().__init__(monitor, 0.0)

    @property
    def settings(self) -> str:
        """The name of its file, without the folder."""
        return os.path.basename(self.path)

    def files(self) -> tuple[str | Path, ...]:
        """The paths of the files that it writes."""
        return (self.path,)

    def check(self) -> None:
        """Check that the monitored figure is measured, and that the path can be used.

        Raises:
            SettingError: it is not, or the file exists and is not a saved network.
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
        """Save the network, if it is to be saved.

        Raises:
            CheckpointError: the file cannot be written. An earlier file is still there.
            SettingError: the existing file is not a saved network.
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
                if name is not None and name not in figures:  # for an object, this would be its address
                    raise ValueError(f"{name!r} is none of them")
            return path.format(**figures)
        except (KeyError, IndexError, ValueError) as error:
            raise SettingError(
                f"ModelCheckpoint: {self.path}: in braces there may be epoch, {', '.join(logs)}, each "
                f"with a format for a number: {error}"
            ) from error


def _check_replaceable(file: str | Path) -> None:
    """Raise an error if the file is not a saved network, for example a whole training run."""
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
