"""Save the network of every epoch, of the best one, or after a number of batches."""

from __future__ import annotations

import os
from collections.abc import Mapping
from string import Formatter
from typing import TYPE_CHECKING, Any

import numpy as np

from scratchnet.errors import CheckpointError, SettingError
from scratchnet.files import check_place, name_of, writes_here, writing
from scratchnet.replacing import FIX
from scratchnet.training.callbacks.monitor import Monitor
from scratchnet.training.checkpoint import FORMAT, facts_of, write

if TYPE_CHECKING:
    from pathlib import Path

KIND = "scratchnet network"


class ModelCheckpoint(Monitor):
    """Saves the network's state after each epoch, when the monitored figure improves, or in an epoch.

    `net.load_state_dict(sn.load(path))` loads them. (To save the whole training run and resume it, use
    `fit(checkpoint=path)`.) A file is in the safetensors format, and is written completely or not at
    all. `sn.load_metadata(path)` returns the epoch and its figures. In data-parallel training, only rank
    0 writes.

    Args:
        path: the file. `{epoch}` and the names of `learner.history` in it are replaced by the epoch,
            from 0, and its figures. A format is possible: "net-{epoch:02d}.safetensors". If `save_freq`
            is a number of batches, there are `{epoch}`, `{batch}`, both from 0, and `{loss}`, that of
            this batch.
        monitor: a name in `learner.history`.
        save_best_only: whether to save only after an improvement.
        save_freq: "epoch" saves after each epoch; a positive integer saves after each time this number
            of batches. They are counted from one epoch to the next. No epoch is captured then, because
            a launch has no batches; a `CaptureWarning` says so, and with `capture=True` it is an error.
        mode: "min" if the figure should shrink, "max" if it should grow. "auto" takes what the evaluator
            says, or else decides by the name; see `Monitor`.
        overwrite: whether a file may replace one that is not a saved network, such as a checkpoint.

    Attributes:
        best, best_epoch: see `Monitor`.

    Raises:
        CheckpointError: in `fit`: the file cannot be written. An earlier file is still there.
        SettingError: an argument is of a wrong type, or `save_best_only` is asked for after a number of
            batches, when nothing is measured. In `fit`, before training: the monitored figure, or
            a name in the path, is not measured; the folder does not exist or is read-only; or the file
            exists and this callback did not write it, for example a checkpoint of `fit`.
    """

    def __init__(
        self,
        path: str | Path,
        monitor: str = "valid_loss",
        save_best_only: bool = False,
        save_freq: int | str = "epoch",
        mode: str = "auto",
        overwrite: bool = False,
    ) -> None:
        if not isinstance(save_best_only, (bool, np.bool_)):
            raise SettingError(
                f"ModelCheckpoint: save_best_only is {save_best_only!r}; it must be True or False"
            )
        is_number = isinstance(save_freq, (int, np.integer)) and not isinstance(save_freq, bool)
        if not (save_freq == "epoch" or (is_number and int(save_freq) >= 1)):
            raise SettingError(
                f'ModelCheckpoint: save_freq is {save_freq!r}; it must be "epoch" or a positive '
                "integer, the number of batches"
            )
        if is_number and save_best_only:
            raise SettingError(
                f"ModelCheckpoint: save_freq is {save_freq!r} batches, and the best network is known "
                'only after an epoch; leave save_best_only out, or give save_freq="epoch"'
            )
        name_of(path, "ModelCheckpoint")
        self.path, self.save_best_only, self.save_freq = path, save_best_only, save_freq
        self.needs_batches, self.overwrite = save_freq != "epoch", overwrite
        super().__init__(monitor, 0.0, mode)

    def reset(self) -> None:
        """Forget all epochs and batches."""
        super().reset()
        self._batches = 0  # since the last one that was saved after

    @property
    def settings(self) -> str:
        """The name of its file, without the folder."""
        return os.path.basename(self.path)

    def files(self) -> tuple[str | Path, ...]:
        """The paths of the files that it writes."""
        return (self.path,)

    def sees(self, method: str) -> bool:
        """Whether this method for batches is to be called."""
        return self.needs_batches and super().sees(method)

    def check(self) -> None:
        """Check that the monitored figure is measured, and that the path can be used.

        Raises:
            SettingError: it is not, or the file exists and is not a saved network.
        """
        from pathlib import Path

        if self.needs_batches:
            figures = {"batch": 0, "loss": 0.0}
        else:
            super().check()
            figures = dict.fromkeys(self.learner.history, 0.0)
        file = Path(self._file(self.learner.epochs, figures))
        if not writes_here():
            return
        with writing(f"ModelCheckpoint: {file}"):
            if not file.parent.is_dir():
                raise SettingError(f"{file}: there is no folder {file.parent}; make it first")
            if file.is_dir():
                raise SettingError(f"{file}: is a folder; name a file in it")
            check_place(Path(os.path.realpath(file)))
        self._check_replaceable(file)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Save the network, if it is to be saved.

        Raises:
            CheckpointError: the file cannot be written. An earlier file is still there.
            SettingError: the existing file is not a saved network.
        """
        if not self.needs_batches and (self.is_better(epoch, logs) or not self.save_best_only):
            self._save(epoch, logs)

    def on_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """Count the batch, and save the network if it is time.

        Raises:
            CheckpointError: the file cannot be written. An earlier file is still there.
            SettingError: the existing file is not a saved network.
        """
        self._batches += 1
        if self._batches >= int(self.save_freq):
            self._batches = 0
            self._save(self.learner.epochs, {"batch": batch, **logs})

    def state_dict(self) -> dict[str, Any]:
        """Return the best figure and its epoch, and the number of batches since the last save."""
        batches = {"batches": self._batches} if self.needs_batches else {}
        return {**super().state_dict(), **batches}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from this state.

        Raises:
            CheckpointError: the state has other entries.
        """
        rest = dict(state)
        batches = rest.pop("batches", 0)
        if type(batches) is not int or batches < 0:
            raise CheckpointError(f"{self.name}: its state in the checkpoint has {batches!r} batches")
        super().load_state_dict(rest)
        self._batches = batches

    def _save(self, epoch: int, logs: Mapping[str, float]) -> None:
        figures = {name: repr(each) for name, each in logs.items()}
        told = figures | {"kind": KIND, "format": str(FORMAT), "epoch": str(epoch)}
        file = self._file(epoch, logs)
        if not writes_here():
            return
        self._check_replaceable(file)
        write(file, self.learner.net.state_dict(), told)

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

    def _check_replaceable(self, file: str | Path) -> None:
        """Raise an error if the file is not a saved network, for example a whole training run."""
        if self.overwrite or not os.path.exists(file) or not os.path.getsize(file):
            return
        kind, _ = facts_of(file) or ("file of another kind", "")
        if kind != KIND:
            raise SettingError(
                f"ModelCheckpoint: {file}: is there already, a {kind or 'file of arrays'}; {FIX}"
            )
