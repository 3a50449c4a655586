"""Predictions for a data set: classes, losses, confusion, the worst mistakes."""

import numpy as np
import pytest
from arrays import host
from found import CHANCES, FOUND
from rounding import Rounded, assert_within, sum_error, two_layers
from small_run import in_float64, small_run

import backends
import scratchnet as sn
from backends import to_device


# Four images of classes 0, 0, 1 and 1: the second is wrong and uncertain, the last wrong and certain.
def test_classes_losses_and_confusion():
    np.testing.assert_allclose(FOUND.probabilities, CHANCES)
    assert FOUND.predicted.tolist() == [0, 1, 1, 2]
    np.testing.assert_allclose(FOUND.losses, -np.log([0.7, 0.4, 0.8, 0.05]))
    assert FOUND.confusion_matrix().tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_the_accuracy_of_a_class_without_images_is_no_number():
    np.testing.assert_array_equal(FOUND.class_accuracy(), [0.5, 0.5, np.nan])


def test_the_worst_are_the_wrong_ones_and_the_surest_first():
    assert FOUND.worst(9).tolist() == [3, 1]
    assert FOUND.worst(1).tolist() == [3]
    assert FOUND.worst(0).tolist() == []
    right = sn.Predictions(np.log(CHANCES), FOUND.predicted)
    assert right.worst(9).tolist() == []


def test_what_predictions_cannot_tell():
    with pytest.raises(sn.OperandError, match="targets of these samples are not known"):
        sn.Predictions(np.log(CHANCES)).confusion_matrix()
    for label in (3, -1):
        with pytest.raises(backends.LabelError, match=f"label {label} of sample 2 is not one of 0 to 2"):
            sn.Predictions(np.log(CHANCES), np.array([0, 0, label, 1]))
    for labels, error, message in (
        (np.array([0, 1.5, 1, 1]), sn.OperandError, "labels of float64; they must be integers"),
        (
            np.array([0, 1]),
            sn.ShapeError,
            r"labels of shape \(2,\) for 4 samples; give one for each sample",
        ),
    ):
        with pytest.raises(error, match=message):
            sn.Predictions(np.log(CHANCES), labels)
    with pytest.raises(sn.DataError, match="2 class names for 3 classes"):
        sn.Predictions(np.log(CHANCES), None, ("Bag", "Coat"))


def test_only_log_probabilities_are_taken_for_them():
    unknown = np.log(CHANCES)
    unknown[2, 1] = np.nan
    for wrong, error, message in (
        (np.array([[0.0, 5.0], [1.0, 0.0]]), sn.DataError, "row 0 sum to 149.4, not 1; of logits"),
        (np.array([[0.0, 1000.0]]), sn.DataError, "row 0 sum to inf, not 1"),
        (unknown, sn.DataError, "row 2 sum to nan, not 1"),
        (np.zeros(3), sn.ShapeError, r"log_probabilities of shape \(3,\); give \(samples, classes\)"),
        (np.zeros((3, 0)), sn.ShapeError, r"log_probabilities of shape \(3, 0\)"),
    ):
        with pytest.raises(error, match=message):
            sn.Predictions(wrong)
    for k in (-1, 1.5, None):
        with pytest.raises(sn.SettingError, match=f"worst: k is {k}; it must be an integer from 0 on"):
            FOUND.worst(k)


def trained(epochs):
    """Return a learner in float64, and its validation logits, with a bound on their error."""
    given, _ = small_run(0)
    learner = in_float64(given)
    learner.evaluator.valid.class_names = given.evaluator.valid.class_names
    learner.fit(epochs, None)
    x, *parameters = (
        Rounded(host(each), "float64")
        for each in (learner.evaluator.valid.inputs, *learner.net.parameters())
    )
    return learner, two_layers(parameters, x)[-1]


def test_a_set_is_predicted_as_it_was_measured_with_two_crossings(backend):
    learner, logits = trained(2)
    valid = learner.evaluator.valid
    before = backends.transfers()
    found = sn.predict(learner.net, valid)
    assert backends.transfers().to_host - before.to_host == 2
    assert backends.transfers().to_device == before.to_device
    assert len(found) == valid.num_samples
    np.testing.assert_array_equal(found.labels, host(valid.labels))
    loss, _ = logits.softmax_loss(host(valid.labels))
    assert_within([found.losses.mean(), learner.history["valid_loss"][-1]], loss.value, loss.error)
    right = found.confusion_matrix().trace() / len(found)
    assert right == pytest.approx(learner.history["valid_accuracy"][-1])
    assert found.class_names == valid.class_names


def test_images_without_labels_are_predicted_too(backend):
    learner, logits = trained(1)
    valid = learner.evaluator.valid
    alone, known = sn.predict(learner.net, valid.inputs), sn.predict(learner.net, valid)
    # An error e of the logits changes a probability by a factor of at most exp(2e); there are two.
    rtol = np.expm1(4 * logits.error.max()) + 2 * sum_error(10 + 10, 1, "float64")
    np.testing.assert_allclose(alone.probabilities, known.probabilities, rtol=rtol)
    np.testing.assert_array_equal(alone.predicted, known.predicted)


def test_predicting_disturbs_nothing(backend):
    modes = []

    class Spy(sn.Classifier):
        def forward(self, x):
            out = super().forward(x)
            modes.append((self.training, out.requires_grad))
            return out

    learner, _ = small_run(1)
    spy, state = Spy(5, 0), learner.train.state_dict()
    sn.predict(spy, learner.train)
    assert set(modes) == {(False, False)}
    assert spy.training
    assert learner.train.state_dict() == state


def test_what_cannot_be_predicted(backend, rng):
    net = sn.Linear(4, 3, 0)
    with pytest.raises(sn.DataError, match="no samples"):
        sn.predict(net, to_device(np.zeros((0, 4), np.float32)))
    with pytest.raises(backends.WrongArrayError, match="predict: data is a"):
        sn.predict(net, [[1.0, 2.0, 3.0, 4.0]])
    with pytest.raises(sn.OperandError, match="predict: net is a ndarray; the order is net, data"):
        sn.predict(np.zeros((2, 4), np.float32), net)
    with pytest.raises(sn.OperandError, match=r"loss is 'binary'; .* name the task: task='binary'"):
        sn.predict(net, to_device(np.zeros((2, 4), np.float32)), "binary")
    images = np.zeros((5, 4), np.float32)
    images[3] = np.nan
    with pytest.raises(sn.NonFiniteLossError, match="NaN for sample 3"):
        sn.predict(net, to_device(images))


def test_pixels_are_those_of_the_files_whatever_was_subtracted(backend):
    train = sn.FashionMnistDataLoader("train", 64, take=50, folder="synthetic")
    valid = sn.FashionMnistDataLoader("valid", 64, take=50, folder="synthetic")
    as_read = valid.pixels(range(50))
    np.testing.assert_array_equal(as_read.reshape(50, -1), np.rint(host(valid.inputs) * 255))
    valid.zero_center(train.mean_image)
    np.testing.assert_array_equal(valid.pixels(range(50)), as_read)
    mean = train.pixels(range(50)).reshape(50, -1).mean(axis=0) / 255
    np.testing.assert_allclose(host(train.mean_image)[0], mean, rtol=1e-5)
    for beyond in (50, -1):
        with pytest.raises(sn.DataError, match=f"image {beyond}; these train data have 50"):
            train.pixels([0, beyond])


def test_the_class_is_that_of_the_largest_logit_also_where_log_softmax_rounds():
    logits = np.zeros((1, 10), np.float32)
    logits[0, 7] = 1e-8  # log_softmax rounds it away
    assert sn.Predictions(logits, form="logits").predicted.tolist() == [7]
