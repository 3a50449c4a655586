"""Pictures and reports of every task: each says what it is, and shows nothing that it has not."""

from itertools import pairwise

import numpy as np
import pytest
from found import FOUND
from test_report import images_of, rows_of, text_of

import scratchnet as sn
from scratchnet.results.report.pictures import chart
from scratchnet.results.words import figure

RNG = np.random.default_rng(1)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = (X @ RNG.normal(size=(4, 3)) + RNG.normal(size=(60, 3)) / 3).astype(np.float32)
TWO = sn.binary_cross_entropy_with_logits


def trained(targets, loss, inputs=X, net=None, metrics=None, **options):
    """Return a learner after two epochs. A third of the samples are for validation."""
    train = sn.ArrayDataLoader(inputs[20:], targets[20:], 8, **options)
    valid = sn.ArrayDataLoader(inputs[:20], targets[:20], 8, mode="valid", **options)
    outputs = targets.shape[1] if targets.ndim > 1 else int(targets.max()) + 1
    net = net or sn.Linear(inputs.shape[1], outputs, 0)
    collector = sn.MetricsCollector(train, valid, loss, metrics=metrics)
    learner = sn.Learner(train, net, sn.Adam(net.parameters(), 0.05), loss, collector)
    learner.fit(2, None)
    return learner


def found_of(learner):
    return learner.predict(learner.evaluator.valid)


def sections_of(page):
    return [each.partition('"')[0] for each in page.read_text().split('<h2 id="')[1:]]


def test_a_report_of_regression_shows_numbers_and_neither_classes_nor_images(backend, tmp_path):
    learner = trained(Y[:, :1], sn.mse_loss, metrics=["mean_absolute_error", "r2"])
    page = sn.write_report(tmp_path, learner)
    text, found = text_of(page), found_of(learner)
    assert sections_of(page) == ["results", "curves", "numbers", "mistakes", "epochs", "run"]
    for word in ("image", "accuracy", "class ", "right", "Fashion", "riginal", "Confusion"):
        assert word not in text.partition("Epoch by epoch")[0].replace("exactly right", ""), word
    measured = learner.evaluate(learner.evaluator.valid)
    for name in ("mean_absolute_error", "r2"):
        words = f"Validation {name.replace('_', ' ')}"
        assert f"{words} {figure(measured[name])} of 20 samples" in text
    (row,) = rows_of(page, "numbers")
    root = np.sqrt((found.residuals**2).mean())
    assert row == ["output", *map(figure, (measured["mean_absolute_error"], root, measured["r2"]))]
    assert images_of(page) == ["Predicted against true numbers, and residuals"]
    worst = int(np.abs(found.residuals).argmax())
    first = f"{found.targets[worst, 0]:.4g} predicted {found.predicted[worst, 0]:.4g} sample {worst}"
    assert text.partition("what was predicted. ")[2].startswith(first)
    told = [[f"{learner.history[name][e]:.4f}" for name in learner.evaluator.measures] for e in range(2)]
    assert [row[2:] for row in rows_of(page, "epochs")] == told
    for title in ("Loss", "Mean absolute error", "R2"):
        assert f'aria-label="{title} over 2 epochs. After the last: training ' in page.read_text()
    assert "task regression" in text


def test_a_report_of_several_labels_has_a_table_by_label(backend, tmp_path):
    targets, names = (Y > 0).astype(np.float32), ["red", "<b>", "blue"]
    learner = trained(targets, TWO, metrics=["accuracy", "f1"], class_names=names)
    page = sn.write_report(tmp_path, learner)
    text, found = text_of(page), found_of(learner)
    assert sections_of(page) == ["results", "curves", "labels", "mistakes", "epochs", "run"]
    counts = found.confusion_matrix()
    wanted = [
        [name, f"{100 * accuracy:.1f} %", "", *map(str, (c[1, 1], c[1, 0], c[0, 1], c[0, 0]))]
        for name, accuracy, c in zip(names, found.class_accuracy(), counts, strict=True)
    ]
    assert rows_of(page, "labels") == wanted
    accuracy = (found.predicted == targets[:20]).mean()
    assert f"Validation accuracy {100 * accuracy:.2f} % of 20 samples" in text
    assert "task multi-label" in text
    assert images_of(page) == []
    worst = found.worst(1)[0]
    assert f"{found.words(worst, True)} seen as {found.words(worst)} sample {worst}" in text


def test_a_report_of_two_classes_has_a_confusion_matrix(backend, tmp_path):
    learner = trained((Y[:, :1] > 0).astype(np.float32), TWO, class_names=["no", "yes"])
    page = sn.write_report(tmp_path, learner)
    counts = found_of(learner).confusion_matrix().tolist()
    matrix = [[name, *map(str, row)] for name, row in zip(("no", "yes"), counts, strict=True)]
    assert rows_of(page, "confusion") == matrix
    assert "Samples of the validation set: a row is what they are" in text_of(page)
    assert page.read_text().count("% right on data of no name") == 1


def test_a_report_of_images_of_another_size_shows_them(backend, tmp_path):
    images = RNG.random((60, 3, 4, 6)).astype(np.float32)
    net = sn.Sequential(sn.Flatten(), sn.Linear(72, 2, 0))
    learner = trained(np.arange(60) % 2, sn.softmax_loss, images, net, ["accuracy", "top_k"][:1])
    page, found = sn.write_report(tmp_path, learner), found_of(learner)
    assert f"Of {found.wrong.sum()}" in text_of(page) or "All that is wrong" in text_of(page)
    shown = [f"Image {i} of the validation set: {i % 2}" for i in found.worst(24)]
    assert images_of(page) == shown
    assert len(shown) > 0


def test_a_report_without_validation_or_without_targets(tmp_path):
    train = sn.ArrayDataLoader(X, Y, 8)
    net = sn.Linear(4, 3, 0)

    def own(outputs, targets):
        return (outputs * outputs).mean()

    for valid, loader, loss, sections in (
        (None, train, sn.mse_loss, ["results", "curves", "numbers", "mistakes", "epochs", "run"]),
        (None, sn.ArrayDataLoader(X, None, 8), own, ["results", "curves", "epochs", "run"]),
    ):
        collector = sn.MetricsCollector(loader, valid, loss)
        learner = sn.Learner(loader, net, sn.SGD(net.parameters(), 0.01), loss, collector)
        learner.fit(1, None)
        page = sn.write_report(tmp_path, learner)
        assert sections_of(page) == sections
        assert "alidation" not in text_of(page)


def test_predicted_against_true_numbers(tmp_path):
    learner = trained(Y, sn.mse_loss)
    found = found_of(learner)
    figure = sn.plot_predictions(found, tmp_path / "x.png")
    assert len(figure.axes) == 6
    for output in range(3):
        scatter, residuals = figure.axes[2 * output : 2 * output + 2]
        np.testing.assert_allclose(scatter.lines[0].get_xdata(), Y[:20, output])
        np.testing.assert_allclose(scatter.lines[0].get_ydata(), found.predicted[:, output])
        np.testing.assert_allclose(residuals.lines[0].get_ydata(), found.residuals[:, output], rtol=1e-6)
        error = sn.metrics.mean_absolute_error(found.predicted[:, output], Y[:20, output])
        assert scatter.get_title().startswith(f"output {output}: mean absolute error {error:.4g}, R² ")
        assert (scatter.get_xlabel(), scatter.get_ylabel()) == ("true value", "predicted value")
    assert figure.get_suptitle() == "20 samples"
    values = RNG.normal(size=(2000, 7))
    many = sn.plot_predictions(sn.Predictions(values, values, task="regression"))
    assert many.axes[0].get_title() == "all 7 outputs: mean absolute error 0, R² 1.0000"
    assert many.axes[0].collections[0].get_array().sum() == 14000  # the density of all points
    with pytest.raises(
        sn.OperandError, match="predictions of classification; use plot_confusion_matrix"
    ):
        sn.plot_predictions(FOUND)
    with pytest.raises(sn.OperandError, match="plot_predictions: a Linear; give predict"):
        sn.plot_predictions(learner.net)
    with pytest.raises(sn.OperandError, match="no confusion matrix; see residuals and plot_predictions"):
        sn.plot_confusion_matrix(found)


@pytest.mark.parametrize("classes", [2, 26, 62, 100])
def test_no_text_of_a_confusion_matrix_covers_another(classes):
    labels = RNG.integers(0, classes, 2000)
    logits = RNG.normal(size=(2000, classes)) + 3 * np.eye(classes)[labels]
    found = sn.Predictions(logits, labels, form="logits", thing="sample")
    figure = sn.plot_confusion_matrix(found)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    counts = found.confusion_matrix()
    told = {text.get_position(): int(text.get_text().replace(",", "")) for text in axes.texts}
    shown = counts if classes > 25 else np.ones_like(counts)
    assert told == {(j, i): counts[i, j] for i, j in np.argwhere(shown)}
    assert axes.get_title() == f"{counts.trace():,} of 2,000 samples are right"
    cell = axes.transData.transform([(0, 0), (1, 1)])
    width, height = np.abs(cell[1] - cell[0])
    for text in axes.texts:
        box = text.get_window_extent()
        assert box.width < width
        assert box.height < height
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [each.get_text() for each in ticks] == list(found.class_names)
    boxes = [each.get_window_extent() for each in axes.get_yticklabels()]
    assert all(a.y0 >= b.y1 - 0.5 or a.y1 <= b.y0 + 0.5 for a, b in pairwise(boxes))
    assert max(figure.get_size_inches()) < 23


def test_the_table_of_labels():
    learner = trained((Y > 0).astype(np.float32), TWO, class_names=["red", "green", "blue"])
    found = found_of(learner)
    axes = sn.plot_confusion_matrix(found).axes[0]
    told = {text.get_position(): int(text.get_text()) for text in axes.texts}
    for row, counts in enumerate(found.confusion_matrix()):
        assert [told[column, row] for column in range(4)] == [
            counts[1, 1], counts[1, 0], counts[0, 1], counts[0, 0],
        ]  # fmt: skip
    columns = ["found", "missed", "false alarms", "rightly none"]
    assert [each.get_text() for each in axes.get_xticklabels()] == columns
    assert axes.get_title() == f"{(found.predicted == found.targets).sum()} of 60 labels are right"


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        ((5, 7), (5, 7)),
        ((1, 5, 7), (5, 7)),
        ((3, 5, 7), (5, 7, 3)),
        ((5, 7, 3), (5, 7, 3)),
        ((16,), (4, 4)),
    ],
)
def test_images_of_any_size_and_channels(backend, shape, shown):
    images = RNG.integers(0, 256, (4, *shape)).astype(np.uint8)
    loader = sn.ArrayDataLoader(images, np.array([0, 1, 1, 0]), 2, class_names=["cat", "dog"])

    class Set(sn.Dataset):
        class_names = ("cat", "dog")

        def __len__(self):
            return 4

        def __getitem__(self, index):
            return images[index], index % 2

    for each, names in ((loader, ["dog", "cat"]), (sn.DataLoader(Set(), 2), ["cat", "dog"])):
        drawn = sn.plot_images(each, [2, 3]).axes
        assert [axes.get_title() for axes in drawn] == names
        for axes, image in zip(drawn, images[2:], strict=True):
            array = np.asarray(axes.images[0].get_array())
            assert array.shape == shown
            wanted = np.moveaxis(image, 0, -1) if shape == (3, 5, 7) else image
            np.testing.assert_array_equal(array, wanted.reshape(shown))


def test_values_of_images_are_shown_as_they_are_or_stretched():
    for ends, shown_ends in (((0, 1), (0, 255)), ((-2, 2), (0, 255)), ((0, 0.5), (0, 128)),
                             ((10, 20), (10, 20))):  # fmt: skip
        values = np.linspace(*ends, 8)
        loader = sn.ArrayDataLoader(values.reshape(1, 2, 4).astype(np.float32), np.zeros(1, int))
        shown = np.asarray(sn.plot_images(loader, [0]).axes[0].images[0].get_array())
        assert (shown.min(), shown.max()) == shown_ends
    for loader, message in (
        (sn.ArrayDataLoader(X[:, :3], Y), r"samples of shape \(3,\) are no images; they must be"),
        (sn.ArrayDataLoader((X, X), Y), "gives no single images; give a FashionMnistDataLoader"),
    ):
        with pytest.raises(sn.OperandError, match=message):
            sn.plot_images(loader, [0])
    with pytest.raises(sn.DataError, match="image 60; these train data have 60"):
        sn.plot_images(sn.ArrayDataLoader(X, Y), [60])


def test_everything_that_was_measured_is_plotted():
    learner = trained(Y, sn.mse_loss, metrics=["r2", "mean_absolute_error"])
    figure = sn.plot_metrics(learner.evaluator)
    names = ("loss", "r2", "mean absolute error")
    titles = [f"{which} {name}" for which in ("training", "validation") for name in names]
    assert [axes.get_title() for axes in figure.axes] == titles
    by_title = dict(zip(titles, figure.axes, strict=True))
    (r2,) = by_title["validation r2"].lines
    assert r2.get_ydata().tolist() == learner.history["valid_r2"]
    assert by_title["validation r2"].get_xlabel() == "epoch"
    batches, means = by_title["training mean absolute error"].lines
    assert list(batches.get_ydata()) == learner.evaluator.series["train_mean_absolute_error"]
    assert means.get_ydata().tolist() == learner.history["train_mean_absolute_error"]
    alone = sn.MetricsCollector(None, learner.evaluator.valid, sn.mse_loss)
    alone.evaluate(learner.net)
    assert [axes.get_title() for axes in sn.plot_metrics(alone).axes] == ["validation loss"]


@pytest.mark.parametrize("values", [[1e-6, 3e-6], [2e6, 3e6], [-40.0, 0.5], [5e-7, 5e-7]])
def test_a_chart_of_any_values_has_different_labels_and_uses_its_height(values):
    found = chart("R2", {"training": values})
    labels = [label for _, label in found.y_ticks]
    assert len(set(labels)) == len(labels) > 2
    assert max(map(len, labels)) <= 8
    heights = [y for _, y in found.lines[0].dots]
    assert values[0] == values[1] or max(heights) - min(heights) > 60
    assert [figure(each) for each in (0, 0.25, 3e-6, 12345.678, 3e7)] == [
        "0.0000", "0.2500", "3.000e-06", "12,345.7", "3.000e+07",
    ]  # fmt: skip
