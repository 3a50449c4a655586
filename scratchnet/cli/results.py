"""The files that `scratchnet train` writes: checked before training, written after it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

import scratchnet as sn
from scratchnet.errors import CheckpointError, ScratchnetError, SettingError
from scratchnet.files import check_place, writing
from scratchnet.training.checkpoint import check_saved_replaceable
from scratchnet.training.trained import TrainedModel, save_model


class Results(NamedTuple):
    """Where the results go. None is not written."""

    plot: Path | None
    report: str | None
    save: Path | None
    checkpoint: Path | None
    overwrite: bool
    """Whether plot, report and model may replace files that scratchnet did not write."""

    def check(self) -> None:
        """Check that each result can be written to its place, before the time that training takes.

        Raises:
            SettingError, CheckpointError: one cannot.
        """
        from scratchnet.results.plots import check_plot_path
        from scratchnet.results.report import check_report_folder

        if self.plot:
            check_plot_path(self.plot, self.overwrite)
        page = None if self.report is None else check_report_folder(self.report, self.overwrite)
        for file in filter(None, (self.plot, self.save, self.checkpoint)):
            if not file.parent.is_dir():
                raise SettingError(f"{file}: there is no folder {file.parent}; make it first")
            if file.is_dir():
                raise SettingError(f"{file}: is a folder; name a file in it")
            with writing(file):
                check_place(Path(os.path.realpath(file)))
        if self.save:
            check_saved_replaceable(self.save, self.overwrite)
        named = self.plot, self.save, self.checkpoint, self.report, page
        places = [os.path.realpath(each) for each in named if each]
        if len(set(places)) < len(places):
            raise SettingError(
                "--plot, --save, --checkpoint and --report name the same file; name another"
            )

    def write(self, learner: sn.Learner, trained: TrainedModel, tell: Callable[[str], None]) -> None:
        """Write all results, also if one of them cannot be written.

        Args:
            learner: after training, with a `MetricsCollector`.
            trained: its network.
            tell: gets a line for each result.

        Raises:
            SettingError: one or more cannot be written. A model is then in another folder, which the
                message names.
        """
        causes: list[str] = []
        with _noting(causes):
            if self.save:
                self._save(self.save, trained)
                tell(f"model saved to {self.save}")
        with _noting(causes):
            if self.plot:
                assert isinstance(learner.evaluator, sn.MetricsCollector)
                sn.plot_metrics(learner.evaluator, self.plot, overwrite=self.overwrite)
                tell(f"curves saved to {self.plot}")
        with _noting(causes):
            if self.report:
                tell(f"report written to {sn.write_report(self.report, learner, self.overwrite)}")
        if causes:
            raise SettingError("; ".join(causes))

    def _save(self, path: Path, trained: TrainedModel) -> None:
        try:
            save_model(path, trained, self.overwrite)
        except CheckpointError as error:
            elsewhere = Path(mkdtemp(prefix="scratchnet-")) / path.name
            save_model(elsewhere, trained)
            raise CheckpointError(f"{error}; the model is in {elsewhere}") from error


@contextmanager
def _noting(causes: list[str]) -> Iterator[None]:
    """Note an error, and let the program go on."""
    try:
        yield
    except ScratchnetError as error:
        causes.append(str(error))
