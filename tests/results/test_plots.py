"""The pictures of a trained network. Those of the training run are in test_training."""

from xml.etree import ElementTree

import numpy as np
import pytest
from found import FOUND
from small_run import small_run

import scratchnet as sn
from scratchnet.errors import OperandError
from scratchnet.results.plots.images import percent
from scratchnet.results.report.settings import layers_of


def test_a_confusion_matrix_tells_every_count_and_name(tmp_path):
    path = tmp_path / "confusion.svg"
    axes = sn.plot_confusion_matrix(FOUND, path).axes[0]
    told = {text.get_position(): text.get_text() for text in axes.texts}
    counts = FOUND.confusion_matrix()
    assert told == {(column, row): str(count) for (row, column), count in np.ndenumerate(counts)}
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert tuple(each.get_text() for each in ticks) == FOUND.class_names
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true class", "predicted class")
    assert axes.get_title() == "2 of 4 samples are right"
    assert path.read_text().startswith("<?xml")


def test_weights_lie_where_the_layer_reads_them(backend):
    net = sn.Classifier(7, 0)
    weight = net.state_dict()["fc1.weight"]
    axes = sn.plot_weights(net, most=5).axes[0]
    (mosaic,) = axes.images
    first = weight[np.argmax((weight**2).sum(axis=1))].reshape(28, 28)
    np.testing.assert_array_equal(mosaic.get_array()[:28, :28], first)
    assert mosaic.norm.vmin == -mosaic.norm.vmax
    assert axes.get_title() == "the weights of 5 of 7 units of the first layer"
    assert sn.plot_weights(sn.Linear(16, 1)).axes[0].images[0].get_array().shape == (4, 4)


def test_weights_behind_a_convolution_are_no_images():
    net = sn.ConvolutionalClassifier(7, 0)
    with pytest.raises(OperandError, match="first Linear layer comes after another layer with weights"):
        sn.plot_weights(net)
    assert layers_of(net) == "ConvolutionalClassifier"
    assert layers_of(sn.Classifier(7, 0)) == "784-7-10"
    normalized = sn.Sequential(sn.BatchNorm1d(16), sn.Linear(16, 1))
    assert sn.plot_weights(normalized).axes[0].images[0].get_array().shape == (4, 4)


@pytest.mark.parametrize(("most", "columns", "rows"), [(1, 1, 1), (10, 5, 2), (48, 8, 6), (47, 8, 6)])
def test_weights_leave_few_places_empty(most, columns, rows):
    (mosaic,) = sn.plot_weights(sn.Linear(4, 50), most=most).axes[0].images
    assert mosaic.get_array().shape == (4 * rows - 2, 4 * columns - 2)


@pytest.mark.parametrize("weight", [0, 1])
def test_weights_that_are_all_the_same(weight):
    net = sn.Linear(16, 2)
    net.weight.data[...] = weight
    assert sn.plot_weights(net).axes[0].images[0].norm.vmax == 1


def test_images_stand_below_what_they_are_and_what_they_are_taken_for(backend):
    learner, _ = small_run(1)
    valid = learner.evaluator.valid
    found = sn.predict(learner.net, valid)
    worst = found.worst(7)
    figure = sn.plot_images(valid, worst, found)
    drawn = [axes for axes in figure.axes if axes.images]
    assert len(drawn) == 7
    for axes, which, pixels in zip(drawn, worst, valid.pixels(worst), strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), pixels)
        true, seen = axes.get_title().split("\nseen as ")
        assert true == valid.class_names[found.labels[which]]
        name, chance = seen.split(", ")
        assert name == valid.class_names[found.predicted[which]]
        assert chance == percent(found.probabilities[which].max())
    (alone,) = sn.plot_images(valid, [3]).axes
    assert alone.get_title() == valid.class_names[found.labels[3]]


def test_only_what_is_certain_is_a_hundred_percent():
    assert [percent(p) for p in (0.5, 0.9994, 0.9996, 1)] == ["50.0 %", "99.9 %", "> 99.9 %", "100.0 %"]


@pytest.mark.parametrize("end", ["png", "svg"])
def test_a_dollar_in_titles_and_names_is_a_dollar(tmp_path, end):
    maths, path = r"a $\frac$ b", tmp_path / f"x.{end}"
    learner, _ = small_run(1)
    valid = learner.evaluator.valid
    valid.class_names = (maths,) * 10
    found = sn.predict(learner.net, valid)
    sn.plot_metrics(learner.evaluator, path, maths)
    sn.plot_confusion_matrix(found, path, maths)
    sn.plot_images(valid, [0], found, path)


@pytest.mark.parametrize("end", ["png", "svg"])
def test_the_four_pictures(tmp_path, end):
    learner, _ = small_run(2)
    path = tmp_path / f"curves.{end}"
    figure = sn.plot_metrics(learner.evaluator, path)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["training loss", "training accuracy", "validation loss", "validation accuracy"]
    assert all(len(axes.lines[0].get_ydata()) == 22 for axes in figure.axes)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["minibatch", "mean of the epoch"]
    panels = [axes.get_tightbbox() for axes in figure.axes]
    assert all(not panel.overlaps(legend.get_window_extent()) for panel in panels)
    assert figure.axes[0].lines[1].get_ydata().tolist() == learner.history["train_loss"]
    assert figure.axes[1].lines[1].get_ydata().tolist() == learner.history["train_accuracy"]
    assert figure.axes[2].lines[1].get_ydata().tolist() == learner.history["valid_loss"]
    assert "not Fashion-MNIST" in figure.get_suptitle()
    assert path.read_bytes().startswith({"png": b"\x89PNG", "svg": b"<?xml"}[end])


def test_pictures_that_cannot_be(tmp_path):
    (tmp_path / "folder.png").mkdir()
    learner, _ = small_run(1)
    net, valid = learner.net, learner.evaluator.valid
    found = sn.predict(net, valid)
    for draw, error, message in (
        (lambda: sn.plot_weights(sn.Linear(15, 2)), sn.OperandError, "reads 15 numbers, no square"),
        (lambda: sn.plot_weights(sn.Sequential(sn.relu)), sn.OperandError, "first Linear .* not there"),
        (lambda: sn.plot_weights(net, most=0), sn.SettingError, "most is 0"),
        (lambda: sn.plot_weights(net, most="3"), sn.SettingError, "most is '3'"),
        (lambda: sn.plot_weights(learner), sn.OperandError, "a Learner; give a Module"),
        (lambda: sn.plot_metrics(learner), sn.OperandError, "a Learner; give a MetricsCollector"),
        (
            lambda: sn.plot_metrics(small_run(0)[0].evaluator),
            sn.SettingError,
            "call fit first",
        ),
        (lambda: sn.plot_metrics(learner.evaluator, "x.gif"), sn.SettingError, r"\.png or \.svg"),
        (
            lambda: sn.plot_confusion_matrix(FOUND.confusion_matrix()),
            sn.OperandError,
            "a ndarray; give predict",
        ),
        (lambda: sn.plot_images(valid, 3), sn.OperandError, "give a list of places"),
        (lambda: sn.plot_images(valid, None), sn.OperandError, "give a list of places"),
        (lambda: sn.plot_images(valid, [1.5]), sn.OperandError, "give a list of places"),
        (lambda: sn.plot_images(valid, iter([1])), sn.OperandError, "give a list of places"),
        (
            lambda: sn.plot_images(valid, found.predicted != found.labels),
            sn.OperandError,
            r"of a mask numpy\.flatnonzero\(mask\)",
        ),
        (
            lambda: sn.plot_weights(net, tmp_path / "folder.png"),
            sn.SettingError,
            "is a folder, a pipe or a device",
        ),
        (lambda: sn.plot_images(valid, []), sn.SettingError, "no image is named"),
        (lambda: sn.plot_images(valid, [700]), sn.DataError, "image 700; these valid data have 700"),
        (lambda: sn.plot_images(net, [0]), sn.OperandError, "a Classifier; give a FashionMnist"),
        (lambda: sn.plot_images(valid, [0], FOUND), sn.OperandError, "predictions for 4 images"),
        (lambda: sn.plot_images(valid, [0], found, "x.gif"), sn.SettingError, r"\.png or \.svg"),
        (lambda: sn.plot_weights(net, tmp_path / "none" / "x.png"), sn.SettingError, "no folder"),
        (lambda: sn.plot_confusion_matrix(FOUND, "x.gif"), sn.SettingError, r"\.png or \.svg"),
    ):
        with pytest.raises(error, match=message):
            draw()


def test_names_that_are_no_text_give_a_file_that_programs_can_read(tmp_path, rng):
    pixels = rng.random((4, 25), np.float32)
    names = ["a\0b", "c\x1b[31md", "e\x9bf", "g\nh"]
    loader = sn.ArrayDataLoader(pixels, np.arange(4), 2, class_names=names)
    found = sn.predict(sn.Linear(25, 4, 0), loader)
    sn.plot_confusion_matrix(found, tmp_path / "confusion.svg")
    sn.plot_images(loader, range(4), found, tmp_path / "images.svg")
    for name in ("confusion", "images"):
        shown = ElementTree.parse(tmp_path / f"{name}.svg")
        assert shown.getroot().tag.endswith("svg")
