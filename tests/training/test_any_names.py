"""Whatever is measured reaches the line, the logs and the callbacks; with any standard output."""

import io
import sys

import numpy as np
import pytest
from needed import needs
from rich.console import Console
from small_training import learner
from test_callbacks import scalars
from test_counts_of_keras import Figure, Given

import scratchnet as sn
from scratchnet.errors import NotDrawnWarning, SettingError
from scratchnet.training.history import larger_is_better, line_of

NAMES = [
    "train_loss",
    "valid_loss",
    "train_f1",
    "valid_f1",
    "valid_top_k",
    "perplexity",
    "f1, macro «é»",
]
FIGURES = [[0.5 + n + 0.25 * epoch for n in range(len(NAMES))] for epoch in range(3)]


class Measures(sn.Evaluator):
    """Returns figures of these names."""

    measures = tuple(NAMES)

    def __init__(self):
        self.rows = iter(FIGURES)

    def evaluate(self, net):
        return Figure(zip(NAMES, next(self.rows), strict=True))


def test_the_line_has_a_pair_for_each_figure():
    lines = []
    learner(evaluator=Measures()).fit(1, lines.append)
    assert lines[0].partition("ms ")[2] == (
        "loss: 1.5000 / 0.5000\tf1: 3.5000 / 2.5000\ttop_k: 4.5000\tperplexity: 5.5000"
        "\tf1, macro «é»: 6.5000"
    )


def test_the_line_of_figures_that_are_small():
    logs = {"train_loss": 4e-6, "valid_loss": -3.14e-7, "train_r2": 0.0, "valid_r2": -1.5, "duration": 1}
    assert line_of(0, logs).endswith(" loss: -3.1e-07 / 4.0e-06\tr2: -1.5000 / 0.0000")


def test_the_csv_file_is_the_history(tmp_path):
    import pandas as pd

    path, training = tmp_path / "log.csv", learner(evaluator=Measures())
    training.fit(3, None, callbacks=[sn.CSVLogger(path)])
    table = pd.DataFrame(training.history).rename_axis(index="epoch")
    pd.testing.assert_frame_equal(pd.read_csv(path, index_col="epoch"), table)
    learner(evaluator=Measures()).fit(1, None, callbacks=[sn.CSVLogger(path, append=True)])
    assert len(pd.read_csv(path)) == 4


def test_tensorboard_has_a_series_for_each(tmp_path):
    needs("tensorboardX")
    learner(evaluator=Measures()).fit(3, None, callbacks=[sn.TensorBoard(tmp_path)])
    for name, series in zip(NAMES, zip(*FIGURES, strict=True), strict=True):
        assert scalars(tmp_path, name) == list(enumerate(series))


@pytest.mark.parametrize(
    ("columns", "rows", "panels"), [(80, 24, 3), (100, 40, 5), (200, 24, 5), (30, 30, 4)]
)
def test_the_curves_have_a_panel_for_each_that_fits(columns, rows, panels):
    needs("uniplot")
    from scratchnet.training.callbacks.curves import picture

    console = Console(
        file=io.StringIO(), force_terminal=True, width=columns, height=rows, no_color=True,
        color_system="standard", legacy_windows=False, _environ={},
    )  # fmt: skip
    history = {name: list(each) for name, each in zip(NAMES, zip(*FIGURES, strict=True), strict=True)}
    for part in picture(history | {"duration": [1.0, 1.0, 1.0]}, 5, console):
        console.print(part)
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= rows - 2
    assert all(len(line) <= columns for line in lines)
    tops = [line.count("┌") for line in lines if "┌" in line]
    assert sum(tops) == panels
    assert [line.count("└") for line in lines if "└" in line] == tops  # none is wrapped
    titles = " ".join(lines)
    shown = [name for name in ("loss", "f1", "top_k", "perplexity") if name in titles]
    assert len(shown) == min(panels, 4)
    assert lines[-1].split() == ["**", "train", "oo", "valid"]


def test_a_callback_and_a_path_may_name_any_figure(tmp_path):
    training = learner(evaluator=Measures())
    best = sn.ModelCheckpoint(tmp_path / "{epoch}-{valid_f1}", "valid_f1", save_best_only=True)
    stopping = sn.EarlyStopping("perplexity", patience=1)
    training.fit(3, None, callbacks=[best, stopping])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["0-3.5", "1-3.75"]
    assert (best.best, stopping.best, stopping.stopped_epoch) == (3.75, 5.5, 1)


# Which way a figure should go


class Rising(Given):
    measures = ("valid_mine",)

    def __init__(self):
        super().__init__([1.0, 2.0, 3.0])

    def evaluate(self, net):
        return Figure(valid_mine=next(self.figures))

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


@pytest.mark.parametrize(
    "name", ["accuracy", "valid_accuracy", "valid_top_k", "r2", "macro_f1", "roc_auc"]
)
def test_names_of_figures_that_should_grow(name):
    assert larger_is_better(name)


@pytest.mark.parametrize("name", ["loss", "valid_loss", "mean_absolute_error", "perplexity", "duration"])
def test_names_of_figures_that_should_shrink(name):
    assert not larger_is_better(name)


@pytest.mark.parametrize(
    ("monitor", "directions", "mode", "grows"),
    [
        ("valid_mine", {}, "auto", False), ("valid_mine", {}, "max", True),
        ("valid_mine", {"mine": True}, "auto", True), ("valid_mine", {"valid_mine": True}, "auto", True),
        ("valid_mine", {"mine": True}, "min", False), ("valid_f1", {"f1": False}, "auto", False),
        ("valid_f1", {"other": False}, "auto", True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [sn.EarlyStopping, sn.ReduceLROnPlateau, sn.ModelCheckpoint])
def test_the_evaluator_says_it_and_the_mode_has_the_last_word(
    tmp_path, kind, monitor, directions, mode, grows
):
    class Directed(Given):
        measures = (monitor,)

        def evaluate(self, net):
            return Figure({monitor: next(self.figures)})

    evaluator = Directed([2.0, 3.0, 1.0])
    if directions:
        evaluator.directions = directions
    path = (tmp_path / "x",) if kind is sn.ModelCheckpoint else ()
    callback = kind(*path, monitor=monitor, mode=mode, **({} if path else {"patience": 9}))
    learner(evaluator=evaluator).fit(3, None, callbacks=[callback])
    assert callback.best == (3.0 if grows else 1.0)
    learner(evaluator=Directed([2.0])).fit(0, None, callbacks=[callback])
    assert abs(callback.best) == np.inf


def test_before_the_first_epoch_the_mode_may_still_change(tmp_path):
    first, again = (learner(evaluator=Rising()) for _ in range(2))
    first.fit(0, None, tmp_path / "c", callbacks=[sn.EarlyStopping("valid_mine", mode="min")])
    again.resume(tmp_path / "c")
    stopping = sn.EarlyStopping("valid_mine", mode="max")
    again.fit(3, None, callbacks=[stopping])
    assert (again.epochs, stopping.best) == (3, 3.0)


@pytest.mark.parametrize("mode", ["lower", True, None, 1])
def test_a_mode_that_is_none_is_named(mode):
    for make in (
        sn.EarlyStopping,
        sn.ReduceLROnPlateau,
        lambda mode: sn.ModelCheckpoint("x", mode=mode),
    ):
        with pytest.raises(SettingError, match='it must be "auto", "min" or "max"'):
            make(mode=mode)


# Standard output


class WithoutIsatty:
    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


def closed():
    file = io.StringIO()
    file.close()
    return file


@pytest.mark.parametrize("make", [WithoutIsatty, closed, lambda: None, object])
def test_without_a_terminal_nothing_is_drawn_and_nothing_fails(monkeypatch, make):
    needs("uniplot")
    training = learner()
    output = make()
    monkeypatch.setattr(sys, "stdout", output)
    training.fit(1, callbacks=[sn.ProgressBar()])
    with pytest.warns(NotDrawnWarning):
        training.fit(1, callbacks=[sn.LiveCurves()])
    assert training.epochs == 2
    if isinstance(output, WithoutIsatty):
        assert output.text.count("epoch: ") == 2
