"""The page that `write_report` and `scratchnet train --report` write: what it says."""

import html
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from small_run import small_run

import scratchnet as sn
from backends import to_device
from scratchnet.cli.main import main
from scratchnet.results.report import original
from scratchnet.results.report.pictures import chart
from scratchnet.results.report.settings import same_recipe

QUICK = ["train", "--data", "synthetic", "--take", "600", "--hidden", "16", "--batch-size", "50"]


ORDER = "train_loss", "valid_loss", "train_accuracy", "valid_accuracy"


def text_of(page):
    """Return the text that a reader sees: no style, no tags, one space between words."""
    without_style = re.sub(r"<style>.*?</style>", "", Path(page).read_text(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", without_style)).split())


def rows_of(page, section):
    """Return the table of a section as lists of its cells' text."""
    part = Path(page).read_text().partition(f'<h2 id="{section}">')[2].partition("</section>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", part.partition("<tbody>")[2], re.DOTALL)
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in rows]
    return [[html.unescape(re.sub(r"<[^>]*>", "", cell)) for cell in row] for row in cells]


def images_of(page):
    return re.findall(r'<img src="data:image/png;base64,[^"]+" alt="([^"]+)"', Path(page).read_text())


@pytest.mark.guarantee("A report shows all results, loads nothing, and escapes all text.")
def test_the_page_tells_what_the_run_has_come_to(backend, tmp_path):
    learner, _ = small_run(2)
    page = sn.write_report(tmp_path, learner)
    assert page == tmp_path / "index.html"
    text, history = text_of(page), learner.history
    for name in ("valid", "train"):
        kind = {"valid": "Validation", "train": "Training"}[name]
        assert f"{kind} accuracy {100 * history[f'{name}_accuracy'][-1]:.2f} % of 700 images" in text
        assert f"{kind} loss {history[f'{name}_loss'][-1]:.4f}" in text
    measured = ("train_loss", "valid_loss", "train_accuracy", "valid_accuracy")
    told = [[str(e), *(f"{history[name][e]:.4f}" for name in measured)] for e in range(2)]
    assert [[row[0], *row[2:]] for row in rows_of(page, "epochs")] == told
    found = sn.predict(learner.net, learner.evaluator.valid)
    counts, names = found.confusion_matrix(), found.class_names
    matrix = [[name, *map(str, row)] for name, row in zip(names, counts.tolist(), strict=True)]
    assert rows_of(page, "confusion") == matrix
    accuracies = [f"{100 * each:.1f} %" for each in found.class_accuracy()]
    assert [row[1] for row in rows_of(page, "classes")] == accuracies
    worst = [f"Image {i} of the validation set: {names[found.labels[i]]}" for i in found.worst(24)]
    assert images_of(page)[-24:] == worst
    assert len([alt for alt in images_of(page) if alt.startswith("Weights of unit ")]) == 20
    assert f"backend {backend}" in text
    assert learner.evaluator.valid.fingerprint() in text


@pytest.mark.guarantee("A report compares only runs of the same work, and results of one network.")
def test_results_and_pictures_are_of_the_same_network_and_a_notice_says_which(tmp_path):
    learner, _ = small_run(1)
    best = learner.net.state_dict()
    history = learner.fit(1, None)
    assert "The network" not in text_of(sn.write_report(tmp_path, learner))
    learner.net.load_state_dict(best)
    text = text_of(sn.write_report(tmp_path, learner))
    assert "The network is that of epoch 0, not of the last one, 1: all but curves and epochs is" in text
    assert f"Validation accuracy {100 * history['valid_accuracy'][0]:.2f} %" in text
    learner.net.fc1.weight.data[...] = 0
    accuracy = sn.predict(learner.net, learner.evaluator.valid).confusion_matrix().trace() / 700
    text = text_of(sn.write_report(tmp_path, learner))
    assert (
        "The network or its data were changed after the last epoch: all but curves and epochs is" in text
    )
    assert f"Validation accuracy {100 * accuracy:.2f} % of 700 images" in text
    assert len(learner.evaluator.epochs) == 2


@pytest.mark.guarantee("A report compares only runs of the same work, and results of one network.")
def test_other_data_and_other_work_are_not_held_against_the_original(tmp_path):
    learner, _ = small_run(1)
    text = text_of(sn.write_report(tmp_path, learner))
    assert (
        "synthetic garments (not Fashion-MNIST): no figure here says anything of Fashion-MNIST" in text
    )
    assert "here 700 images, not 60,000, 784-20-10, not 784-100-10, batch size 64, not 256" in text
    assert "original’s" not in text


@pytest.mark.guarantee("A report compares only runs of the same work, and results of one network.")
@pytest.mark.real_data
def test_the_original_stands_beside_the_same_work_alone(real_data, tmp_path, command):
    real = ["train", "--data", real_data, "--epochs", "1", "--report"]
    assert command(*real, tmp_path / "same")[0] == 0
    text, (row,) = text_of(tmp_path / "same/index.html"), rows_of(tmp_path / "same/index.html", "epochs")
    theirs = original.EPOCHS[0]
    assert row[2::2] == ["5.05 s", *(f"{getattr(theirs, name):.4f}" for name in ORDER)]
    assert re.search(r"Speed [\d.,]+ × that of the original, 4.3 s an epoch on unknown hardware", text)
    assert "no figure here" not in text
    assert command(*real, tmp_path / "part", "--take", "300")[0] == 0
    text = text_of(tmp_path / "part/index.html")
    assert "Only 300 images of training and 300 of validation: a part of Fashion-MNIST" in text
    assert "Speed" not in text


@pytest.mark.guarantee("A report compares only runs of the same work, and results of one network.")
def test_the_settings_of_any_optimizer_are_shown(tmp_path, monkeypatch):
    learner, _ = small_run(1)
    monkeypatch.setattr("scratchnet.results.report.settings.other_work", lambda *given: [])
    monkeypatch.setattr("scratchnet.results.report.settings.FASHION_MNIST", learner.train.source)
    fc1, fc2 = (layer.parameters() for layer in (learner.net.fc1, learner.net.fc2))
    groups = [{"parameters": fc1}, {"parameters": fc2, "learning_rate": 0.5}]
    optimizers = [
        (sn.SGD(fc1 + fc2, 0.1), "learning rate 0.1 loss", True),
        (sn.SGD(groups, 0.1), "learning rate 0.1; 0.5 loss", False),
        (sn.Lion(fc1 + fc2, sn.schedules.constant(0.1)), "learning rate a function of the step", False),
        (sn.SGD(fc1 + fc2, 0.1, 0.9), "learning rate 0.1 other settings momentum 0.9, nesterov", False),
    ]
    for optimizer, words, is_the_original_s in optimizers:
        learner.optimizer = optimizer
        assert words in text_of(sn.write_report(tmp_path, learner))
        assert same_recipe(learner, learner.train) == is_the_original_s


def test_a_resumed_training_is_told_whole(command, tmp_path):
    c = tmp_path / "c"
    code, first, _ = command(*QUICK, "--epochs", 1, "--checkpoint", c)
    assert code == 0
    resumed = ["train", "--data", "synthetic", "--checkpoint", c, "--resume", "--epochs", 3]
    code, second, err = command(*resumed, "--report", tmp_path / "run")
    assert (code, err) == (0, "")
    assert second.endswith(f"report written to {tmp_path}/run/index.html\n")
    losses = re.findall(r"loss: (\S+) / (\S+)", first + second)
    rows = rows_of(tmp_path / "run" / "index.html", "epochs")
    assert [(row[3], row[2]) for row in rows] == losses
    assert len(losses) == 3


def test_a_training_broken_off_says_so(tmp_path):
    learner, _ = small_run(1)
    forward = learner.net.forward

    def stopping(x):
        learner.stop()
        return forward(x)

    learner.net.forward = stopping
    learner.fit(1, None)
    learner.net.forward = forward
    text = text_of(sn.write_report(tmp_path, learner))
    assert "The training was broken off in epoch 1, after 1 of 11 batches" in text
    assert len(rows_of(tmp_path / "index.html", "epochs")) == 1


def test_the_smallest_run(command, tmp_path):
    smallest = ["train", "--data", "synthetic", "--take", 1, "--hidden", 1, "--epochs", 1]
    assert command(*smallest, "--report", tmp_path)[0] == 0
    text = text_of(tmp_path / "index.html")
    assert text.count("no image of it in the validation set") == 9
    assert re.findall(r"\b1 (?:image|time|unit|epoch|thread)s", text) == []
    assert "The unit of the first layer: a pixel" in text
    assert "nan" not in text.lower()
    assert images_of(tmp_path / "index.html").count("Weights of unit 0") == 1


def test_of_many_units_the_strongest_are_shown(tmp_path):
    learner, _ = small_run(1)
    net = sn.Classifier(130, 0)
    learner = sn.Learner(
        learner.train, net, sn.SGD(net.parameters(), 0.1), sn.softmax_loss, learner.evaluator
    )
    learner.fit(1, None)
    assert "100 of 130 units" in text_of(sn.write_report(tmp_path, learner))
    assert len(images_of(tmp_path / "index.html")) == 1 + 100 + 24


@pytest.mark.guarantee("A report shows all results, loads nothing, and escapes all text.")
def test_data_and_network_of_one_s_own_have_no_pictures_and_are_escaped(backend, rng, tmp_path):
    class Own(sn.ArrayDataLoader):
        source, class_names = "<script>alert('&')</script>\u202e", ("<b>\0\x1b", '"\u2067\x9b')

    inputs, net = rng.standard_normal((40, 3)).astype(np.float32), sn.Linear(3, 2, 0)
    labels = sn.predict(net, to_device(inputs)).predicted
    data = Own(to_device(inputs), to_device(labels), 8)
    metrics = sn.MetricsCollector(data, data, sn.softmax_loss)
    learner = sn.Learner(data, net, sn.SGD(net.parameters(), 1e-9), sn.softmax_loss, metrics)
    learner.fit(1, None)
    page = sn.write_report(tmp_path, learner)
    assert "<script" not in page.read_text()
    assert "3-2 on <script>alert('&')</script>\ufffd , 1 epoch" in text_of(page)
    assert "Fashion-MNIST" not in text_of(page)
    assert "The original" not in text_of(page)
    assert [row[0] for row in rows_of(page, "confusion")] == ["<b>\ufffd\ufffd", '"\ufffd\ufffd']
    assert "None: every sample of the validation set is right." in text_of(page)
    assert images_of(page) == []
    data.labels[...] = 1 - data.labels
    assert "seen as" in text_of(sn.write_report(tmp_path, learner))


@pytest.mark.parametrize("accuracy", [0.0, 0.999, 1.0])
def test_the_axis_of_accuracy_has_nothing_that_cannot_be(accuracy):
    ticks = [float(label) for _, label in chart("Accuracy", {"training": [accuracy] * 3}, 1).y_ticks]
    assert 0 <= min(ticks) <= accuracy <= max(ticks) <= 1


@pytest.mark.guarantee("A save replaces no file that scratchnet did not write, unless it is asked to.")
def test_where_a_page_cannot_be_is_said_before_training(command, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "theirs").mkdir()
    theirs = tmp_path / "theirs" / "index.html"
    theirs.write_text("<title>somebody's</title>")
    (tmp_path / "folder" / "index.html").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for where, message in {
        "": "name a folder; the present one is called .$",
        tmp_path / "link": "link: is a link to a folder that is not there; make it, or name another",
        tmp_path / ("x" * 300): "cannot be written: File name too long",
        tmp_path / "file": "is a file; a report is written to a folder",
        tmp_path / "none" / "run": "there is no folder .*none; make it first",
        tmp_path
        / "theirs": "index.html: is there already, and is no report of scratchnet; name another",
        tmp_path / "folder": "index.html: is a folder, a pipe or a device",
        "/proc": "cannot be written",
        "/proc/run": "cannot be written",
    }.items():
        code, out, err = command(*QUICK, "--report", where)
        assert (code, out, err.count("\n")) == (2, "", 1), where
        assert re.search(message, err)
    assert theirs.read_text() == "<title>somebody's</title>"
    assert {each.name for each in tmp_path.iterdir()} == {"file", "theirs", "folder", "link"}
    same = ["--report", tmp_path, "--save", tmp_path / "index.html"]
    code, _, err = command(*QUICK, *same)
    assert code == 2
    assert "name the same file" in err


def test_an_earlier_report_is_replaced(command, tmp_path):
    for epochs in (1, 2):
        assert command(*QUICK, "--epochs", epochs, "--report", tmp_path)[0] == 0
        assert len(rows_of(tmp_path / "index.html", "epochs")) == epochs
    assert [each.name for each in tmp_path.iterdir()] == ["index.html"]


def test_what_there_is_nothing_to_report_of(tmp_path):
    learner, _ = small_run(0)
    with pytest.raises(sn.SettingError, match="no epoch was trained yet; call fit first"):
        sn.write_report(tmp_path, learner)
    alone = sn.Learner(learner.train, learner.net, learner.optimizer, learner.loss)
    for wrong in (alone, learner.net):
        with pytest.raises(sn.OperandError, match="whose evaluator is a MetricsCollector"):
            sn.write_report(tmp_path, wrong)
    with pytest.raises(sn.OperandError, match="folder is a Learner; the order is folder, learner"):
        sn.write_report(alone, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_tells_how_to_go_on_with_the_report(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("warnings.showwarning", None)
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    fit = sn.Learner.fit

    def interrupted(learner, *arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return fit(learner, *arguments)

    monkeypatch.setattr(sn.Learner, "fit", interrupted)
    run, c = str(tmp_path / "run"), str(tmp_path / "c")
    try:
        assert main([*QUICK, "--report", run, "--checkpoint", c]) == 130
    finally:
        signal.signal(signal.SIGINT, former)
    assert f"--report {run} --checkpoint {c} --resume" in capsys.readouterr().err
