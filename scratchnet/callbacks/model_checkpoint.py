"""The network kept in a file: of every epoch, or of the best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scratchnet.callbacks.monitor import Monitor
from scratchnet.checkpoint import save
from scratchnet.errors import SettingError

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
        SettingError: in `fit`, before the training: what it watches, or the path names, is not measured;
            or there is no such folder.
    """

    def __init__(
        self, path: str | Path, monitor: str = "valid_loss", save_best_only: bool = False
    ) -> None:
        """See the class."""
        self.path, self.save_best_only = path, save_best_only
        super().__init__(monitor, 0.0)

    def on_train_begin(self) -> None:
        """See that what it watches is measured, and that the path can be one.

        Raises:
            SettingError: it is not.
        """
        from pathlib import Path

        super().on_train_begin()
        file = Path(self._file(0, dict.fromkeys(self.learner.history, 0.0)))
        if not file.parent.is_dir():
            raise SettingError(f"{file}: there is no folder {file.parent}; make it first")
        if file.is_dir():
            raise SettingError(f"{file}: is a folder; name a file in it")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Save, if it is to be saved.

        Raises:
            CheckpointError: the file cannot be written; one that was there still is.
        """
        if self.is_better(epoch, logs) or not self.save_best_only:
            told = {
                "kind": KIND,
                "epoch": str(epoch),
                **{name: repr(value) for name, value in logs.items()},
            }
            save(self._file(epoch, logs), self.learner.net.state_dict(), told)

    def _file(self, epoch: int, logs: Mapping[str, float]) -> str:
        try:
            return str(self.path).format(epoch=epoch, **logs)
        except (KeyError, IndexError, ValueError) as error:
            raise SettingError(
                f"ModelCheckpoint: {self.path}: in braces there may be epoch, {', '.join(logs)}, each "
                f"with a format for a number: {error}"
            ) from error
