"""Where the output goes: to a reader who leaves, in narrow encodings, with odd names; and full disks."""

import os
import shlex
import signal
import sys

import pytest
from processes import PIPE, run, shell, started
from screen import show

import scratchnet as sn

QUICK = ["train", "--data", "synthetic", "--take", "300", "--hidden", "8", "--epochs", "3"]


def first_line(*arguments, reader_takes=1):
    """Run a command, and close its output after a number of lines. Return exit code, errors."""
    command = sys.executable, "-m", "scratchnet", *map(str, arguments)
    with started(*command, stdout=PIPE, stderr=PIPE) as process:
        for _ in range(reader_takes):
            assert process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        process.stderr.close()
        code = process.wait()
    return code, errors


@pytest.mark.guarantee("A command ends without a message if the reader of its output goes away.")
@pytest.mark.parametrize(
    "arguments", [["doctor"], ["parity"], ["train", "--help"], [*QUICK, "--epochs", "100000"]],
    ids=["doctor", "parity", "help", "train"],
)  # fmt: skip
def test_a_reader_who_leaves_ends_the_command_silently(arguments):
    assert first_line(*arguments) == (-signal.SIGPIPE, b"")


@pytest.mark.guarantee("A command ends without a message if the reader of its output goes away.")
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["predict", "--help"]])
def test_a_reader_who_was_never_there_too(arguments):
    ours, theirs = os.pipe()
    os.close(ours)
    with started(sys.executable, "-m", "scratchnet", *arguments, stdout=theirs, stderr=PIPE) as process:
        os.close(theirs)
        assert process.communicate() == (None, b"")
        assert process.returncode in (0, -signal.SIGPIPE)


def test_without_a_reader_training_goes_on_to_its_results(tmp_path):
    model = tmp_path / "m"
    assert first_line(*QUICK, "--save", model) == (0, b"")
    assert "fc1.weight" in sn.load(model)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_names_that_the_encoding_does_not_have_are_escaped(encoding, tmp_path):
    places = "--save", tmp_path / "модель", "--plot", tmp_path / "é.svg", "--report", tmp_path / "отчёт"
    done = shell(
        *QUICK, *map(str, places), encoding=encoding, environment={"PYTHONIOENCODING": encoding}
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\u043c\u043e\u0434" in done.stdout
    assert {each.name for each in tmp_path.iterdir()} == {"модель", "é.svg", "отчёт"}


@pytest.mark.guarantee("No text from a file or a setting controls the terminal.")
def test_an_escape_in_a_name_does_not_reach_the_terminal(tmp_path):
    for value in ("/none/\x1b[31mred", "/none/\x9b31mred"):
        done = shell("train", environment={"SCRATCHNET_DATA": value})
        assert done.returncode == 2
        assert done.stderr.startswith("scratchnet: /none/?")
        assert all(each.isprintable() for each in done.stderr.rstrip("\n"))
    done = shell(*QUICK, "--save", str(tmp_path / "a\x1b[31m"))
    assert done.returncode == 0
    assert "\x1b" not in done.stdout


def test_a_terminal_that_says_it_has_no_columns_shows_every_epoch():
    for zero in ({"COLUMNS": "0"}, {"COLUMNS": "0", "LINES": "0"}):
        shown = show(*QUICK, environment=zero)
        assert shown.code == 0
        assert sum(line.startswith("epoch: ") for line in shown.lines) == 3


def test_the_help_is_shown_in_no_columns_too():
    done = shell("train", "--help", environment={"COLUMNS": "0"})
    assert "--save" in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_run_that_writes_results_goes_on_if_the_disk_of_its_output_is_full(tmp_path):
    command = shlex.join([sys.executable, "-m", "scratchnet", *QUICK])
    for more, code, path in (("", 2, None), (" --save model", 0, tmp_path / "model")):
        done = run("sh", "-c", f"{command}{more} > /dev/full", cwd=tmp_path)
        assert (done.returncode, done.stderr.count("\n")) == (code, 1)
        assert "No space left on device" in done.stderr
        assert path is None or path.exists()


@pytest.mark.skipif(os.name == "nt", reason="no sh here")
def test_without_standard_error_an_error_does_not_go_to_standard_output():
    done = run("sh", "-c", shlex.join([sys.executable, "-m", "scratchnet", "nonsense"]) + " 2>&-")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("option", ["--save", "--checkpoint", "--plot"])
@pytest.mark.parametrize("place", ["/dev/null", "/proc/x", "/proc/none/x"])
def test_a_place_for_no_file_is_refused_before_training(command, option, place):
    place += ".png" if option == "--plot" and place != "/dev/null" else ""
    code, out, err = command(*QUICK, option, place)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert place in err


def test_a_foreign_file_is_refused_before_training_and_replaced_if_asked(command, tmp_path):
    places = {"--save": tmp_path / "mine.txt", "--plot": tmp_path / "mine.png"}
    for option, path in places.items():
        path.write_text("mine")
        code, out, err = command(*QUICK, option, path)
        assert (code, out) == (2, "")
        assert f"{path}: is there already" in err
        assert "--overwrite" in err
        assert path.read_text() == "mine"
        assert command(*QUICK, option, path, "--overwrite")[0] == 0
        assert command(*QUICK, option, path)[0] == 0  # now it is our own


@pytest.mark.guarantee("A trained model is not lost if its place cannot be written.")
def test_a_model_that_cannot_be_written_is_kept_elsewhere(command, tmp_path, monkeypatch):
    from scratchnet.cli import results

    def full(path, trained, overwrite=False):
        if path.parent == tmp_path:
            raise sn.CheckpointError(f"{path}: cannot be written: No space left on device")
        return save(path, trained)

    save = results.save_model
    monkeypatch.setattr(results, "save_model", full)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, out, err = command(*QUICK, "--save", tmp_path / "m", "--report", tmp_path / "run")
    assert (code, err.count("\n")) == (2, 1)
    assert "report written" in out
    kept = err.partition("No space left on device; the model is in ")[2].strip()
    assert "fc1.weight" in sn.load(kept)
