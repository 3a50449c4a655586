"""What training shows in a terminal: the bar and the curves; and what it does not show in a pipe."""

import io
import re
import signal

import numpy as np
import pytest
from needed import needs
from processes import python, shell
from rich.console import Console
from rich.table import Table
from screen import show
from small_training import learner

import scratchnet as sn
from backends import forbid_transfers, transfers
from scratchnet.errors import NotDrawnWarning, SettingError
from scratchnet.training.callbacks.bar import Bar

QUICK = ["train", "--data", "synthetic", "--take", "600", "--hidden", "16", "--epochs", "3"]
COLOURS = re.compile(rb"\x1b\[[\d;]*3\d[\d;]*m")
CLEARS = re.compile(rb"\x1b\[[23]?J|\x1bc")
SIZES = pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 15)])


def figures(lines):
    """Return the content of the epochs' lines, however they are wrapped."""
    text = " ".join(" ".join(lines).split())
    pair = r"\d\.\d{4} / \d\.\d{4}"
    return re.findall(rf"epoch: (\d) duration: [\d. ]+ms (loss: {pair} accuracy: {pair})", text)


def terminal(columns=80, rows=24, file=None, no_color=False):
    return Console(
        file=file or io.StringIO(), force_terminal=True, width=columns, height=rows, no_color=no_color,
        color_system="standard", legacy_windows=False, _environ={},
    )  # fmt: skip


def drawn(history, console, until=10):
    """Return the lines of the picture."""
    needs("uniplot")
    from scratchnet.training.callbacks.curves import picture

    for part in picture(history, until, console):
        console.print(part)
    return console.file.getvalue().splitlines()


@SIZES
def test_the_bar_goes_and_the_lines_stay(columns, rows):
    piped = shell(*QUICK).stdout
    shown = show(*QUICK, columns=columns, rows=rows)
    assert (shown.code, shown.cursor_hidden) == (0, False)
    assert b"0/3" in shown.written
    assert not any("━" in line for line in shown.lines)
    assert len(figures(shown.lines)) == 3
    assert figures(shown.lines) == figures(piped.splitlines())


def test_an_epoch_s_line_has_room_in_80_columns():
    lines = show(*QUICK).lines
    assert sum(line.startswith("epoch: ") and "accuracy: " in line for line in lines) == 3


@SIZES
def test_the_curves_stay_below_the_lines_and_fit(columns, rows):
    shown = show(*QUICK, "--live", columns=columns, rows=rows)
    assert (shown.code, shown.cursor_hidden) == (0, False)
    assert len(figures(shown.lines)) == 3
    top = next(i for i, line in enumerate(shown.on_screen) if "┌" in line)
    bottom = next(i for i, line in enumerate(shown.on_screen) if "└" in line)
    assert shown.on_screen[top - 1].split() == ["loss", "accuracy"]
    assert all(line.count("│") == 4 for line in shown.on_screen[top + 1 : bottom])
    assert any(re.search("[⠁-⣿]", line) for line in shown.on_screen[top + 1 : bottom])
    assert shown.on_screen[bottom + 1].split() == ["0", "1", "2", "0", "1", "2"]
    assert shown.on_screen[bottom + 2].startswith("━━ train   ━━ valid")
    assert "".join(shown.on_screen[bottom + 3 :]).startswith("3 epochs trained in")
    assert len([line for line in shown.lines if "┌" in line]) == 1  # one picture, redrawn in its place
    assert len(set(COLOURS.findall(shown.written))) >= 2
    assert not CLEARS.search(shown.written)  # a screen that is cleared flickers


@pytest.mark.guarantee("After Ctrl-C or an error, the terminal is as it was.")
@pytest.mark.parametrize("live", [[], ["--live"]])
def test_ctrl_c_leaves_the_terminal_and_the_picture_intact(live):
    endless = [*QUICK[:-1], "100000", *live]
    shown = show(*endless, interrupt_at=b"epoch:  2")
    assert (shown.code, shown.cursor_hidden) == (130, False)
    assert shown.on_screen[shown.on_screen.index("") - 1] == (
        "scratchnet: interrupted; nothing more was saved"
    )
    assert len([line for line in shown.lines if "┌" in line]) == len(live)
    assert not any("samples/s" in line for line in shown.lines)
    assert len([line for line in shown.lines if line.split() == ["loss", "accuracy"]]) == len(live)


@pytest.mark.guarantee("After Ctrl-C or an error, the terminal is as it was.")
@pytest.mark.parametrize("live", [[], ["--live"]])
def test_ctrl_c_with_a_checkpoint_leaves_no_part_of_a_bar_or_a_picture(tmp_path, live):
    endless = [*QUICK[:-1], "100000", "--checkpoint", tmp_path / "c", *live]
    shown = show(*endless, interrupt_at=b"epoch:  2")
    assert (shown.code, shown.cursor_hidden) == (130, False)
    text = "\n".join(shown.lines)
    assert text.count("scratchnet: ending after this batch; Ctrl-C again ends at once\n") == 1
    assert "samples/s" not in text
    assert len([line for line in shown.lines if line.split() == ["loss", "accuracy"]]) == len(live)


@pytest.mark.guarantee("After Ctrl-C or an error, the terminal is as it was.")
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_however_the_process_is_ended_the_cursor_is_there(by):
    shown = show(*QUICK[:-1], "100000", interrupt_at=b"epoch:  1", by=by)
    assert (shown.code, shown.cursor_hidden) == (-by, False)


@pytest.mark.guarantee("After Ctrl-C or an error, the terminal is as it was.")
@pytest.mark.parametrize("live", [[], ["--live"]])
def test_an_error_is_a_line_and_leaves_the_terminal_intact(live):
    shown = show(*QUICK, "--learning-rate", "1e20", *live)
    assert (shown.code, shown.cursor_hidden) == (2, False)
    assert "scratchnet: the loss became" in "\n".join(shown.lines)
    assert "Traceback" not in "\n".join(shown.lines)
    assert not any("━" in line for line in shown.lines)


def test_without_colours_the_curves_are_of_different_characters():
    shown = show(*QUICK, "--live", environment={"NO_COLOR": "1"})
    assert not COLOURS.search(shown.written)
    text = "\n".join(shown.on_screen)
    assert "** train   oo valid" in text
    inside = "".join(line for line in shown.on_screen if line.startswith("│"))
    assert {"*", "o"} <= set(inside)


def test_where_nothing_can_be_drawn_it_is_said_and_the_lines_are_as_ever():
    needs("uniplot")
    piped = shell(*QUICK, "--live")
    assert piped.returncode == 0
    assert piped.stderr.count("\n") == 1
    assert "warning: the curves are not drawn: standard output is not a terminal" in piped.stderr
    assert "\x1b" not in piped.stdout
    assert len(figures(piped.stdout.splitlines())) == 3
    dumb = show(*QUICK, "--live", columns=200, environment={"TERM": "dumb"})
    assert b"\x1b" not in dumb.written
    assert "the curves are not drawn" in "\n".join(dumb.lines)
    assert figures(dumb.lines) == figures(piped.stdout.splitlines())


@pytest.mark.parametrize("live", [[], ["--live"]])
def test_a_resumed_training_begins_where_it_is(tmp_path, live):
    checkpoint = ["--checkpoint", tmp_path / "c"]
    first = shell(*QUICK[:-1], "2", *checkpoint)
    shown = show(*QUICK[:-1], "4", *checkpoint, "--resume", *live)
    assert shown.code == 0
    assert b"0/4" not in shown.written
    assert b"2/4" in shown.written
    never = figures(show(*QUICK[:-1], "4").lines)
    assert figures(first.stdout.splitlines()) + figures(shown.lines) == never


def test_a_printed_line_shows_the_picture_again_and_does_not_draw_it(monkeypatch):
    needs("uniplot")
    from scratchnet.training.callbacks.curves import Curves

    monkeypatch.setattr(
        "scratchnet.training.callbacks.bar._DRAWINGS_A_SECOND", 1e-6
    )  # none of the bar's own
    rendered, render = [], Table.__rich_console__
    monkeypatch.setattr(Table, "__rich_console__", lambda *each: rendered.append(each) or render(*each))
    training, console = learner(), terminal()
    training.fit(1, None)
    curves = Curves(training, 500, console)
    curves.start()
    for _ in range(500):
        console.print("epoch")
    curves.stop()
    assert 0 < len(rendered) < 10
    assert console.file.getvalue().count("accuracy") > 500


def test_while_a_bar_is_shown_another_shows_nothing(monkeypatch):
    needs("uniplot")
    first = terminal()
    consoles = iter([first, second := terminal(), third := terminal()])
    monkeypatch.setattr("scratchnet.training.callbacks.progress_bar._terminal", lambda: next(consoles))
    with pytest.warns(NotDrawnWarning, match="has a bar already"):
        learner().fit(1, None, callbacks=[sn.ProgressBar(), sn.LiveCurves()])
    learner().fit(1, None, callbacks=[sn.ProgressBar()])
    assert "epoch 0/1" in first.file.getvalue()
    assert second.file.getvalue() == ""
    assert "epoch 0/1" in third.file.getvalue()


@pytest.mark.parametrize("columns", [20, 30, 40, 79, 80, 200])
@pytest.mark.parametrize("rows", [5, 11, 15, 24, 60])
@pytest.mark.parametrize("epochs", [1, 2, 7, 300])
def test_a_picture_fits_any_terminal(columns, rows, epochs):
    series = np.geomspace(2, 0.1, epochs).tolist()
    history = {f"{name}_{kind}": series for name in ("train", "valid") for kind in ("loss", "accuracy")}
    lines = drawn(history | {"duration": series}, terminal(columns, rows))
    assert len(lines) <= rows - 2
    plain = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines]
    assert all(len(line) <= columns for line in plain)
    assert bool(lines) == (columns >= 30 and rows >= 11)


@pytest.mark.parametrize("no_color", [False, True])
@pytest.mark.parametrize(
    ("highest", "lowest", "labels"),
    [
        (1.0, 0.2, "1 0.8 0.6 0.4 0.2"), (0.97, 0.4, "0.8 0.6 0.4"), (0.86, 0.84, "0.86 0.855 0.85"),
        (1e-3, 6e-4, "0.001 0.0009"), (0.5, 0.5, "0.54 0.52 0.5 0.48"), (300, 100, "300 250"),
    ],
)  # fmt: skip
def test_a_label_stands_where_its_value_is(highest, lowest, labels, no_color):
    history = {"train_loss": [highest, lowest], "duration": [1.0, 1.0]}
    lines = [
        re.sub(r"\x1b\[[\d;]*m", "", each) for each in drawn(history, terminal(no_color=no_color), 2)
    ]
    rows = [line.split("│")[1:] for line in lines if line.startswith("│")]
    curve = [label.strip() for row, label in rows if row.strip()]
    assert " ".join(label.strip() for _, label in rows if label.strip()).startswith(labels)
    assert curve[0] == ("" if highest == 0.97 else f"{highest:g}")
    assert curve[-1] == f"{lowest:g}"


@pytest.mark.parametrize(
    ("epochs", "labels"),
    [(1, "0"), (2, "0 1"), (3, "0 1 2"), (8, "0 1 2 3 4 5 6 7"), (200, "0 50 100 150")],
)
def test_epochs_are_whole_numbers(epochs, labels):
    history = {"train_loss": [1.0], "duration": [1.0]}
    lines = drawn(history, terminal(no_color=True), until=epochs)
    assert lines[-2].split() == labels.split()


def test_a_picture_of_what_is_there_of_it():
    series = {"train_loss": [3.0, np.nan, np.inf], "valid_loss": [np.nan] * 3, "duration": [1.0] * 3}
    plain = "\n".join(drawn(series, terminal(no_color=True)))
    assert "loss" in plain
    assert "accuracy" not in plain
    assert "*" in plain
    assert drawn({"train_loss": [], "duration": []}, terminal()) == []


def test_a_terminal_of_ascii_alone():
    class Ascii(io.StringIO):
        encoding = "ascii"

    console = terminal(file=Ascii())
    series = {"train_loss": [3.0, 2.0], "duration": [1.0, 1.0]}
    assert "\n".join(drawn(series, console)).isascii()


def test_the_running_loss_and_what_it_costs(backend):
    """On the host, the mean so far. On a device, where reading it would wait, the last epoch's."""
    training, seen = learner(), []

    def looked(output, labels):
        with forbid_transfers():
            seen.append(bar.loss())
        return sn.softmax_loss(output, labels)

    training.fit(1, None)
    bar = Bar(training, 2, terminal())
    training.loss, before = looked, []
    losses = training.train_on([(x, y) for x, y in training.train])
    before = transfers()
    last = bar.loss()
    assert transfers() == before
    if backend == "numpy":
        running = [np.mean([float(each) for each in losses[:n]]) for n in range(1, len(losses) + 1)]
        assert [*seen[1:], last] == pytest.approx(running, rel=1e-12)
    else:
        assert {*seen, last} == {training.history["train_loss"][-1]}


@pytest.mark.parametrize(("rate", "shown"), [(643.2, " 643/s"), (98_700.0, " 99k/s")])
def test_a_narrow_bar_shows_the_speed_of_a_slow_network(monkeypatch, rate, shown):
    monkeypatch.setattr(Bar, "images_a_second", lambda bar: rate)
    training, console = learner(), terminal(columns=40, no_color=True)
    training.fit(1, None)
    console.print(*Bar(training, 2, console).parts())
    assert shown in console.file.getvalue()


def test_from_a_script_in_a_pipe_the_bar_is_silent_and_the_curves_say_so(capsys):
    needs("uniplot")
    training = learner()
    training.fit(1, None, callbacks=[sn.ProgressBar()])
    with pytest.warns(NotDrawnWarning, match="not a terminal"):
        training.fit(1, None, callbacks=[sn.LiveCurves()])
    assert capsys.readouterr() == ("", "")
    alone = learner(evaluator=None)
    with pytest.raises(SettingError, match="LiveCurves: nothing is measured"):
        alone.fit(1, None, callbacks=[sn.LiveCurves()])
    assert alone.epochs == 0


@pytest.mark.guarantee("Without the optional packages, the rest works, and a line says what to install.")
def test_without_its_library_the_curves_are_refused_in_one_line_before_training():
    absent = "import sys; sys.modules['uniplot'] = None\nfrom scratchnet.cli.main import main\n"
    for options, code in (["--live"], 2), ([], 0):
        done = python("-c", absent + f"sys.exit(main({[*QUICK, *options]}))")
        assert (done.returncode, bool(done.stdout)) == (code, code == 0), done.stderr
        assert done.stderr == (
            "scratchnet: LiveCurves: uniplot is not installed; fix: pip install uniplot\n" * (code == 2)
        )
